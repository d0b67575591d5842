package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/verbose-bus/verbose/codec"
)

func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	for _, test := range []struct {
		name, in string
		delim    byte
		want     []string
	}{
		{"nothing", "", '\n', nil},
		{"one empty line", "\n", '\n', []string{""}},
		{"a last line without an end", "a\nb", '\n', []string{"a", "b"}},
		{"a last line with an end", "a\nb\n", '\n', []string{"a", "b"}},
		{"empty lines", "\n\na\n\n", '\n', []string{"", "", "a", ""}},
		{"carriage returns stay", "a\r\n\r\n", '\n', []string{"a\r", "\r"}},
		{"NUL", "a\nb\x00\x00c", 0, []string{"a\nb", "", "c"}},
		{"longer than the buffer", long + "\n" + long + "y\nz", '\n', []string{long, long + "y", "z"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			err := eachLine(iotest.HalfReader(strings.NewReader(test.in)), test.delim, func(line []byte) error {
				got = append(got, string(line))
				return nil
			})
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %d lines, %v, want %d", len(got), err, len(test.want))
			}
		})
	}
}

func TestEachLineErrors(t *testing.T) {
	stop := errors.New("stop")
	if err := eachLine(strings.NewReader("a\nb\n"), '\n', func([]byte) error { return stop }); err != stop {
		t.Errorf("an error of the function: got %v", err)
	}
	broken := iotest.ErrReader(errors.New("broken"))
	if err := eachLine(broken, '\n', func([]byte) error { return nil }); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("an error of the input: got %v", err)
	}
	for _, size := range []int{maxLine, maxLine + 1} {
		n := 0
		err := eachLine(bytes.NewReader(make([]byte, size)), '\n', func([]byte) error { n++; return nil })
		if tooLong := size > maxLine; (err != nil) != tooLong || n == 1 == tooLong {
			t.Errorf("a line of %d bytes: %d lines, error %v", size, n, err)
		}
	}
}

func TestParseValues(t *testing.T) {
	args := []string{"1", "2.50", "text", `{"a": [1, 2.5]}`, "null", `"q"`, "12345678901234567890", ""}
	for _, test := range []struct {
		encoding  codec.Encoding
		asStrings bool
		want      string
	}{
		{codec.EncodingJSON, false, `[1,2.50,"text",{"a":[1,2.5]},null,"q",12345678901234567890,""]`},
		{codec.EncodingJSON, true, `["1","2.50","text","{\"a\": [1, 2.5]}","null","\"q\"","12345678901234567890",""]`},
		{codec.EncodingCBOR, false, `[1,2.5,"text",{"a":[1,2.5]},null,"q",12345678901234567000,""]`},
	} {
		values, err := parseValues(args, test.asStrings, test.encoding.String())
		if err != nil {
			t.Fatal(err)
		}
		payload, err := codec.AppendArgs(nil, test.encoding, values...)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := codec.ArgsJSON(test.encoding, payload); err != nil || string(got) != test.want {
			t.Errorf("%v, strings %v: got %s, %v, want %s", test.encoding, test.asStrings, got, err, test.want)
		}
	}
}
