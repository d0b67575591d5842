package main

import (
	"os"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/suite"
)

// program is the suite across links.
func program(root string) suite.Program {
	return suite.Program{New: contender.New, Root: root, Links: true}
}

func main() { program(".").Main(os.Args[1:]) }
