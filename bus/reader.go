package bus

import (
	"time"

	"github.com/verbose-bus/verbose/bus/internal/protocol"
	"github.com/verbose-bus/verbose/codec"
)

// reader reads one data stream of a peer: which lane it is of, and the lane's batches, which the machine keeps.
type reader struct {
	path   *path
	stream Stream
	sink   *frameSink
	lease  *lease
	lane   uint8
	opened bool
}

func newReader(p *path, s Stream) *reader {
	r := &reader{path: p, stream: s, lease: newLease()}
	r.sink = newFrameSink(p.node.maxDataFrame, dataAhead, true, r.handle)
	r.sink.lease = r.lease
	return r
}

// start begins the goroutine that path.run waits for.
func (r *reader) start() {
	go func() {
		r.stream.CloseWrite() // ours go on streams of our own
		r.run()
	}()
}

// readOn has another goroutine read, for which path.run waits instead.
func (r *reader) readOn() { go r.run() }

func (r *reader) run() {
	p := r.path
	err := readFrames(r.stream, r.sink, r.readOn)
	if err == errReadOn {
		return
	}
	defer p.wg.Done()
	if err == nil && !r.opened {
		err = errCutShort()
	}
	if err != nil {
		p.cancel(p.explain(err))
		return
	}
	p.streamEnded()
}

func (r *reader) handle(kind byte, body []byte, memory *codec.Memory) (err error) {
	p := r.path
	if !r.opened {
		r.lane, err = protocol.ParseOpen(kind, body)
		r.opened = true
	} else {
		p.node.engine.doOn(r.lease, func(m *protocol.Machine, now time.Duration) {
			err = m.HandleData(now, p.id, r.lane, kind, body, memory)
		})
	}
	return closeError(err, p.conn.Peer())
}

// streamEnded notes that one of the peer's data streams was read to its end.
func (p *path) streamEnded() {
	e := p.node.engine
	t := todos.Get().(*todo)
	e.mu.Lock()
	p.ended++
	p.leaveIfDone(t)
	e.mu.Unlock()
	e.act(t)
}
