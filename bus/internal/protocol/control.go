package protocol

import (
	"encoding/binary"
	"time"
)

// HandleControl takes one frame of a control stream: its kind and body,
// without the length. The machine does not keep body. An error is a
// *CloseError that ends the path.
func (m *Machine) HandleControl(now time.Duration, id PathID, kind byte, body []byte) error {
	m.now = now
	p := m.paths[id]
	if p == nil {
		return nil // closed meanwhile
	}
	p.lastHeard = now
	if kind == frameHello {
		return m.handleHello(now, p, body)
	}
	if p.peer == nil {
		return violation("the first frame has to be a hello")
	}
	switch kind {
	case frameReady:
		return m.handleReady(now, p)
	case frameVector:
		return m.handleVector(now, p, body)
	case frameRecord, frameChange:
		return m.handleRecord(now, p, kind, body)
	case frameEcho:
		return m.handleEcho(now, p, body)
	case framePrune:
		return m.handlePrune(p, body)
	case frameGraft:
		return m.handleGraft(now, p, body)
	case frameWant:
		return m.handleWant(now, p, body)
	case frameNone:
		return m.handleNone(now, p, body)
	case frameReport:
		return m.handleReport(p, body)
	case frameKnown:
		return m.handleKnown(p, body)
	case framePing:
		return m.handlePing(p, body)
	case framePong:
		return m.handlePong(p, body)
	case frameBye:
		return m.handleBye(p, body)
	}
	if kind&ignorable != 0 {
		return nil
	}
	return violation("control frame of unknown kind %#x", kind)
}

// PollControl appends what there is to say on a control stream, up to about
// 64 KiB. It returns dst unchanged if there is nothing until the next EventControl.
func (m *Machine) PollControl(now time.Duration, id PathID, dst []byte) []byte {
	m.now = now
	p := m.paths[id]
	if p == nil {
		return dst
	}
	before := len(dst)
	dst = m.appendControl(now, p, dst)
	if len(dst) > before {
		p.lastSent = now
	} else {
		p.woken = false
	}
	return dst
}

func (m *Machine) appendControl(now time.Duration, p *path, dst []byte) []byte {
	const enough = 64 << 10
	if p.sayHello {
		p.sayHello = false
		dst = appendFrame(dst, frameHello, m.hello(p).append(nil))
	}
	for len(p.records) > 0 && len(dst) < enough {
		r := p.records[0]
		p.records = p.records[1:]
		held := m.records[r.version.node]
		// One that was replaced follows, but in a greeting: what comes after that is kept back until
		// the peer's hello.
		if held == r || held != nil && p.peer == nil {
			dst = p.told.appendRecord(dst, held)
		}
	}
	if len(p.records) > 0 {
		return dst
	}
	if !p.sayReady {
		dst = p.appendReports(dst) // a vector may say that what is missing is done with, which nobody is to hear before
	}
	dst = m.appendKnown(p, dst)
	if p.vectorDue {
		dst = m.appendVectors(now, p, dst)
	}
	if p.sayReady {
		p.sayReady = false
		dst = appendFrame(dst, frameReady, nil)
	}
	for _, v := range p.echoes {
		dst = appendFrame(dst, frameEcho, v.append(nil))
	}
	for _, x := range p.prunes {
		dst = appendFrame(dst, framePrune, x.append(nil))
	}
	for _, l := range p.grafts { // from where the vector before it says that we are
		dst = appendFrame(dst, frameGraft, binary.AppendUvarint(appendLog(nil, l.id), l.have+1))
	}
	clear(p.grafts)
	dst = m.appendWants(p, dst)
	for _, n := range p.nones {
		dst = appendFrame(dst, frameNone, n.append(nil))
	}
	dst = p.appendReports(dst)
	for _, token := range p.pings {
		dst = appendFrame(dst, framePing, binary.AppendUvarint(nil, token))
	}
	for _, token := range p.pongs {
		dst = appendFrame(dst, framePong, binary.AppendUvarint(nil, token))
	}
	p.echoes, p.prunes, p.grafts = p.echoes[:0], p.prunes[:0], p.grafts[:0]
	p.nones = p.nones[:0]
	p.pings, p.pongs = p.pings[:0], p.pongs[:0]
	if p.bye > 0 {
		dst = appendFrame(dst, frameBye, binary.AppendUvarint(nil, uint64(p.bye-1)))
		p.bye = 0
	}
	return dst
}

func (p *path) appendReports(dst []byte) []byte {
	for _, r := range p.reports {
		b := binary.AppendUvarint(appendLog(nil, r.log), r.first)
		b = append(binary.AppendUvarint(b, r.last), byte(r.reason))
		dst = appendFrame(dst, frameReport, append(b, r.receiver[:]...))
	}
	p.reports = p.reports[:0]
	return dst
}

// Ping sends a token that the peer sends back at once. It reports whether the peer is
// connected.
func (m *Machine) Ping(now time.Duration, id PathID, token uint64) bool {
	m.now = now
	p := m.paths[id]
	if p == nil || !p.up || len(p.pings) >= maxPings {
		return false
	}
	p.pings = append(p.pings, token)
	m.wakeControl(p)
	return true
}

func (m *Machine) handlePing(p *path, body []byte) error {
	r := reader{b: body}
	token := r.uvarint()
	if err := r.end("ping"); err != nil {
		return err
	}
	if len(p.pongs) < maxPings { // a flood is answered in part
		p.pongs = append(p.pongs, token)
		m.wakeControl(p)
	}
	return nil
}

func (m *Machine) handlePong(p *path, body []byte) error {
	r := reader{b: body}
	token := r.uvarint()
	if err := r.end("pong"); err != nil {
		return err
	}
	if token == probeToken {
		p.peer.before = 0 // our hello went before the probe
		m.probed(p)
		return nil
	}
	m.emit(Event{Kind: EventPong, Path: p.info.ID, Token: token})
	return nil
}

// Bye tells the peer that we leave once it has read the given number of data streams to
// their end. Everything else there is to say goes before it.
func (m *Machine) Bye(now time.Duration, id PathID, streams int) {
	m.now = now
	if p := m.paths[id]; p != nil && p.greeted {
		p.bye = streams + 1
		p.vectorDue = true
		m.wakeControl(p)
	}
}

func (m *Machine) handleBye(p *path, body []byte) error {
	r := reader{b: body}
	streams := r.uvarint()
	if err := r.end("bye"); err != nil {
		return err
	}
	if streams > maxLanes {
		return violation("bye: %d streams", streams)
	}
	m.emit(Event{Kind: EventBye, Path: p.info.ID, Count: int(streams)})
	return nil
}
