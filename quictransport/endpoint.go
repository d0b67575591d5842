package quictransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/verbose-bus/verbose/quictransport/gro"
)

// connectionIDLength is how many bytes the ids of this side's connections have. Whoever asks for an id gets the token that ends its
// connection (RFC 9000 section 21.11), and the key for them outlives the process: of ids of 4 bytes, as quic-go has them, all tokens can
// be collected beforehand.
const connectionIDLength = 8

// endpoint is one packet socket and the QUIC machinery on it. It listens,
// dials, or does both.
type endpoint struct {
	socket    net.PacketConn
	quic      *quic.Transport
	admission *admission
	host      string         // as it was asked for, "" for every address
	local     netip.AddrPort // zero if the socket has no IP address
	listener  *Listener      // nil if it only dials; guarded by Transport.mu
	closing   sync.Once
	closeErr  error // once closing is done
}

// open opens a socket on a local address and hands it to the transport.
func (t *Transport) open(ctx context.Context, addr string) (*endpoint, error) {
	socket, err := t.listenPacket(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("quictransport: %w", err)
	}
	e := &endpoint{socket: socket, admission: newAdmission(t.config.Logger)}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		e.host = plainHost(host)
	}
	if udp, ok := socket.LocalAddr().(*net.UDPAddr); ok {
		e.local = netip.AddrPortFrom(udp.AddrPort().Addr().Unmap(), uint16(udp.Port))
	}
	e.quic = &quic.Transport{
		Conn:                socket,
		ConnectionIDLength:  connectionIDLength,
		VerifySourceAddress: e.admission.verifySource,
		ConnContext:         e.admission.connContext,
	}
	// With a key that outlives the process, a node that restarts on the same address tells its
	// peers at once that their connections are gone (RFC 9000 section 10.3). Each address needs a key of its own: with a shared one,
	// a packet replayed to another socket would make that socket give away the token (section 21.11).
	key, err := t.config.Identity.DeriveKey("quic stateless reset " + socket.LocalAddr().String())
	if err == nil { // otherwise the key is in hardware, and peers notice by their timeout
		e.quic.StatelessResetKey = (*quic.StatelessResetKey)(&key)
	}
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.endpoints = append(t.endpoints, e)
	}
	t.mu.Unlock()
	if closed {
		return nil, errors.Join(errClosed, socket.Close())
	}
	return e, nil
}

func (t *Transport) listenPacket(ctx context.Context, addr string) (net.PacketConn, error) {
	if t.config.ListenPacket != nil {
		return t.config.ListenPacket(ctx, addr)
	}
	conn, err := new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
	if err != nil {
		return nil, err
	}
	return newSocket(conn.(*net.UDPConn), gro.New), nil
}

// lockOpening waits for the right to look for a socket and open one if there is none.
func (t *Transport) lockOpening(ctx context.Context) (unlock func(), err error) {
	select {
	case t.opening <- struct{}{}:
		return func() { <-t.opening }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// close ends what is left on the socket and waits for it.
func (e *endpoint) close() error {
	e.closing.Do(func() {
		e.closeErr = errors.Join(e.quic.Close(), e.socket.Close())
		e.admission.wait()
	})
	return e.closeErr
}

// dropBroken closes a socket and forgets it if an error of quic-go says that it is of no more use: quic-go gives up a
// socket that fails to read. It reports whether that is so.
func (t *Transport) dropBroken(e *endpoint, err error) bool {
	if !errors.Is(err, quic.ErrTransportClosed) {
		return false
	}
	e.close() // what is wrong with it has been said
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endpoints = slices.DeleteFunc(slices.Clone(t.endpoints), func(other *endpoint) bool { return other == e })
	return true
}
