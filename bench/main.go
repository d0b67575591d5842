package main

import (
	"os"

	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/bench/suite"
)

func main() { suite.Program{New: contender.New, Root: "."}.Main(os.Args[1:]) }
