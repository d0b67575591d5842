package bus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/certs"
	"github.com/verbose-bus/verbose/codec"
)

// What members can do: neighbours with a good certificate. What they say is made here, after
// PROTOCOL.md §4; only the snapshot is an honest node's.

// rogue is a member that says what it likes.
type rogue struct {
	t         *testing.T
	victim    bus.Origin
	transport bus.Transport
	conn      bus.Conn
	control   bus.Stream
}

// rogue connects one to the victim. It has a control stream, on which nothing was said.
func (v *victim) rogue(identity *certs.Identity) *rogue {
	v.t.Helper()
	tr := v.transport(identity, nil)
	v.t.Cleanup(func() { tr.Close() })
	return v.rogueOver(tr)
}

func (v *victim) rogueOver(tr bus.Transport) *rogue {
	v.t.Helper()
	r := &rogue{t: v.t, victim: v.target.Origin(), transport: tr}
	var err error
	r.conn, err = tr.Dial(soon(v.t), v.addr(), uuid.Nil)
	must(v.t, err)
	r.control = r.open()
	return r
}

func (r *rogue) open() bus.Stream {
	r.t.Helper()
	s, err := r.conn.OpenStream(soon(r.t))
	must(r.t, err)
	return s
}

func (r *rogue) id() uuid.UUID { return r.transport.ID() }

// say writes to a stream. The victim may have ended the connection.
func (r *rogue) say(s bus.Stream, parts ...[]byte) { s.Write(slices.Concat(parts...)) }

// expectClosed waits until the victim has closed the connection with a code.
func (r *rogue) expectClosed(code bus.CloseCode, reason string) {
	r.t.Helper()
	select {
	case <-r.conn.Context().Done():
	case <-soon(r.t).Done():
		r.t.Fatal("the connection was not closed")
	}
	cause := context.Cause(r.conn.Context())
	var peer *bus.PeerError
	if !errors.As(cause, &peer) || peer.Code != code || !peer.Remote || !strings.Contains(peer.Reason, reason) {
		r.t.Errorf("closed with %v, want %v: %q", cause, code, reason)
	}
}

// Frames, as in PROTOCOL.md §4.2 to §4.5.

func rawFrame(kind byte, body ...[]byte) []byte {
	b := append([]byte{kind}, slices.Concat(body...)...)
	return append(uvarint(uint64(len(b))), b...)
}

func uvarint(n uint64) []byte { return binary.AppendUvarint(nil, n) }

func text(s string) []byte { return append(uvarint(uint64(len(s))), s...) }

const rogueEpoch = 7

func (r *rogue) hello() []byte {
	id := r.id()
	return rawFrame(0x01, []byte{1, 1}, id[:], uvarint(rogueEpoch), uvarint(0), uvarint(1), []byte{0},
		uvarint(1<<20), uvarint(60_000), text("rogue"), text(""))
}

// greeting is everything up to READY, as an honest node with the patterns says it.
func (r *rogue) greeting(patterns ...string) (b []byte) {
	m := protocol.New(0, protocol.Config{ID: r.id(), Epoch: rogueEpoch, Lanes: 1, MaxPeers: 1, MaxOrigins: 1, MaxBatch: 1 << 20,
		BufferMax: 1, BufferBytes: 1, BufferTimeout: time.Minute, BlockTimeout: time.Minute, ReceiveBytes: 1,
		Timeout: time.Minute, AckInterval: time.Second, HelloTimeout: time.Minute})
	m.SetPatterns(0, patterns)
	m.AddPath(0, protocol.PathInfo{ID: 1, Peer: r.conn.Peer(), Dialed: true, Link: 1, Nonce: 1})
	for {
		more := m.PollControl(0, 1, nil)
		if len(more) == 0 {
			return b
		}
		b = append(b, more...)
	}
}

func (r *rogue) logID() codec.LogID { return codec.LogID{Node: r.id(), Epoch: rogueEpoch} }

// data is what a data stream says to send one event, the first of the rogue's log.
func (r *rogue) data(topic string) []byte {
	id := r.id()
	b := codec.NewBuilder(r.logID(), 1)
	b.Append(topic, codec.EncodingRaw, 0, nil, []byte("from a rogue"))
	batch := b.Seal(codec.NewCompressor(codec.Off))
	return slices.Concat(rawFrame(0x20, []byte{0}),
		rawFrame(0x21, uvarint(0), id[:], uvarint(rogueEpoch), []byte{0}, uvarint(1), uvarint(0)),
		rawFrame(0x22, uvarint(0), uvarint(0), uvarint(0), batch.Bytes()))
}

