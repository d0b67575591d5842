package gro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// patience is how long a packet on loopback may take.
const patience = 10 * time.Second

// counting counts the reads of a socket.
type counting struct {
	batchReader
	reads atomic.Int64
	begun chan struct{} // has a value once one has begun
}

func (c *counting) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	if c.reads.Add(1) == 1 {
		c.begun <- struct{}{}
	}
	return c.batchReader.ReadBatch(ms, flags)
}

// open opens a socket as quic-go prepares it, ECN and packet information included, and its reader.
func open(t testing.TB, addr string) (*net.UDPConn, *Reader, *counting) {
	t.Helper()
	conn := listen(t, addr)
	control(t, conn, func(fd int) error {
		v4 := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1), unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1))
		v6 := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1), unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1))
		if v4 != nil && v6 != nil {
			return v4
		}
		return nil
	})
	r, err := New(conn)
	if errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{batchReader: r.socket, begun: make(chan struct{}, 1)}
	r.socket = c
	conn.SetReadDeadline(time.Now().Add(patience))
	return conn, r, c
}

func listen(t testing.TB, addr string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

func control(t testing.TB, conn *net.UDPConn, do func(fd int) error) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := errors.Join(raw.Control(func(fd uintptr) { failed = do(int(fd)) }), failed); err != nil {
		t.Fatal(err)
	}
}

// sendBurst sends with segmentation offload, marked as congestion-experienced.
func sendBurst(t testing.TB, from *net.UDPConn, to *net.UDPAddr, data []byte, size int) {
	t.Helper()
	mark := message(unix.IPPROTO_IP, unix.IP_TOS, int32Of(3))
	if to.IP.To4() == nil {
		mark = message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int32Of(3))
	}
	segment := message(unix.SOL_UDP, unix.UDP_SEGMENT, binary.NativeEndian.AppendUint16(nil, uint16(size)))
	if _, _, err := from.WriteMsgUDP(data, slices.Concat(mark, segment), to); err != nil {
		t.Fatal(err)
	}
}

// read reads n packets.
func read(t *testing.T, r *Reader, n int) (all []ipv4.Message) {
	t.Helper()
	for len(all) < n {
		ms := make([]ipv4.Message, 8)
		for i := range ms {
			ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 1452)}, OOB: make([]byte, 128)}
		}
		got, err := r.ReadBatch(ms, 0)
		if err != nil {
			t.Fatalf("%d of %d packets: %v", len(all), n, err)
		}
		all = append(all, ms[:got]...)
	}
	return all
}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i / 7)
	}
	return b
}

var families = []struct{ name, listen, host string }{
	{"IPv4", "127.0.0.1:0", "127.0.0.1"},
	{"IPv6", "[::1]:0", "::1"},
	{"IPv4 only, every address", "0.0.0.0:0", "127.0.0.1"},
	{"IPv4 to both", ":0", "127.0.0.1"},
	{"IPv6 to both", ":0", "::1"},
}

// TestBurstArrives holds that a burst is read at once, and that each of its packets is as if it had come alone.
func TestBurstArrives(t *testing.T) {
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			conn, r, c := open(t, family.listen)
			from := listen(t, net.JoinHostPort(family.host, "0"))
			to := &net.UDPAddr{IP: net.ParseIP(family.host), Port: conn.LocalAddr().(*net.UDPAddr).Port}
			sent := payload(53*1200 + 7)
			sendBurst(t, from, to, sent, 1200)
			got := read(t, r, 54)
			if len(got) != 54 || c.reads.Load() != 1 {
				t.Errorf("%d packets in %d reads, want 54 in one", len(got), c.reads.Load())
			}
			var all []byte
			for _, m := range got {
				all = append(all, m.Buffers[0][:m.N]...)
				checkMeta(t, &m, from, to.IP)
			}
			if !bytes.Equal(all, sent) || got[53].N != 7 {
				t.Errorf("%d bytes, the last packet %d", len(all), got[53].N)
			}
		})
	}
}

// checkMeta looks for the source, the ECN mark and the destination that quic-go wants to know of each packet.
func checkMeta(t *testing.T, m *ipv4.Message, from *net.UDPConn, to net.IP) {
	t.Helper()
	source := m.Addr.(*net.UDPAddr)
	if want := from.LocalAddr().(*net.UDPAddr); !source.IP.Equal(want.IP) || source.Port != want.Port {
		t.Errorf("from %s, want %s", source, want)
	}
	messages, err := unix.ParseSocketControlMessage(m.OOB[:m.NN])
	if err != nil {
		t.Fatal(err)
	}
	var marked, addressed bool
	for _, c := range messages {
		switch {
		case c.Header.Level == unix.IPPROTO_IP && c.Header.Type == unix.IP_TOS:
			marked = c.Data[0] == 3
		case c.Header.Level == unix.IPPROTO_IPV6 && c.Header.Type == unix.IPV6_TCLASS:
			marked = binary.NativeEndian.Uint32(c.Data) == 3
		case c.Header.Level == unix.IPPROTO_IP && c.Header.Type == unix.IP_PKTINFO:
			addressed = net.IP(c.Data[8:12]).Equal(to)
		case c.Header.Level == unix.IPPROTO_IPV6 && c.Header.Type == unix.IPV6_PKTINFO:
			addressed = net.IP(c.Data[:16]).Equal(to)
		}
	}
	if !marked || !addressed {
		t.Errorf("ECN %t, destination %t, in %v", marked, addressed, messages)
	}
}

