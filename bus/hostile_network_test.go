package bus_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/quic-go/quic-go"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/quictransport"
)

// What anybody on the network can do, without a certificate.

// dialTCP and dialUDP open plain sockets to the victim's port.
func (v *victim) dialTCP() *net.TCPConn {
	v.t.Helper()
	c, err := net.Dial("tcp", v.addr())
	must(v.t, err)
	return c.(*net.TCPConn)
}

func (v *victim) dialUDP() net.Conn {
	v.t.Helper()
	c, err := net.Dial("udp", v.addr())
	must(v.t, err)
	return c
}

// expectEnd waits until the victim has ended a TCP connection.
func (v *victim) expectEnd(c *net.TCPConn) {
	v.t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil && isTimeout(err) {
		v.t.Errorf("a stranger was not cut off: %v", err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestHostileGarbage(t *testing.T) {
	t.Run("quic", func(t *testing.T) {
		besideAStream(t, "quic", mischief{do: func(v *victim) { // nothing of it is a connection
			c := v.dialUDP()
			defer c.Close()
			p := make([]byte, 1400)
			for i := range 5000 {
				rand.Read(p)
				switch i % 4 {
				case 0:
					copy(p, []byte{0xc0, 0, 0, 0, 1}) // the long header of QUIC 1
				case 1:
					copy(p, []byte{0xc0, 0, 0, 0, 1, 8}) // with an id of a fitting length
				case 2:
					p[0] = p[0]&0x3f | 0x40 // the short header
				}
				c.Write(p[:1+i%len(p)])
			}
		}})
	})
	t.Run("tcp", func(t *testing.T) {
		says := []string{"connection refused", "remote=127.0.0.1:", "does not speak TLS"}
		besideAStream(t, "tcp", mischief{times: 300, says: says, do: func(v *victim) {
			p := make([]byte, 1400)
			for i := range 300 {
				c := v.dialTCP()
				rand.Read(p)
				switch i % 3 {
				case 0:
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: example\r\n\r\n") // and waits
				case 1:
					c.Write(p[:1+i])
					c.CloseWrite()
				case 2:
					copy(p, []byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}) // a hello of TLS
					c.Write(p)
					c.CloseWrite()
				}
				v.expectEnd(c)
				c.Close()
			}
		}})
	})
}

// TestHostilePortScan looks whether somebody is there. Health checks do the same, so the
// log has nothing on it.
func TestHostilePortScan(t *testing.T) {
	t.Run("quic", func(t *testing.T) {
		besideAStream(t, "quic", mischief{do: func(v *victim) {
			for i := range 500 {
				c := v.dialUDP()
				c.Write(nil)
				c.Write([]byte{byte(i)})
				c.Close()
			}
		}})
	})
	t.Run("tcp", func(t *testing.T) {
		besideAStream(t, "tcp", mischief{do: func(v *victim) {
			for i := range 500 {
				c := v.dialTCP()
				if i%2 == 0 {
					c.SetLinger(0) // a reset
				}
				c.Close()
			}
		}})
	})
}

const halfOpen = 1000

// unfinished is in the line about handshakes that were not finished in time.
var unfinished = []string{"connection refused", "remote=127.0.0.1:", "hello timeout", "no handshake"}

func TestHostileHalfOpenConnections(t *testing.T) {
	t.Run("quic", func(t *testing.T) {
		besideAStream(t, "quic", mischief{times: halfOpen, says: unfinished, late: true, do: func(v *victim) {
			hellos := clientHellos(t, halfOpen)
			v.calm = measure() // making them is none of the victim's costs
			c := v.dialUDP()
			defer c.Close()
			for _, p := range hellos {
				c.Write(p)
			}
			v.connect(v.node("late"), v.url()) // there is room for a node beside them
			v.expectBounds("during")
		}})
	})
	t.Run("tcp", func(t *testing.T) {
		besideAStream(t, "tcp", mischief{times: halfOpen, says: unfinished, late: true, do: func(v *victim) {
			var all []*net.TCPConn
			for i := range halfOpen {
				c := v.dialTCP()
				if i%2 == 0 {
					c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}) // a hello of TLS begins
				}
				all = append(all, c)
			}
			v.connect(v.node("late"), v.url())
			v.expectBounds("during")
			for _, c := range all[:halfOpen/2] { // the oldest made room for the others
				v.expectEnd(c)
			}
			for _, c := range all {
				c.Close()
			}
		}})
	})
}

