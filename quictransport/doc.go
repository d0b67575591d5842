// Package quictransport is the bus's transport over QUIC (RFC 9000), by
// quic-go: encrypted, without head-of-line blocking between streams, and
// alive across changes of the client's address.
//
// # Sockets
//
// A listening address is one UDP socket, and dialling uses the first listening socket that can
// reach the peer, so that a peer sees one address of a node whoever dials. Where none can (nothing listens,
// or it is bound to another interface), a socket on a random port is opened once and kept. Sockets
// stay open until [Transport.Close]; listening again on an address whose listener was closed uses its socket again. One that the
// system or Config.ListenPacket lets fail is closed: its connections and its listener end with the reason, and what comes next opens another.
//
// # Trust
//
// Both sides prove their id with a certificate (package certs). The dialling side is done with its handshake
// before the listening side has judged its certificate. Waiting for the verdict
// would cost a round trip, so a refusal by the listening side may end Dial or, just after, the
// connection; both give a *[bus.PeerError] with [bus.CloseUntrusted] and Remote set.
//
// # Bounds
//
// Of handshakes that are not finished, at most 256 per socket are kept, for 20 s; from 32 on, an address must prove
// that it receives what is sent to it (Retry, RFC 9000 section 8.1.2). A host that has proved it may have as many of them as
// places are free, so that strangers at some hosts leave room for nodes at others. A connection accepts 80
// streams at a time and buffers at most 6 MiB per stream and 15 MiB in all for a reader that
// does not read. 32 finished connections wait for Accept, further ones are refused. On Linux, a socket has 128 KiB of
// buffers to receive bursts in (UDP_GRO), and at most 512 KiB when it is busy.
package quictransport
