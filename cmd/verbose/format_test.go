package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/bus"
)

// formatted is what is printed for an event as JSON.
func formatted(t *testing.T, e bus.Event) string {
	t.Helper()
	line, err := newFormatter("json", false).append(e)
	if err != nil || !json.Valid(line) {
		t.Fatalf("%q, %v", line, err)
	}
	return string(line)
}

func TestFormatAnyTime(t *testing.T) {
	for micros, want := range map[int64]string{
		0:                       `"1970-01-01T00:00:00Z"`,
		1_517_363_399_650_001:   `"2018-01-31T01:49:59.650001Z"`,
		253_402_300_799_999_999: `"9999-12-31T23:59:59.999999Z"`,
		253_402_300_800_000_000: "",
		-62_167_219_200_000_000: `"0000-01-01T00:00:00Z"`,
		-62_167_219_200_000_001: "",
		math.MinInt64:           "",
		math.MaxInt64:           "",
	} {
		line := formatted(t, bus.Event{Topic: "t", Time: time.UnixMicro(micros)})
		if want == "" && strings.Contains(line, `"time"`) || !strings.Contains(line, want) {
			t.Errorf("%d µs: %s", micros, line)
		}
	}
}

// A terminal obeys DEL and C1 controls: U+009B begins what moves its cursor.
func TestFormatEscapesControls(t *testing.T) {
	var all strings.Builder
	for r := rune(0); r < 0x100; r++ {
		all.WriteRune(r)
	}
	line := formatted(t, bus.Event{Topic: "t\u009b", Payload: []byte(all.String())})
	for _, r := range strings.TrimSuffix(line, "\n") {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			t.Fatalf("%q has %U", line, r)
		}
	}
	var got struct{ Topic, Payload string }
	if err := json.Unmarshal([]byte(line), &got); err != nil || got.Topic != "t\u009b" || got.Payload != all.String() {
		t.Errorf("%q is read as %q, %v", line, got, err)
	}
	if !strings.Contains(line, `\u007f\u0080`) || !strings.Contains(line, "\\u009f\u00a0") {
		t.Errorf("%q escapes too little or too much", line)
	}
}
