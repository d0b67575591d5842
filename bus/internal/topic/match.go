package topic

import "slices"

// Match reports whether topic matches pattern. It allocates nothing.
func Match(pattern, topic string) bool {
	for {
		p, patternRest, patternMore := cut(pattern)
		if p == anyTail && !patternMore {
			return true
		}
		t, topicRest, topicMore := cut(topic)
		if p != t && p != anyOne || patternMore != topicMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, topic = patternRest, topicRest
	}
}

// Covers reports whether every topic that matches pattern b matches pattern a. It
// allocates nothing. The limit on the length of topics is not taken into account.
func Covers(a, b string) bool {
	for {
		at, aRest, aMore := cut(a)
		if at == anyTail && !aMore {
			return true
		}
		bt, bRest, bMore := cut(b)
		if bt == anyTail && !bMore || at != bt && at != anyOne || aMore != bMore {
			return false
		}
		if !aMore {
			return true
		}
		a, b = aRest, bRest
	}
}

// Minimise returns the fewest of the patterns that match all topics that patterns
// match: sorted, without duplicates, and without those another one covers. It does
// not change what it is given.
func Minimise(patterns []string) []string {
	sorted := slices.Clone(patterns)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	var set Set[struct{}]
	for _, p := range sorted {
		set.Add(p, struct{}{})
	}
	// No two patterns cover each other, so that the order does not matter: what
	// covers one that has been dropped is still there, or covered itself.
	return slices.DeleteFunc(sorted, func(p string) bool {
		set.Remove(p, struct{}{})
		if set.root.covers(p) {
			return true
		}
		set.Add(p, struct{}{})
		return false
	})
}
