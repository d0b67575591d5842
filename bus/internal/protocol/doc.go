// Package protocol is the origin-log protocol of the bus as a sans-IO state
// machine: it has no goroutine, no clock, no socket, no lock and no randomness of its
// own. Its owner hands it time, frames and sealed batches, and polls it for what to send, what
// to deliver and when to come back. That keeps the protocol deterministic:
// thousands of simulated networks run in a second, and a failing one repeats
// exactly.
//
// The order of calls on a [Machine], all from one goroutine or under one lock:
//
//	m := New(now, cfg)
//	loop:
//	    one input:  OpenLink, AddPath, HandleControl, HandleData, PathClosed,
//	                Append, Release, SetPatterns, Graft…, Tick
//	    PollEvent   until it has none: deliveries, gaps, paths to close, …
//	    PollControl for each path named by an EventControl
//	    PollData    for each path and lane named by an EventData, whenever its
//	                stream can take more
//	    NextWake    when to call Tick
//
// PollData and PollControl bring about events, too, and may arm a timer: poll events and
// look at NextWake after them. A data stream must not be read before the EventUp
// of its path, for it may overtake the snapshot on the control stream.
//
// Time is a [time.Duration] since a moment the owner chose; it never goes back.
//
// The files read in this order: wire (frames), log, cursor, path, peer, then the verbs: send,
// receive, vector, record (membership and interest), retain, gap. PROTOCOL.md in
// package bus is the specification; comments cite its sections as §n.
package protocol
