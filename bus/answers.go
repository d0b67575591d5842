package bus

// maxAnswers is how many topics are remembered.
const maxAnswers = 1024

// answers are what the engine said of topics. They are good for one generation of what they depend on.
type answers struct {
	gen   uint64
	of    map[string]bool
	fresh bool // last is about the topic that is asked about next, if the generation is the same
	last  bool
}

// about returns the answer for a topic, which is asked for where it is not known.
func (a *answers) about(topic string, gen uint64, ask func(topic string) bool) bool {
	if gen != a.gen || len(a.of) >= maxAnswers {
		clear(a.of)
		a.gen, a.fresh = gen, false
	}
	if a.fresh {
		return a.last
	}
	answer, ok := a.of[topic]
	if !ok {
		if a.of == nil {
			a.of = make(map[string]bool)
		}
		answer = ask(topic)
		a.of[topic] = answer
	}
	a.fresh, a.last = true, answer
	return answer
}

// turn is called when the next topic is another than the last.
func (a *answers) turn() { a.fresh = false }
