package topic

import (
	"slices"
	"strings"
)

// Set holds values by pattern, and finds those whose pattern matches a topic. The
// zero Set is empty.
//
// A look-up visits each node of the trie once at most, and so is bounded by the
// number of tokens in the set, whatever its patterns and the topic; nearly always it
// is the number of tokens in the topic, times one more for each "*" that leads on.
//
// Look-ups may be concurrent with each other, but not with Add and Remove.
type Set[T comparable] struct {
	root node[T]
	n    int
}

// node is where the patterns that begin with the same tokens go on.
type node[T comparable] struct {
	next   map[string]*node[T] // by the next token, if it is no wildcard
	one    *node[T]            // the next token is "*"
	tail   []T                 // the next and last token is ">"
	values []T                 // there is no next token
}

// Add adds v under pattern. Adding it there again changes nothing.
func (s *Set[T]) Add(pattern string, v T) {
	at := &s.root
	for more := true; more; {
		var token string
		token, pattern, more = cut(pattern)
		if token == anyTail && !more {
			s.n += insert(&at.tail, v)
			return
		}
		at = at.child(token)
	}
	s.n += insert(&at.values, v)
}

// Remove removes v from pattern, and reports whether it was there.
func (s *Set[T]) Remove(pattern string, v T) bool {
	if !s.root.remove(pattern, v) {
		return false
	}
	s.n--
	return true
}

// Append appends the values of all patterns that match topic to dst: a value that
// is there under several of them, once for each. It allocates nothing but what dst
// needs to grow. The order depends on nothing but the calls that made the set.
func (s *Set[T]) Append(dst []T, topic string) []T { return s.root.append(dst, topic) }

// Any reports whether any pattern matches topic. It allocates nothing.
func (s *Set[T]) Any(topic string) bool { return s.root.anyMatch(topic) }

// Len returns the number of values, each counted once per pattern it is under.
func (s *Set[T]) Len() int { return s.n }

func insert[T comparable](values *[]T, v T) int {
	if slices.Contains(*values, v) {
		return 0
	}
	*values = append(*values, v)
	return 1
}

func erase[T comparable](values *[]T, v T) bool {
	i := slices.Index(*values, v)
	if i < 0 {
		return false
	}
	*values = slices.Delete(*values, i, i+1)
	return true
}

// child returns the node after token, which it makes where there is none.
func (n *node[T]) child(token string) *node[T] {
	if token == anyOne {
		if n.one == nil {
			n.one = new(node[T])
		}
		return n.one
	}
	c := n.next[token]
	if c == nil {
		c = new(node[T])
		if n.next == nil {
			n.next = make(map[string]*node[T])
		}
		n.next[strings.Clone(token)] = c // or the map would hold on to the pattern, and that to its frame
	}
	return c
}

// after returns the node after token, or nil.
func (n *node[T]) after(token string) *node[T] {
	if token == anyOne {
		return n.one
	}
	return n.next[token]
}

func (n *node[T]) empty() bool {
	return len(n.next) == 0 && n.one == nil && len(n.tail) == 0 && len(n.values) == 0
}

// remove removes v from the pattern that goes on here, and nodes that thereby
// become empty: a set is never larger than what it holds.
func (n *node[T]) remove(pattern string, v T) bool {
	token, rest, more := cut(pattern)
	if token == anyTail && !more {
		return erase(&n.tail, v)
	}
	c := n.after(token)
	switch {
	case c == nil:
		return false
	case more && !c.remove(rest, v), !more && !erase(&c.values, v):
		return false
	}
	if !c.empty() {
		return true
	}
	if token == anyOne {
		n.one = nil
	} else {
		delete(n.next, token)
	}
	return true
}

func (n *node[T]) append(dst []T, topic string) []T {
	dst = append(dst, n.tail...)
	token, rest, more := cut(topic)
	for _, c := range [...]*node[T]{n.next[token], n.one} {
		switch {
		case c == nil:
		case more:
			dst = c.append(dst, rest)
		default:
			dst = append(dst, c.values...)
		}
	}
	return dst
}

func (n *node[T]) anyMatch(topic string) bool {
	if len(n.tail) > 0 {
		return true
	}
	token, rest, more := cut(topic)
	for _, c := range [...]*node[T]{n.next[token], n.one} {
		switch {
		case c == nil:
		case more:
			if c.anyMatch(rest) {
				return true
			}
		case len(c.values) > 0:
			return true
		}
	}
	return false
}

// covers reports whether a pattern of the set covers pattern.
func (n *node[T]) covers(pattern string) bool {
	if len(n.tail) > 0 {
		return true
	}
	token, rest, more := cut(pattern)
	if token == anyTail && !more {
		return false
	}
	for _, c := range [...]*node[T]{n.next[token], n.one} {
		switch {
		case c == nil:
		case more:
			if c.covers(rest) {
				return true
			}
		case len(c.values) > 0:
			return true
		}
	}
	return false
}
