package gro

import (
	"encoding/binary"
	"net"
	"slices"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// burst is packets that the kernel has handed over in one piece. The zero burst is empty.
type burst struct {
	data    []byte
	size    int // of each packet but the last
	packets int // in data; what comes alone may be empty
	control []byte
	flags   int
	from    net.Addr
}

// burstOf takes a burst out of the message it was read into, and changes the message's OOB. It is empty if
// the sizes of the packets are not known.
func burstOf(m *ipv4.Message) burst {
	if m.Flags&unix.MSG_CTRUNC != 0 {
		return burst{}
	}
	size, control, ok := cutSize(m.OOB[:m.NN])
	if !ok {
		return burst{}
	}
	b := burst{data: m.Buffers[0][:m.N], size: size, packets: 1, control: control, flags: m.Flags, from: m.Addr}
	if 0 < size && size < m.N {
		b.packets = (m.N + size - 1) / size
	}
	return b
}

// next moves the first packet of b into m. It reports false if there is none.
func (b *burst) next(m *ipv4.Message) bool {
	if b.packets == 0 {
		return false
	}
	packet := b.data
	if b.packets > 1 {
		packet = b.data[:b.size]
	}
	b.data = b.data[len(packet):]
	b.packets--

	m.Addr, m.Flags, m.N = b.from, b.flags, 0
	for _, buffer := range m.Buffers {
		m.N += copy(buffer, packet[m.N:])
	}
	if m.N < len(packet) {
		m.Flags |= unix.MSG_TRUNC
	}
	m.NN = 0
	if len(b.control) <= len(m.OOB) {
		m.NN = copy(m.OOB, b.control)
	} else { // a part of it would end within a control message
		m.Flags |= unix.MSG_CTRUNC
	}
	return true
}

// cutSize takes the size of the packets out of the control messages and returns it, 0 if there is none, and the others.
// It reports false for what are no control messages.
func cutSize(control []byte) (size int, others []byte, ok bool) {
	others = control
	for rest := control; len(rest) > 0; {
		if len(rest) < unix.SizeofCmsghdr {
			return 0, nil, false
		}
		header, value, after, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return 0, nil, false
		}
		if header.Level == unix.SOL_UDP && header.Type == unix.UDP_GRO {
			if len(value) < 4 {
				return 0, nil, false
			}
			size = int(int32(binary.NativeEndian.Uint32(value)))
			start := len(control) - len(rest)
			return size, slices.Delete(control, start, len(control)-len(after)), true
		}
		rest = after
	}
	return size, others, true
}
