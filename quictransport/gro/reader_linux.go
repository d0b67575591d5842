package gro

import (
	"fmt"
	"net"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// maxBurst is what the kernel puts together at most, in bytes: the longest IP packet.
	maxBurst = 64 << 10
	// maxBursts are read at once at most. Packets that come alone are bursts too, and with fewer of them in a read
	// they would cost more than without the offload: quic-go reads 8.
	maxBursts = 8
	// maxControl has room for the size of the packets, the source and destination of both IP versions, and ECN.
	maxControl = 256
)

// Reader reads the packets of one UDP socket. It keeps buffers of 64 KiB, two of them on a quiet socket and 8
// on one that has been that busy, and starts no goroutine.
//
// ReadBatch may be called concurrently, and calls take turns. The socket's deadline and Close end
// a call that waits.
type Reader struct {
	socket batchReader

	mu      sync.Mutex     // held while waiting for packets: reading is all it guards
	buffers []ipv4.Message // for a burst each
	waiting []ipv4.Message // those of them with bursts that nobody has taken apart yet
	burst   burst          // what is left of it
}

// batchReader is the part of [ipv4.PacketConn] that is used. Despite its name it reads IPv6 as well.
type batchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

// New makes the socket receive with offload, and returns its reader. From then on only the reader
// tells packets apart: the socket's own methods would return whole bursts. An error means
// that the system can't, and that the socket is as it was.
func New(conn *net.UDPConn) (*Reader, error) {
	return newReader(conn, unix.SetsockoptInt)
}

func newReader(conn *net.UDPConn, setsockopt func(fd, level, option, value int) error) (*Reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("gro: %w", err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = setsockopt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1)
	}); err != nil {
		return nil, fmt.Errorf("gro: %w", err)
	}
	if failed != nil {
		return nil, fmt.Errorf("gro: UDP_GRO: %w", failed)
	}
	return readerOf(ipv4.NewPacketConn(conn)), nil
}

func readerOf(socket batchReader) *Reader {
	return &Reader{socket: socket, buffers: append(make([]ipv4.Message, 0, maxBursts), newBuffer())}
}

func newBuffer() ipv4.Message {
	return ipv4.Message{Buffers: [][]byte{make([]byte, maxBurst)}, OOB: make([]byte, maxControl)}
}

// ReadBatch waits for packets and puts one into each message, as [ipv4.PacketConn.ReadBatch] does, with
// the control messages of its burst but for UDP_GRO. It returns how many messages it has filled: at least one, unless there are none or it fails.
// A packet that is longer than the buffers of its message is cut (MSG_TRUNC). Of a burst whose control messages
// did not fit, nobody knows where its packets begin: it is dropped.
func (r *Reader) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(ms) {
		switch {
		case r.burst.next(&ms[n]):
			n++
		case len(r.waiting) > 0:
			r.burst = burstOf(&r.waiting[0])
			r.waiting = r.waiting[1:]
		case n > 0:
			return n, nil // what is here must not wait for more
		default:
			if err := r.receive(flags); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// receive waits for bursts.
func (r *Reader) receive(flags int) error {
	n, err := r.socket.ReadBatch(r.buffers, flags)
	if err != nil {
		return err
	}
	r.waiting = r.buffers[:n]
	if n == len(r.buffers) && n < maxBursts { // there may be more than there is room for
		r.buffers = append(r.buffers, newBuffer())
	}
	return nil
}
