// Package bustest has what tests of the bus need: a network in memory, nodes that are linked
// over it, and the suite that every transport must pass.
package bustest
