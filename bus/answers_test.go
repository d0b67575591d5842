package bus

import (
	"fmt"
	"testing"
)

// What is remembered of a topic is good until the generation ends, and there is a bound to it.
func TestAnswers(t *testing.T) {
	var a answers
	asked, truth := 0, map[string]bool{"x": true}
	about := func(topic string, gen uint64) bool {
		a.turn()
		return a.about(topic, gen, func(topic string) bool { asked++; return truth[topic] })
	}
	for range 3 {
		if !about("x", 1) || about("y", 1) {
			t.Fatal("the answer is another topic's")
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times about 2 topics", asked)
	}
	truth["y"] = true
	if about("y", 1) || !about("y", 2) || !a.about("y", 2, nil) {
		t.Error("an answer is not good for one generation")
	}
	truth["y"] = false
	if a.about("y", 3, func(string) bool { return false }) {
		t.Error("the last answer outlives its generation")
	}
	for i := range 3 * maxAnswers {
		about(fmt.Sprint(i), 3)
	}
	if len(a.of) > maxAnswers {
		t.Errorf("%d topics are remembered", len(a.of))
	}
}