// TestPlainPacketsArrive holds that packets sent one by one, of any size, keep their borders.
func TestPlainPacketsArrive(t *testing.T) {
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			conn, r, _ := open(t, family.listen)
			from := listen(t, net.JoinHostPort(family.host, "0"))
			to := &net.UDPAddr{IP: net.ParseIP(family.host), Port: conn.LocalAddr().(*net.UDPAddr).Port}
			sizes := []int{1200, 1200, 1200, 3, 0, 1452, 1, 1452, 5000}
			for _, size := range sizes {
				if _, err := from.WriteTo(payload(size), to); err != nil {
					t.Fatal(err)
				}
			}
			for i, m := range read(t, r, len(sizes)) {
				want := payload(sizes[i])[:min(sizes[i], 1452)]
				if !bytes.Equal(m.Buffers[0][:m.N], want) || m.Flags&unix.MSG_TRUNC != 0 != (sizes[i] > 1452) {
					t.Errorf("packet %d: %d bytes, want %d; flags %#x", i, m.N, len(want), m.Flags)
				}
			}
		})
	}
}

// TestSourcesKeepApart interleaves the bursts of several sockets.
func TestSourcesKeepApart(t *testing.T) {
	conn, r, _ := open(t, "127.0.0.1:0")
	to := conn.LocalAddr().(*net.UDPAddr)
	senders := make([]*net.UDPConn, 5)
	for i := range senders {
		senders[i] = listen(t, "127.0.0.1:0")
	}
	const rounds, packets = 6, 7
	for range rounds {
		for i, s := range senders {
			sendBurst(t, s, to, bytes.Repeat([]byte{byte(i)}, packets*100), 100)
		}
	}
	seen := make([]int, len(senders))
	for _, m := range read(t, r, rounds*packets*len(senders)) {
		i := int(m.Buffers[0][0])
		checkMeta(t, &m, senders[i], to.IP)
		if m.N != 100 || !bytes.Equal(m.Buffers[0][:m.N], bytes.Repeat([]byte{byte(i)}, 100)) {
			t.Fatalf("%x", m.Buffers[0][:m.N])
		}
		seen[i]++
	}
	if want := slices.Repeat([]int{rounds * packets}, len(senders)); !slices.Equal(seen, want) {
		t.Errorf("packets of each source: %v", seen)
	}
}

// TestReadersTakeTurns reads with several goroutines: each packet is read once, and Close ends all.
func TestReadersTakeTurns(t *testing.T) {
	conn, r, _ := open(t, "127.0.0.1:0")
	from := listen(t, "127.0.0.1:0")
	const bursts, packets = 20, 10
	seen := make(chan byte, bursts*packets)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			ms := []ipv4.Message{{Buffers: [][]byte{make([]byte, 100)}}, {Buffers: [][]byte{make([]byte, 100)}}, {Buffers: [][]byte{make([]byte, 100)}}}
			for {
				n, err := r.ReadBatch(ms, 0)
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				for _, m := range ms[:n] {
					seen <- m.Buffers[0][0]
				}
			}
		})
	}
	for i := range bursts {
		data := make([]byte, packets*50)
		for j := range packets {
			data[j*50] = byte(i*packets + j)
		}
		sendBurst(t, from, conn.LocalAddr().(*net.UDPAddr), data, 50)
	}
	var times [bursts * packets]int
	for range bursts * packets {
		select {
		case number := <-seen:
			times[number]++
		case <-time.After(patience):
			t.Fatal("packets are missing")
		}
	}
	for number, n := range times {
		if n != 1 {
			t.Errorf("packet %d was read %d times", number, n)
		}
	}
	conn.Close()
	readers.Wait()
}

// TestDeadlineEndsRead holds that a deadline set while a read waits ends it, and that a later one lets reads go on.
func TestDeadlineEndsRead(t *testing.T) {
	conn, r, c := open(t, "127.0.0.1:0")
	ended := make(chan error, 1)
	go func() {
		_, err := r.ReadBatch(make([]ipv4.Message, 1), 0)
		ended <- err
	}()
	<-c.begun
	conn.SetReadDeadline(time.Now())
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v, want the deadline", err)
		}
	case <-time.After(patience):
		t.Fatal("the read goes on")
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	sendBurst(t, listen(t, "127.0.0.1:0"), conn.LocalAddr().(*net.UDPAddr), payload(300), 100)
	read(t, r, 3)
}

// TestWithoutOffload holds that a system that can't says so and leaves the socket as it was.
func TestWithoutOffload(t *testing.T) {
	conn := listen(t, "127.0.0.1:0")
	r, err := newReader(conn, func(int, int, int, int) error { return unix.ENOPROTOOPT })
	if r != nil || !errors.Is(err, unix.ENOPROTOOPT) {
		t.Errorf("%v, %v", r, err)
	}
	control(t, conn, func(fd int) error {
		if on, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO); err == nil && on != 0 {
			t.Error("the offload is on")
		}
		return nil
	})
	conn.Close()
	if r, err := New(conn); r != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v, %v", r, err)
	}
}
