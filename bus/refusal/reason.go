package refusal

import (
	"strings"
	"unicode"
)

// MaxReason is the most bytes of a reason that a transport sends or takes from a peer.
const MaxReason = 256

// Reason makes a text that a peer chose fit for a log line: valid UTF-8 without control characters, at most MaxReason bytes.
func Reason(text string) string {
	if len(text) > MaxReason {
		text = text[:MaxReason]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, strings.ToValidUTF8(text, ""))
}
