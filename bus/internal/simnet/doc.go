// Package simnet is a packet network in memory, for whole nodes with their real transports: hosts with addresses, and
// between any two of them a link that delays, loses, reorders, duplicates, limits and cuts. It is made for
// testing/synctest, where minutes of it take milliseconds.
//
// A [Host] opens packet sockets, which quictransport runs on, and TCP-like connections for tcptransport. Both
// send packets over the same links. A connection is reliable and in order, as TCP's, by acknowledgements, retransmission
// and congestion control of its own, so what a link does to TCP it does to it: a lost segment holds up what is behind
// it, a silent link is tried again at doubling intervals, and a host that changes its address is reset.
//
// # Order
//
// Everything that is due at some time (an arrival, a timer) happens in one order, and each direction of a link draws the
// same number of random numbers for each packet, whatever its conditions. So a network of the same seed treats the same
// packets alike, and other conditions in one direction leave the draws of all others as they were.
//
// # Bounds
//
// A direction of a link holds 16,384 packets on their way, a packet socket 4,096 that were not read, and a side of a
// connection 64 KiB of what was not sent and 256 KiB each of what was not acknowledged and not read. Nothing here has a
// goroutine between its events.
package simnet