// TestHostileGreetings has members that begin in a wrong way.
func TestHostileGreetings(t *testing.T) {
	t.Parallel()
	someone := uuid.New()
	everyTransport(t, func(t *testing.T, scheme string) {
		for _, c := range []struct {
			name   string
			say    func(r *rogue) []byte
			code   bus.CloseCode
			reason string
		}{
			{"garbage", func(*rogue) []byte { return []byte("\x20GET / HTTP/1.1\r\nHost: example\r\n\r\n") }, bus.CloseViolation, ""},
			{"no hello", func(*rogue) []byte { return rawFrame(0x05) }, bus.CloseViolation, "hello"},
			{"an oversized frame", func(*rogue) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0x7f, 1} }, bus.CloseViolation, "at most 262145"},
			{"a frame one byte too long", func(*rogue) []byte { return append(uvarint(256<<10+2), 1) }, bus.CloseViolation, "at most 262145"},
			{"an empty frame", func(*rogue) []byte { return []byte{0} }, bus.CloseViolation, "0 bytes"},
			{"a hello cut short", func(*rogue) []byte { return []byte{5, 1, 1, 1, 0, 0} }, bus.CloseViolation, ""},
			{"a hello with more behind", func(r *rogue) []byte {
				h := append(r.hello(), 0)
				h[0]++
				return h
			}, bus.CloseViolation, ""},
			{"two hellos", func(r *rogue) []byte { return append(r.hello(), r.hello()...) }, bus.CloseViolation, "second hello"},
			{"another version", func(*rogue) []byte { return rawFrame(0x01, []byte{7, 9}) }, bus.CloseVersion, "7 to 9"},
			{"another's id", func(r *rogue) []byte { return bytes.ReplaceAll(r.hello(), idBytes(r.id()), idBytes(someone)) }, bus.CloseWrongID, someone.String()},
		} {
			t.Run(c.name, func(t *testing.T) {
				says := []string{"connection not accepted", "remote=127.0.0.1:", "peer=", c.code.String(), c.reason, c.code.Advice()}
				besideAStream(t, scheme, mischief{times: 1, says: says, do: func(v *victim) {
					r := v.rogue(v.identity(uuid.Nil, "rogue"))
					r.say(r.control, c.say(r))
					r.expectClosed(c.code, c.reason)
				}})
			})
		}
	})
}

func idBytes(id uuid.UUID) []byte { return id[:] }

// TestHostileData has members that were accepted, and break the rules then.
func TestHostileData(t *testing.T) {
	t.Parallel()
	everyTransport(t, func(t *testing.T, scheme string) {
		for _, c := range []struct {
			name   string
			say    func(r *rogue, data bus.Stream)
			reason string
		}{
			{"an oversized frame", func(r *rogue, s bus.Stream) { r.say(s, rawFrame(0x20, []byte{0}), uvarint(1<<40)) }, "at most"},
			{"an oversized control frame", func(r *rogue, _ bus.Stream) { r.say(r.control, uvarint(256<<10+2)) }, "at most 262145"},
			{"an acknowledgement of what never was", func(r *rogue, _ bus.Stream) {
				log := slices.Concat(r.victim.Node[:], uvarint(r.victim.Epoch), []byte{0})
				r.say(r.control, rawFrame(0x04, uvarint(0<<1|1), log, uvarint(1<<40), uvarint(0), uvarint(0), uvarint(0)))
			}, "of our log that ends at"},
			{"no lane", func(r *rogue, s bus.Stream) { r.say(s, rawFrame(0x24, []byte{0})) }, ""},
			{"a batch of no log", func(r *rogue, s bus.Stream) {
				r.say(s, rawFrame(0x20, []byte{0}), rawFrame(0x22, uvarint(0), uvarint(0), uvarint(0), []byte("batch")))
			}, ""},
			{"an end inside a frame", func(r *rogue, s bus.Stream) {
				r.say(s, rawFrame(0x20, []byte{0}), []byte{100, 0x22})
				s.CloseWrite()
			}, "inside a frame"},
			{"a reset stream", func(r *rogue, s bus.Stream) {
				r.say(s, rawFrame(0x20, []byte{0}), rawFrame(0xff, make([]byte, 1<<20))) // said once most of it is read
				s.Reset(bus.CloseNormal)
			}, "reset"},
			{"an endless length", func(r *rogue, s bus.Stream) { r.say(s, bytes.Repeat([]byte{0xff}, 11)) }, "overflow"},
			{"too many streams", func(r *rogue, s bus.Stream) {
				r.say(s, rawFrame(0x20, []byte{0}))
				for range 65 {
					r.say(r.open(), rawFrame(0x20, []byte{1}))
				}
			}, "more data streams than lanes"},
		} {
			t.Run(c.name, func(t *testing.T) {
				says := []string{"connection closed", "remote=127.0.0.1:", "peer=", "violation", c.reason}
				besideAStream(t, scheme, mischief{times: 1, says: says, do: func(v *victim) {
					r := v.rogue(v.identity(uuid.Nil, "rogue"))
					r.say(r.control, r.greeting())
					c.say(r, r.open())
					r.expectClosed(bus.CloseViolation, c.reason)
				}})
			})
		}
	})
}

