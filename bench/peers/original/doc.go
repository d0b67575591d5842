// Package original has the package verbose of Node.js as a contender: its process of a measurement is a program of Node.js.
package original
