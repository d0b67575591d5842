package codec

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that break the format.
var ErrMalformed = errors.New("malformed")

// malformed returns an error that says which part of a batch is wrong, at which
// byte of it, and how.
func malformed(part string, at int, format string, args ...any) error {
	return fmt.Errorf("codec: %w %s at byte %d: %s", ErrMalformed, part, at, fmt.Sprintf(format, args...))
}
