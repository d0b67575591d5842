package tcptransport

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/verbose-bus/verbose/bus"
)

// wirePage is WIRE.md from a heading on.
func wirePage(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("WIRE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("WIRE.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// TestFramesOnTheWire has one frame of each kind as the bytes that WIRE.md gives. They never change while the ALPN is verbose/1.
func TestFramesOnTheWire(t *testing.T) {
	frames := map[string][]byte{
		"data":    append(appendHeader(nil, header{kindData, 2, 5}), "hi"...),
		"fin":     appendHeader(nil, header{kindFin, 0, 5}),
		"reset":   appendNumber(nil, kindReset, 5, uint32(bus.CloseTooSlow)),
		"window":  appendNumber(nil, kindWindow, 5, 65536),
		"streams": appendNumber(nil, kindStreams, 0, 2),
		"ping":    appendToken(nil, kindPing, 7),
		"pong":    appendToken(nil, kindPong, 7),
		"close":   appendClose(nil, bus.CloseFull, "no"),
	}
	vector := regexp.MustCompile(`(?m)^([a-z]+) +((?:[0-9a-f]{2,} ?)+)`)
	for _, row := range vector.FindAllStringSubmatch(wirePage(t, "9. Golden vectors"), -1) {
		name, want := row[1], strings.ReplaceAll(row[2], " ", "")
		if got := hex.EncodeToString(frames[name]); got != want {
			t.Errorf("%s: %s, WIRE.md has %s", name, got, want)
		}
		h, err := parseHeader(frames[name])
		if err != nil || headerSize+h.length != len(frames[name]) {
			t.Errorf("%s: parsed as %+v, %v", name, h, err)
		}
		delete(frames, name)
	}
	for name := range frames {
		t.Errorf("WIRE.md has no vector for %s", name)
	}
}

// TestFrameTable compares the table of kinds with the rules that frames are parsed by.
func TestFrameTable(t *testing.T) {
	want := make(map[string]bool)
	for k, rule := range frameRules {
		if k == 0 {
			continue
		}
		stream, length := "0", fmt.Sprint(rule.shortest)
		if rule.ofStream {
			stream = "≠ 0"
		}
		if rule.longest > rule.shortest {
			length += " to " + thousands(rule.longest)
		}
		want[fmt.Sprintf("%d %s %s", k, stream, length)] = true
	}
	got := make(map[string]bool)
	row := regexp.MustCompile(`(?m)^\| (\d) \| \w+ \| (.*?) \| (.*?) \|`)
	for _, cells := range row.FindAllStringSubmatch(wirePage(t, "2. Frames"), -1) {
		got[strings.Join(cells[1:], " ")] = true
	}
	if !maps.Equal(got, want) {
		t.Errorf("WIRE.md has %v, the code %v", got, want)
	}
}

// TestLimits compares the table of limits with the code's.
func TestLimits(t *testing.T) {
	page := wirePage(t, "8. Limits")
	for what, want := range map[string]string{
		"payload of a data frame":      thousands(maxData) + " bytes",
		"payload of any other frame":   thousands(maxSignal) + " bytes",
		"streams open, of each side's": thousands(maxStreams),
		"first window of a direction":  thousands(firstWindow) + " bytes",
	} {
		if row := fmt.Sprintf("| %s | %s |", what, want); !strings.Contains(page, row) {
			t.Errorf("WIRE.md does not have the row %s", row)
		}
	}
}

// thousands is a number below a million as the page writes it.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
