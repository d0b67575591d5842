package bustest

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/verbose-bus/verbose/bus"
)

// The rules of peers that say nothing.

// frozenPeer has a peer that stops, with connections that either side has dialled, and bulk on its way.
func frozenPeer(t *trial) {
	if t.factory.Freezing == nil {
		t.Skip("the factory has no Freezing")
	}
	frozen, freeze, thaw := t.factory.Freezing(t.TB)
	t.closes(frozen)
	theirs := t.listen(frozen)
	dialled := t.dial(t.client, theirs)
	there := t.accept(theirs)
	back := t.dial(frozen, t.listener)
	arrived := t.accept(t.listener)
	opened1, _ := t.streamsOn(dialled, there)
	opened2, _ := t.streamsOn(dialled, there)
	_, accepted1 := t.streamsOn(back, arrived)
	_, accepted2 := t.streamsOn(back, arrived)

	freeze()
	defer thaw()
	bulk := t.bulkToNobody(dialled)
	t.keepsDeadlines(opened1)
	t.ends("AcceptStream", func(ctx context.Context) error { _, err := dialled.AcceptStream(ctx); return err })
	t.ends("Dial", func(ctx context.Context) error {
		_, err := t.client.Dial(ctx, theirs.Addr().String(), uuid.Nil)
		return err
	})
	calls := t.busy(dialled, opened1, opened2)
	t.must(t.start(func() error { return dialled.CloseWithCode(bus.CloseTooSlow, "no answer") }).wait(t, "CloseWithCode"))
	t.over(dialled, calls, opened1)
	for _, p := range bulk {
		t.broken("Write of bulk", p.wait(t, "Write of bulk when the connection ends"))
	}
	calls = t.busy(arrived, accepted1, accepted2)
	t.must(t.start(t.server.Close).wait(t, "Transport.Close"))
	t.over(arrived, calls, accepted1)
}

// bulkToNobody fills whatever takes bytes on the way to a peer, sockets included.
func (t *trial) bulkToNobody(c bus.Conn) (writing []pending) {
	t.Helper()
	zeros := make([]byte, tooMuch)
	for range 24 {
		s := t.open(c)
		writing = append(writing, t.start(func() error { _, err := s.Write(zeros); return err }))
	}
	return writing
}

// keepsDeadlines holds that calls on a stream wait for nobody longer than they are told to.
func (t *trial) keepsDeadlines(s bus.Stream) {
	t.Helper()
	for what, p := range map[string]func() pending{
		"Read": func() pending {
			t.must(s.SetReadDeadline(time.Now().Add(settle)))
			return t.startRead(s)
		},
		"Write of more than the stream takes": func() pending {
			t.must(s.SetWriteDeadline(time.Now().Add(settle)))
			return t.startWrite(s)
		},
	} {
		if err := p().wait(t, what); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v, want os.ErrDeadlineExceeded", what, err)
		}
	}
	t.must(s.SetReadDeadline(time.Time{}))
	t.must(s.SetWriteDeadline(time.Time{}))
}

// timeoutSetter skips the rule for transports that do not notice silence.
func (t *trial) timeoutSetter() bus.TimeoutSetter {
	t.Helper()
	setter, ok := t.client.(bus.TimeoutSetter)
	if !ok {
		t.Skip("the transport is no bus.TimeoutSetter")
	}
	return setter
}

func frozenPeerTimesOut(t *trial) {
	setter := t.timeoutSetter()
	if t.factory.Freezing == nil {
		t.Skip("the factory has no Freezing")
	}
	setter.SetTimeout(10 * settle)
	frozen, freeze, thaw := t.factory.Freezing(t.TB)
	t.closes(frozen)
	theirs := t.listen(frozen)
	dialled := t.dial(t.client, theirs)
	t.accept(theirs)
	freeze()
	defer thaw()
	t.peerError("the cause when the peer is silent", t.gone(dialled), bus.CloseTimeout, false)
}

// idlePeersLive has a connection on which nothing is said for longer than its timeout.
func idlePeersLive(t *trial) {
	setter := t.timeoutSetter()
	setter.SetTimeout(quiet) // the server's stays
	t.connect()
	over := time.NewTimer(5 * quiet / 2)
	defer over.Stop()
	select {
	case <-t.dialled.Context().Done():
		t.Fatalf("an idle connection ended: %v", context.Cause(t.dialled.Context()))
	case <-t.arrived.Context().Done():
		t.Fatalf("an idle connection ended at the accepting side: %v", context.Cause(t.arrived.Context()))
	case <-over.C:
	}
	t.passes(t.streams())
}
