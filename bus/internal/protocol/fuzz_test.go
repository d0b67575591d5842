package protocol

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

// script reads a fuzzer's bytes as what a peer does next. It never ends early: past its end
// it reads zeros.
type script struct{ b []byte }

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return v
}

func (s *script) bytes(n int) []byte {
	n = min(n, len(s.b))
	v := s.b[:n:n]
	s.b = s.b[n:]
	return v
}

// number is small as a rule, for it to meet the numbers in use.
func (s *script) number() uint64 {
	switch v := s.byte(); {
	case v < 0xf0:
		return uint64(v % 24)
	case v < 0xf8:
		return uint64(v) << 8
	default:
		return epochSlack - 0xf8 - 1 + uint64(v)
	}
}

func (s *script) log() codec.LogID {
	v := s.byte()
	return codec.LogID{Node: simID([]int{1, 1, 3, 3, 4, 0, 2, 1}[v%8]), Epoch: uint64(1 + v>>3%3), Lane: v >> 7 & (v >> 6)}
}

// run picks an alias in use, and says where its run is. Sometimes it is wrong about either.
func (s *script) run(h *hostile) (alias, pos uint64, log codec.LogID) {
	v := s.byte()
	p := h.m.paths[h.path]
	if v < 240 && p != nil && p.in[0] != nil && len(p.in[0].runs) > 0 {
		runs := p.in[0].runs
		alias = uint64(int(v) % len(runs))
		if r := runs[alias]; r != nil && r.log != nil {
			return alias, r.pos, r.log.id
		}
		return alias, 0, s.log()
	}
	return s.number(), s.number(), s.log()
}

// ahead is a position after another, most often the next.
func (s *script) ahead(pos uint64) uint64 {
	if v := s.byte(); v < 128 {
		return pos + 1
	} else if v < 240 {
		return pos + uint64(v%16)
	}
	return s.number()
}

// question names one that is under way, if there is any.
func (s *script) question(h *hostile) wantID {
	if n := len(h.m.questions); n > 0 && s.byte() < 200 {
		return h.m.questions[int(s.byte())%n].id
	}
	return wantID{simID(int(s.byte() % 6)), s.number()}
}

// frame makes a frame that is valid but for its numbers, and often for those, too.
func (s *script) frame(h *hostile) (kind byte, body []byte, control bool) {
	switch s.byte() % 17 {
	case 0, 12:
		alias, _, log := s.run(h)
		if p := h.m.paths[h.path]; s.byte() < 128 && p != nil && p.in[0] != nil {
			alias, log = uint64(len(p.in[0].runs)), s.log()
		}
		return frameStart, appendStart(nil, alias, log, s.number(), s.number()), false
	case 1, 2:
		alias, prev, log := s.run(h)
		first, count := max(s.ahead(prev), 1), 1+int(s.byte()%8)
		if first > 1<<40 {
			count = 1
		}
		age := s.number() << 8
		b := sealed(log, first, count, int(s.byte())*32, "a.x")
		return frameBatch, append(uvarints(alias, prev, age), b.Bytes()...), false
	case 3:
		alias, prev, _ := s.run(h)
		return frameSkip, uvarints(alias, prev, s.ahead(prev)), false
	case 4:
		alias, prev, _ := s.run(h)
		first := s.ahead(prev)
		return frameAbsent, append(uvarints(alias, prev, first, s.ahead(first)), s.byte()%10), false
	case 5:
		alias, pos, _ := s.run(h)
		return frameFin, uvarints(alias, pos), false
	case 6:
		alias := s.number()
		b := appendLog(uvarints(alias<<1|1), s.log())
		b = append(b, uvarints(s.number(), s.number(), s.number(), s.number())...)
		b = append(b, uvarints(alias<<1, s.number(), s.number(), s.number(), s.number())...)
		return frameVector, b, true
	case 7:
		return frameGraft, append(appendLog(nil, s.log()), uvarints(s.number())...), true
	case 8:
		id := simID(int(s.byte() % 4))
		b := append(appendLog(nil, s.log()), uvarints(s.number(), s.number())...)
		return frameReport, append(append(b, s.byte()), id[:]...), true
	case 9:
		rec := record{version: recordVersion{simID(int(s.byte() % 6)), s.number(), s.number()}}
		for range s.byte() % 4 {
			rec.patterns = append(rec.patterns, simTopics[int(s.byte())%len(simTopics)])
		}
		who := s.byte() // a bit each
		for i := range 8 {
			if who>>i&1 == 1 {
				rec.neighbours = append(rec.neighbours, simID(i))
			}
		}
		p := h.m.paths[h.path]
		if v := int(s.byte()); v >= 128 && p != nil && len(p.heard) > 0 {
			old := p.heard[v%len(p.heard)]
			rec.version.node, rec.version.epoch = old.version.node, old.version.epoch
			left, came := differ(old.neighbours, rec.neighbours)
			return frameChange, rec.appendChange(nil, old, left, came), true
		}
		return frameRecord, rec.append(nil), true
	case 10:
		return frameEcho, recordVersion{simID(int(s.byte() % 6)), s.number(), s.number()}.append(nil), true
	case 13:
		return framePrune, append(appendLog(nil, s.log()), uvarints(s.number())...), true
	case 14:
		w := want{id: s.question(h), log: s.log(), from: s.number()}
		return frameWant, w.append(nil), true
	case 15:
		return frameNone, none{s.question(h), s.number()}.append(nil), true
	case 16:
		b := append(s.question(h).append(nil), s.byte()%2)
		first := max(s.number()%(1<<40), 1)
		batch := sealed(s.log(), first, 1+int(s.byte()%8), int(s.byte())*32, "a.x")
		if s.byte() < 64 {
			return frameGive, append(b, uvarints(first, 0)...), false
		}
		return frameGive, append(append(b, uvarints(batch.Last(), s.number())...), batch.Bytes()...), false
	default:
		return []byte{framePing, framePong, frameBye, frameReady}[s.byte()%4], uvarints(s.number()), true
	}
}

