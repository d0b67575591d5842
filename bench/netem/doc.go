// Package netem emulates a network for real sockets: hosts with addresses of their own, and between any two of them a
// link that delays, limits, loses, reorders, duplicates and cuts packets. It is made for tests of, and measurements on,
// bad networks that a loopback interface never is, and needs nothing of the kernel but network namespaces and TUN devices.
//
// # How it works
//
// Each [Host] is a network namespace of the kernel with one TUN device. The kernel's own TCP and UDP run in it, so what
// is measured is their behaviour; sockets and processes are made in the namespace through the host's methods. One thread
// reads the packets that come out of all devices, has a model of the link decide when each arrives (never, once or
// twice), and writes it to the receiving host's device when that time has come.
//
// Each direction of a link has a [Profile] of its own, which may change while traffic runs, and a stream of
// random numbers from which it draws the same number for each packet. So the model treats the n-th packet of a direction
// alike in each network of the same seed, whatever the others do. What the packets are, and when they come,
// is up to the kernel: a seed does not repeat a run.
//
// # Units
//
// Sizes are bytes of IP packets, with their headers; rates are bits of them per second. Shares are from 0 to 1. A
// delay is one way, so a round trip takes that of both directions.
//
// # Limits
//
// It runs on Linux, as root, with /dev/net/tun: [Supported] tells. It carries IPv4 only, in packets of up to
// 1,500 bytes, from and to addresses of 198.18.0.0/15 (RFC 2544). One thread does all the work, a fifth to a half of a
// processor for 100 Mbit/s: keep the sum of the rates at or below 200 Mbit/s. A direction holds 65,536 packets on their way.
//
// Packets are 30 to 150 µs late on an idle machine and milliseconds on one that is busy. What is busy in this process is
// worst, because goroutines take turns with the thread: measure programs in processes of their own, which
// [Host.Start] starts. A measurement reports [Stats.Lateness] and is void where [Network.Verdict] objects. How long a packet
// waited to be read is not in it, but the thread that is late to read is late to write as well.
package netem
