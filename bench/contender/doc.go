// Package contender has what is compared: nodes of the bus, and the transports below it used with as little as a
// program can get by with: length-prefixed messages on one stream of quic-go, of crypto/tls or of TCP.
package contender
