// Command report draws the results of the benchmarks: one HTML page that needs nothing else, and each of its figures as an SVG
// file. It reads what [github.com/verbose-bus/verbose/bench] and its peers write, of one run or of several.
//
//	go run ./bench/report [--out DIR] FILE...
//
// The folder figures has those of the README.
//
// document.go is what it reads and figures.go what it draws of it: bars.go, and, on plot.go, curves.go,
// losses.go and outage.go, all of them on drawing.go and scale.go. page.go is the page around them. Everything but main.go is a pure function of the files.
package main