// TestHostileCuts has members whose streams and connections end after every byte of what they have to say.
func TestHostileCuts(t *testing.T) {
	t.Parallel()
	everyTransport(t, func(t *testing.T, scheme string) {
		besideAStream(t, scheme, mischief{times: 1 << 30, says: []string{"remote=127.0.0.1:", "error="}, do: func(v *victim) {
			in := collect(t, v.target, "cut")
			identity := v.identity(uuid.Nil, "honest")
			honest := v.rogue(identity)
			greeting, data := honest.greeting(), honest.data("cut")
			honest.conn.CloseWithCode(bus.CloseNormal, "")
			const atOnce = 8
			var all sync.WaitGroup
			for i := range atOnce {
				all.Go(func() {
					tr := v.transport(v.identity(uuid.Nil, "cut"), nil)
					defer tr.Close()
					for n := i; n < len(greeting)+len(data); n += atOnce {
						v.cut(tr, n)
					}
				})
			}
			all.Wait()
			if len(in.events) != 0 {
				t.Errorf("%d events of members that were cut off", len(in.events))
			}
			// And with the last byte, all is right.
			honest = v.rogue(identity)
			honest.say(honest.control, greeting)
			honest.say(honest.open(), data)
			in.want("from a rogue")
		}})
	})
}

// cut has members say n bytes, on the control stream first, and then end the stream in order, break it
// off, or end the connection. Only the first surely brings all the bytes.
func (v *victim) cut(tr bus.Transport, n int) {
	for end := range 3 {
		r := v.rogueOver(tr)
		s, words, n := r.control, r.greeting(), n
		if n > len(words) {
			r.say(s, words)
			s, words, n = r.open(), r.data("cut"), n-len(words)
		}
		r.say(s, words[:n])
		switch end {
		case 0:
			s.CloseWrite()
			if insideFrame(words, n) {
				r.expectClosed(bus.CloseViolation, "inside a frame")
			}
		case 1:
			s.Reset(bus.CloseNormal)
		}
		r.conn.CloseWithCode(bus.CloseNormal, "")
	}
}

// insideFrame reports whether the first n bytes of a row of frames end inside one.
func insideFrame(frames []byte, n int) bool {
	for n > 0 && len(frames) > 0 {
		length, size := binary.Uvarint(frames)
		whole := size + int(length)
		frames, n = frames[whole:], n-whole
	}
	return n < 0
}

// TestHostileReader has a member that asks for everything and reads nothing.
func TestHostileReader(t *testing.T) {
	t.Parallel()
	everyTransport(t, func(t *testing.T, scheme string) {
		says := []string{"no progress within BlockTimeout", "peer="}
		small := func(c *bus.Config) { c.BlockTimeout, c.BufferBytes, c.ReceiveBytes = time.Second, 1<<20, 1<<20 }
		besideAStream(t, scheme, mischief{times: 1, says: says, victim: small, event: 1 << 10, do: func(v *victim) {
			lifecycle := v.target.Lifecycle(soon(t))
			r := v.rogue(v.identity(uuid.Nil, "rogue"))
			r.say(r.control, r.greeting(">"))
			e := awaitLifecycle(t, lifecycle, func(e bus.LifecycleEvent) bool { return e.Kind == bus.LifecycleLaggard })
			if e.Peer != r.id() {
				t.Errorf("the laggard is %v", e)
			}
			v.expectBounds("during")
		}})
	})
}

// TestHostileRecords has members that speak in the name of another, who wants nothing as they have it.
func TestHostileRecords(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]func(o bus.Origin) (epoch, version uint64){
		"a version of its run": func(o bus.Origin) (uint64, uint64) { return o.Epoch, 1 << 61 },
		"a later run":          func(o bus.Origin) (uint64, uint64) { return o.Epoch + 1, 1 << 61 },
	} {
		t.Run(name, func(t *testing.T) {
			v, book := newVictim(t, "tcp", nil), newLogBook()
			other := v.node("other", func(c *bus.Config) { c.Logger = slog.New(slog.NewTextHandler(book, nil)) })
			l := v.connect(other, v.url())
			in := collect(t, other, "x")
			must(t, v.target.WaitInterest(soon(t), "x"))

			id, r := other.ID(), v.rogue(v.identity(uuid.Nil, "rogue"))
			epoch, version := record(other.Origin())
			none := make([]byte, 6) // begun, name, neighbours, endpoints, live and owed
			r.say(r.control, r.greeting(), rawFrame(0x02, id[:], uvarint(epoch), uvarint(version), none))
			book.await(t, []string{"level=WARN", "in the name of this node is not its own", "identity"})

			must(t, v.target.WaitInterest(soon(t), "x"))
			send(t, v.target, "x", "after all")
			in.want("after all")
			if p, err := l.Ready(soon(t)); err != nil || p.ID() != v.target.ID() {
				t.Errorf("the link leads to %v: %v", p, err)
			}
		})
	}
}
