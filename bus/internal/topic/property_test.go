package topic

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Few tokens make matches likely.
var (
	anyTopic = rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "aa"}), 1, 5).Draw(t, "tokens"), ".")
	})
	anyPattern = rapid.Custom(func(t *rapid.T) string {
		tokens := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "aa", "*", "*"}), 0, 4).Draw(t, "tokens")
		if len(tokens) == 0 || rapid.Bool().Draw(t, "tail") {
			tokens = append(tokens, ">")
		}
		return strings.Join(tokens, ".")
	})
	anyPatterns = rapid.SliceOfN(anyPattern, 0, 12)
)

// naive matches by a regular expression.
func naive(pattern, topic string) bool {
	expr := regexp.QuoteMeta(pattern)
	expr = strings.ReplaceAll(expr, `\*`, `[^.]+`)
	expr = strings.ReplaceAll(expr, `>`, `.+`)
	return regexp.MustCompile("^(?:" + expr + ")$").MatchString(topic)
}

func TestMatchIsNaiveMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, topic := anyPattern.Draw(t, "pattern"), anyTopic.Draw(t, "topic")
		if got, want := Match(pattern, topic), naive(pattern, topic); got != want {
			t.Errorf("Match(%q, %q) is %v", pattern, topic, got)
		}
	})
}

// A pattern is covered exactly if the topics are that have, for its wildcards, tokens
// no other pattern names: one for "*"; one, and six, for ">".
func TestCoversIsMatchingAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyPattern.Draw(t, "a"), anyPattern.Draw(t, "b")
		stars := strings.ReplaceAll(b, "*", "z")
		short, long := strings.Replace(stars, ">", "z", 1), strings.Replace(stars, ">", "z.z.z.z.z.z", 1)
		if got, want := Covers(a, b), naive(a, short) && naive(a, long); got != want {
			t.Errorf("Covers(%q, %q) is %v", a, b, got)
		}
	})
}

func TestMinimise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := anyPatterns.Draw(t, "patterns")
		before := slices.Clone(given)
		got := Minimise(given)
		if !slices.Equal(given, before) {
			t.Fatalf("%q became %q", before, given)
		}
		var want []string
		for _, p := range given {
			if !slices.ContainsFunc(given, func(q string) bool { return p != q && Covers(q, p) }) {
				want = append(want, p)
			}
		}
		slices.Sort(want)
		want = slices.Compact(want)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("of %q:\n%s", given, diff)
		}
	})
}

// A Set does what a list of pairs does.
func TestSetIsAList(t *testing.T) {
	type pair struct {
		pattern string
		value   int
	}
	rapid.Check(t, func(t *rapid.T) {
		var set Set[int]
		var list []pair
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				p := pair{anyPattern.Draw(t, "pattern"), rapid.IntRange(1, 3).Draw(t, "value")}
				set.Add(p.pattern, p.value)
				if !slices.Contains(list, p) {
					list = append(list, p)
				}
			},
			"remove": func(t *rapid.T) {
				p := pair{anyPattern.Draw(t, "pattern"), rapid.IntRange(1, 3).Draw(t, "value")}
				if len(list) > 0 && rapid.Bool().Draw(t, "present") {
					p = rapid.SampledFrom(list).Draw(t, "pair")
				}
				i := slices.Index(list, p)
				if set.Remove(p.pattern, p.value) != (i >= 0) {
					t.Fatalf("removing %v: it is at %d", p, i)
				}
				if i >= 0 {
					list = slices.Delete(list, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				topic := anyTopic.Draw(t, "topic")
				var want []int
				for _, p := range list {
					if naive(p.pattern, topic) {
						want = append(want, p.value)
					}
				}
				got := set.Append([]int{0}, topic)
				if got[0] != 0 {
					t.Fatal("what was in dst is gone")
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got[1:], want) || set.Any(topic) != (len(want) > 0) || set.Len() != len(list) {
					t.Fatalf("%q: %v, want %v, any %v, len %d of %d", topic, got[1:], want, set.Any(topic), set.Len(), len(list))
				}
				if len(list) == 0 && !set.root.empty() {
					t.Fatal("an empty set holds nodes")
				}
			},
		})
	})
}

func FuzzTopic(f *testing.F) {
	f.Add("a.*.>", "a.b.c")
	f.Add("a.b", "a.b")
	f.Add(">.*..", ".")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		var set Set[int]
		set.Add(pattern, 1)
		set.Add("a.*", 2)
		matched := Match(pattern, topic)
		if slices.Contains(set.Append(nil, topic), 1) != matched || matched && !set.Any(topic) {
			t.Errorf("Match(%q, %q) is %v, a Set differs", pattern, topic, matched)
		}
		if !Covers(pattern, pattern) {
			t.Errorf("%q does not cover itself", pattern)
		}
		if ValidatePattern(pattern) == nil && Validate(topic) == nil && matched != naive(pattern, topic) && !strings.ContainsAny(pattern, "*>") {
			t.Errorf("Match(%q, %q) is %v", pattern, topic, matched)
		}
		if Validate(topic) == nil && (ValidatePattern(topic) != nil || !Match(topic, topic)) {
			t.Errorf("%q is a topic, but no pattern that matches itself", topic)
		}
		Minimise([]string{pattern, topic, "a.*"})
		if !set.Remove(pattern, 1) || set.Len() != 1 && pattern != "a.*" {
			t.Errorf("%q cannot be removed", pattern)
		}
	})
}
