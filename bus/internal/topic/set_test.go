package topic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetHoldsAValueOncePerPattern(t *testing.T) {
	var s Set[string]
	s.Add("a.*", "x")
	s.Add("a.*", "x")
	s.Add("a.>", "x")
	s.Add("a.*", "y")
	if diff := cmp.Diff([]string{"x", "x", "y"}, s.Append(nil, "a.b")); diff != "" || s.Len() != 3 {
		t.Errorf("%d values:\n%s", s.Len(), diff)
	}
	if !s.Remove("a.*", "x") || s.Remove("a.*", "x") || s.Remove("a.b", "x") || s.Remove("a.*", "z") {
		t.Error("what is there can be removed once, and nothing else")
	}
	if diff := cmp.Diff([]string{"x", "y"}, s.Append(nil, "a.b")); diff != "" {
		t.Error(diff)
	}
}

// Patterns of all combinations of "a" and "*" are the worst there is: each node is
// on the way of the topic. Deeper, a set of as many patterns cannot have more.
func TestLookUpIsBoundedByTheSet(t *testing.T) {
	const depth = 12
	var s Set[int]
	for bits := range 1 << depth {
		tokens := make([]string, depth)
		for i := range tokens {
			tokens[i] = string("a*"[bits>>i&1])
		}
		s.Add(strings.Join(tokens, "."), bits)
	}
	topic := strings.Repeat("a.", depth-1) + "a"
	if got := len(s.Append(nil, topic)); got != 1<<depth {
		t.Errorf("%d values", got)
	}

	var deep Set[int]
	deep.Add(strings.Repeat("*.", MaxTokens-1)+"x", 1)
	deep.Add(strings.Repeat("a.", MaxTokens-1)+"x", 1)
	if deep.Any(strings.Repeat("a.", MaxTokens-1) + "a") {
		t.Error("a match")
	}
}

func BenchmarkSetAppend(b *testing.B) {
	var s Set[int]
	patterns := []string{"quake.>", "quake.*.tsunami", "*.usgs.tsunami", "quake.usgs.tsunami", "quake.jma.*", "other.>"}
	for i, p := range patterns {
		s.Add(p, i)
	}
	const topic = "quake.usgs.tsunami"
	dst := make([]int, 0, len(patterns))
	b.Run("baseline=each", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst = dst[:0]
			for i, p := range patterns {
				if Match(p, topic) {
					dst = append(dst, i)
				}
			}
		}
	})
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst = s.Append(dst[:0], topic)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate("quake.usgs.tsunami"); err != nil {
			b.Fatal(err)
		}
	}
}
