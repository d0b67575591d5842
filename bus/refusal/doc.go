// Package refusal is what the transports have in common when one side of a TLS handshake refuses the other: the
// close code that the refusal has, what the refused side is told, and a log that strangers cannot flood.
package refusal
