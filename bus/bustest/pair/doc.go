// Package pair is what the tests of the transports are made of: two nodes of one CA on this host, a connection
// between them, and what a test waits for on it.
package pair
