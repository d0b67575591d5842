// Package tcptransport is the bus's transport over TCP, and over Unix sockets ([NewUnix]): TLS 1.3 with both
// sides' certificates, and several streams on one socket, by a framing of its own: WIRE.md in this directory
// specifies it.
//
// # Streams
//
// A stream is a row of frames of at most 16 KiB among those of other streams. What is sent
// next is decided frame by frame, the most urgent stream first, and the kernel is not given more than it can soon
// send, so that bulk delays a control stream by little. A packet that is lost delays all streams,
// which is what package quictransport is for.
//
// Each stream has a window: its reader says how much may be sent, and one that does not read stops
// its own sender and no other. The reader of the socket itself never waits for the application.
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
// Of handshakes that are not finished, at most 256 per listener are kept, for 10 s; beyond, the oldest of the
// host that has the most makes room. 32 finished connections wait for Accept, further ones are refused. A connection
// accepts 80 streams at a time. It buffers at most 128 KiB per stream for a reader that does not read, and 8 MiB more for
// all streams together, which those get whose readers keep up: up to 4 MiB each. A peer that breaks the framing is closed
// with [bus.CloseViolation]. One that has TLS answer it (key updates) and reads none of the answers is given up once 136 KiB wait.
//
// # Silence
//
// A peer that was silent for half the timeout is pinged, and given up after all of it, whatever the
// system's own keepalive does. A connection that ends says why: the peer gets the close code and
// the reason, if it can be reached within a second.
package tcptransport
