// Package behaviour finds out what becomes of events when something goes wrong: how many of a numbered stream are lost, repeated or out of order,
// and whether the program that sends or receives them was told. The situations:
//
//   - cuts: the connection is reset again and again in the middle of the stream, by a proxy. QUIC has no reset that an outsider
//     could send: there, nothing passes for a while instead.
//   - outage: once, nothing passes for longer than QUIC keeps a connection. Of systems over QUIC only.
//   - diamond: two relays pass on the same stream to one receiver.
//   - stop: the receiver's handler does not return for some seconds, while the sender goes on as fast as it can.
//
// Everyone is used by the same program: it numbers events, tries again what fails, and opens anew what does not connect again by itself. Nothing is added on top: no
// acknowledgements, no numbers that the receiver would look at.
package behaviour
