package main

import (
	"errors"
	"fmt"
	"os"
)

// output is where a command prints. It keeps the first error, for the end of the command. Not safe for concurrent use.
type output struct {
	file *os.File
	err  error
}

// Write writes to the file, or returns the error from before.
func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.file.Write(p)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		o.err = fmt.Errorf("can't write to %s: %w", o.file.Name(), err)
	}
	return n, o.err
}
