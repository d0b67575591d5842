package topic

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		s              string
		topic, pattern string // what the errors say; "" means valid
	}{
		{"a", "", ""},
		{"quake.usgs.tsunami", "", ""},
		{"ünï.cödé.日本", "", ""},
		{"a*b.c>", "", ""},
		{"**.>>", "", ""},
		{strings.Repeat("a", MaxLen), "", ""},
		{strings.Repeat("a.", MaxTokens-1) + "a", "", ""},
		{"*", "token 1 is the wildcard", ""},
		{"a.*.b", "token 2 is the wildcard", ""},
		{">", "token 1 is the wildcard", ""},
		{"a.*.>", "token 2 is the wildcard", ""},
		{">.a", "token 1 is the wildcard", "token 1 is the wildcard \">\", which only the last"},
		{"a.>.>", "token 2 is the wildcard", "token 2 is the wildcard"},
		{"", "empty", "empty"},
		{".", "token 1 is empty", "token 1 is empty"},
		{".a", "token 1 is empty", "token 1 is empty"},
		{"a..b", "token 2 is empty", "token 2 is empty"},
		{"a.b.", "token 3 is empty", "token 3 is empty"},
		{"a.b c", "token 2 has a space", "token 2 has a space"},
		{"a\n", `token 1 has the control character '\n'`, "control character"},
		{"a.b.\x7f", "token 3 has the control character", "control character"},
		{"a\x00", "control character", "control character"},
		{"a.\xff", "not valid UTF-8", "not valid UTF-8"},
		{strings.Repeat("a", MaxLen+1), "256 bytes long, 255 allowed", "256 bytes long"},
	} {
		for _, c := range []struct {
			err  error
			want string
		}{{Validate(test.s), test.topic}, {ValidatePattern(test.s), test.pattern}} {
			switch {
			case c.want == "" && c.err != nil:
				t.Errorf("%q: %v", test.s, c.err)
			case c.want != "" && (c.err == nil || !strings.Contains(c.err.Error(), c.want)):
				t.Errorf("%q: error is %v, want %q", test.s, c.err, c.want)
			}
		}
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.b", "a.b", true},
		{"*", "a", true},
		{"*", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"*.b", "a.b", true},
		{"*.b", "a.c", false},
		{"a.*.c", "a.b.c", true},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "b.c", false},
		{"*.>", "a", false},
		{"*.>", "a.b", true},
		{"a.b", "ab", false},
		{"aa", "a", false},
		{"a*", "ab", false},
		{"a*", "a*", true},
	} {
		if got := Match(test.pattern, test.topic); got != test.want {
			t.Errorf("Match(%q, %q) is %v", test.pattern, test.topic, got)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"*", "a", true},
		{"a", "*", false},
		{"*", "*", true},
		{"*", ">", false},
		{">", "*", true},
		{">", ">", true},
		{">", "a.b.>", true},
		{"a.>", "a.*", true},
		{"a.>", "a.*.>", true},
		{"a.*.>", "a.>", false},
		{"a.>", "a", false},
		{"*.b", "a.*", false},
		{"*.*", "a.*", true},
		{"*.*", "a.b.*", false},
		{"a.*", "a.>", false},
	} {
		if got := Covers(test.a, test.b); got != test.want {
			t.Errorf("Covers(%q, %q) is %v", test.a, test.b, got)
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	var s Set[int]
	for i, p := range []string{"quake.>", "quake.*.tsunami", "*.usgs.tsunami", "quake.usgs.tsunami", "other"} {
		s.Add(p, i)
	}
	dst := make([]int, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		dst = s.Append(dst[:0], "quake.usgs.tsunami")
		if len(dst) != 4 || !s.Any("quake.jma") || s.Any("none") {
			t.Error("wrong matches")
		}
		if !Match("quake.*.tsunami", "quake.usgs.tsunami") || !Covers("quake.>", "quake.*") {
			t.Error("no match")
		}
		if Validate("quake.usgs.tsunami") != nil || ValidatePattern("quake.>") != nil {
			t.Error("not valid")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
