package topic

import (
	"fmt"
	"unicode/utf8"
)

const (
	// MaxLen is the longest topic or pattern, in bytes.
	MaxLen = 255
	// MaxTokens is the number of tokens a topic or pattern of MaxLen bytes can have.
	MaxTokens = (MaxLen + 1) / 2

	separator = '.'
	anyOne    = "*"
	anyTail   = ">"
)

// Validate returns an error that says what makes topic not a topic, and at which
// token (from 1), or nil.
func Validate(topic string) error { return validate("topic", topic, false) }

// ValidatePattern is [Validate] for patterns. Every topic is a pattern.
func ValidatePattern(pattern string) error { return validate("pattern", pattern, true) }

func validate(what, s string, wildcards bool) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case len(s) > MaxLen:
		return fmt.Errorf("%s %q… is %d bytes long, %d allowed", what, s[:32], len(s), MaxLen)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s %q is not valid UTF-8", what, s)
	}
	for n, rest, more := 1, s, true; more; n++ {
		var token string
		token, rest, more = cut(rest)
		if wrong := checkToken(token, wildcards, !more); wrong != "" {
			return fmt.Errorf("%s %q: token %d %s", what, s, n, wrong)
		}
	}
	return nil
}

// checkToken returns what is wrong with a token, or "".
func checkToken(token string, wildcards, last bool) string {
	switch {
	case token == "":
		return "is empty"
	case token == anyOne && !wildcards, token == anyTail && !wildcards:
		return fmt.Sprintf("is the wildcard %q, which only patterns may have", token)
	case token == anyTail && !last:
		return fmt.Sprintf("is the wildcard %q, which only the last may be", token)
	}
	for i := range len(token) {
		switch c := token[i]; {
		case c == ' ':
			return "has a space"
		case c < ' ' || c == 0x7f:
			return fmt.Sprintf("has the control character %q", c)
		}
	}
	return ""
}

// cut returns the first token of s, and what follows the dot after it.
func cut(s string) (token, rest string, more bool) {
	// Tokens are short: a loop beats the set-up of a vectored search.
	for i := range len(s) {
		if s[i] == separator {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