// clientHellos are the first packets of QUIC connections that their diallers gave up at once.
func clientHellos(t *testing.T, n int) (packets [][]byte) {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer socket.Close()
	r := &recorder{plain: plain{socket}}
	tr := &quic.Transport{Conn: r}
	defer tr.Close()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"verbose/1"},
		CurvePreferences: []tls.CurveID{tls.X25519}} // others take two packets
	for range n {
		ctx, cancel := context.WithCancel(t.Context())
		r.next(func(p []byte) {
			packets = append(packets, bytes.Clone(p))
			cancel()
		})
		tr.Dial(ctx, socket.LocalAddr(), config, nil)
	}
	return packets
}

// recorder is a socket that hands a packet to the test instead of sending it.
type recorder struct {
	plain
	mu   sync.Mutex
	sent func([]byte) // nil: packets are lost
}

func (r *recorder) next(sent func([]byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = sent
}

func (r *recorder) WriteTo(p []byte, _ net.Addr) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent != nil {
		r.sent(p)
		r.sent = nil
	}
	return len(p), nil
}

// TestHostileCutHandshake has members whose connection is cut after every few bytes of
// the handshake, or after every packet of it.
func TestHostileCutHandshake(t *testing.T) {
	t.Run("quic", func(t *testing.T) {
		besideAStream(t, "quic", mischief{times: 1 << 30, says: unfinished, late: true, do: func(v *victim) {
			for n := int64(1); v.cutAfterPackets(n); n++ {
			}
			v.connect(v.node("late"), v.url())
		}})
	})
	t.Run("tcp", func(t *testing.T) {
		besideAStream(t, "tcp", mischief{do: func(v *victim) {
			config := v.identity(uuid.Nil, "cut").ClientTLS(uuid.Nil, "verbose/1")
			for n := range v.handshakeSize(config) {
				if n%16 > 1 {
					continue
				}
				c := v.dialTCP()
				if tls.Client(&cutConn{c, n}, config).Handshake() == nil {
					t.Errorf("a handshake cut after %d bytes succeeded", n)
				}
				if n%2 == 0 {
					c.SetLinger(0) // a reset
				}
				c.Close()
			}
			v.connect(v.node("late"), v.url())
		}})
	})
}

// handshakeSize is how many bytes a dialling side sends.
func (v *victim) handshakeSize(config *tls.Config) int {
	v.t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", v.identity(uuid.Nil, "other").ServerTLS("verbose/1"))
	must(v.t, err)
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	must(v.t, err)
	served := make(chan error)
	go func() {
		s, err := ln.Accept()
		if err == nil {
			err = s.(*tls.Conn).Handshake()
			s.Close()
		}
		served <- err
	}()
	const plenty = 1 << 20
	cut := &cutConn{c, plenty}
	must(v.t, tls.Client(cut, config).Handshake())
	must(v.t, <-served)
	c.Close()
	return plenty - cut.left
}

// cutConn lets so many bytes out.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(p []byte) (int, error) {
	if len(p) > c.left {
		c.Conn.Write(p[:c.left])
		return 0, io.ErrClosedPipe
	}
	c.left -= len(p)
	return c.Conn.Write(p)
}

// cutAfterPackets dials over a socket that dies after so many packets, both ways together. It reports
// whether that was before the end of the handshake.
func (v *victim) cutAfterPackets(n int64) (cut bool) {
	ctx, cancel := context.WithCancel(v.t.Context())
	defer cancel()
	socket := &dyingSocket{died: cancel}
	socket.left.Store(n)
	tr := quictransport.New(quictransport.Config{Identity: v.identity(uuid.Nil, "cut"),
		ListenPacket: func(ctx context.Context, addr string) (net.PacketConn, error) {
			var err error
			socket.PacketConn, err = new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:0")
			return socket, err
		}})
	defer tr.Close()
	conn, err := tr.Dial(ctx, v.addr(), uuid.Nil)
	if err == nil {
		conn.CloseWithCode(bus.CloseNormal, "")
	}
	return err != nil
}

// dyingSocket passes so many packets and then none.
type dyingSocket struct {
	plain
	left atomic.Int64
	died func()
}

func (s *dyingSocket) alive() bool {
	left := s.left.Add(-1)
	if left == 0 {
		s.died()
	}
	return left >= 0
}

func (s *dyingSocket) WriteTo(p []byte, addr net.Addr) (int, error) {
	if !s.alive() {
		return len(p), nil
	}
	return s.plain.WriteTo(p, addr)
}

func (s *dyingSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := s.plain.ReadFrom(p)
		if err != nil || s.alive() {
			return n, addr, err
		}
	}
}
