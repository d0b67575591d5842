// Package gro reads UDP packets with generic receive offload: Linux hands over a burst of packets of
// one sender in one piece, and the reader takes it apart again. It saves most of the system calls
// and of the kernel's work for each packet where packets come in bursts, which is how QUIC sends.
//
// Within a burst all packets have the same size, but for the last one, which may be shorter, and the same
// addresses and ECN mark. A control message (UDP_GRO, udp(7)) tells the size; a packet that came alone has none.
package gro
