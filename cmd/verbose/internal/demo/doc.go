// Package demo streams a week of earthquakes through a chain of four nodes on
// loopback whose connections are cut again and again, and counts what arrives: over verbose, and over
// plain connections that reconnect and go on with the next event.
//
// Everything is real: four nodes, UDP and TCP sockets, QUIC and TLS with certificates on both sides. The link in the
// middle is over TCP, the others are over QUIC. Cuts are the only thing staged: a
// wrapper around each dialling transport ends a connection in the middle of a write, and
// refuses new ones for a while. Both chains get the same cuts, link for link.
package demo