// FuzzMachine lets a peer that got past its hello do anything, while the machine emits,
// time passes and consumers come and go. Nothing may panic, the books have to agree after
// each step, what is held stays bounded, and the peer is told off with a close error or not at all.
func FuzzMachine(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x01\x00\x00\x02\x01\x00\x00\x00\x01\x03\x01\x01"))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25})
	f.Fuzz(func(t *testing.T, data []byte) { misbehave(t, data) })
}

func misbehave(t *testing.T, data []byte) {
	h := newHostile()
	h.greet()
	s := &script{data}
	own := codec.NewBuilder(codec.LogID{Node: simID(0), Epoch: 1}, 1)
	steps := 0
	for ; len(s.b) > 0; steps++ {
		var err error
		switch op := s.byte(); op % 16 {
		case 0:
			err = h.control(s.byte(), s.bytes(int(s.byte()%64)))
		case 1:
			err = h.data(s.byte(), s.bytes(int(s.byte()%64)))
		case 2:
			h.now += time.Duration(s.number()) * 700 * time.Millisecond
			h.m.Tick(h.now)
		case 3:
			if !h.m.full(h.m.own[0]) {
				own.Append("a.x", codec.EncodingRaw, 0, nil, make([]byte, s.byte()))
				h.m.Append(h.now, own.Seal(nil))
			}
		case 4:
			h.polls, h.eager = op&16 > 0, op&32 > 0
		case 5:
			h.m.Release(h.now, s.log(), s.number())
		case 6:
			h.m.SetPatterns(h.now, simTopics[:s.byte()%4])
		case 7: // a frame with some of its bytes changed
			kind, body, control := s.frame(h)
			for range s.byte() % 3 {
				if len(body) > 0 {
					body[int(s.byte())%len(body)] ^= s.byte()
				}
			}
			err = h.hand(kind, body, control)
		default:
			kind, body, control := s.frame(h)
			err = h.hand(kind, body, control)
		}
		h.drain()
		h.answer(t, err)
	}
	if n := h.m.size(); n > 3000+20*steps {
		t.Errorf("holds %d things after %d steps", n, steps)
	}
}

func (h *hostile) hand(kind byte, body []byte, control bool) error {
	if control {
		return h.control(kind, body)
	}
	return h.data(kind, body)
}

// answer ends the path where the machine wants that, and brings up the next.
func (h *hostile) answer(t *testing.T, err error) {
	var ce *CloseError
	if err != nil && !errors.As(err, &ce) {
		t.Fatalf("not a close error: %v", err)
	}
	if ce != nil {
		h.m.PathClosed(h.now, h.path, ce.Code, ce.Reason)
	}
	if h.m.paths[h.path] != nil {
		return
	}
	h.path++
	h.m.AddPath(h.now, PathInfo{ID: h.path, Peer: simID(1)})
	hi := hello{min: Version, max: Version, node: simID(1), epoch: 1, maxBatch: 1 << 20, channel: "sim"}
	if err := h.m.HandleControl(h.now, h.path, frameHello, hi.append(nil)); err == nil {
		h.m.HandleControl(h.now, h.path, frameReady, nil)
	}
	h.drain()
}

// A short, fixed part of what the fuzzer does, in every test run.
func TestMisbehaviour(t *testing.T) {
	w := newWorld(1)
	for range 400 {
		data := make([]byte, 600)
		for i := 0; i < len(data); i += 8 {
			binary.LittleEndian.PutUint64(data[i:], w.rng.Uint64())
		}
		misbehave(t, data)
	}
}
