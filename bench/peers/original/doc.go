// Package original has the package verbose of Node.js as a contender. Its process of a measurement is a program of Node.js, and so is what is
// behind an end.
package original
