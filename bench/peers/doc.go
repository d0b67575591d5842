// Command peers measures the bus beside other messaging systems: embedded NATS, gRPC, drpc, libp2p, MQTT and, with the tag zmq, ZeroMQ. It is
// the harness of bench with more contenders, in a module of its own, so that nobody who uses the bus gets their
// dependencies.
//
//	go -C bench/peers run .                      how fast: one-way and ping-pong, all of them
//	go -C bench/peers run . --peer nats/tls      one of them
//	go -C bench/peers run . links                across bad links, as bench/wan; takes Linux and root
//	go -C bench/peers run . behaviour            what happens to events when something goes wrong
//
// README.md in this directory has what is compared and what the columns mean.
package main
