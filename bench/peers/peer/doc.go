// Package peer has other messaging systems as contenders: each as its own documentation advises for speed, with the same
// certificates as the bus where it encrypts.
//
// Those that give a stream of messages or of bytes (gRPC, drpc, libp2p) are ends of [contender.NewStreams], as the baselines are; those with
// subjects of their own (NATS, MQTT, ZeroMQ) are ends in their own right. What none of them can count, packets and
// bytes on the network, is left at zero.
package peer
