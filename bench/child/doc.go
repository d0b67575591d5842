// Package child is one process of a measurement: a source, a sink, a relay or an echo, for as many ends as it is told.
// The process that started it tells it what to do in lines of JSON, and gets one line of JSON back for each:
//
//	parent ── Spec ──▶ child      connects, and answers with a Report that has its addresses
//	       ── "go" ──▶            waits for its listeners, and begins to send if it is a source
//	       ── "flow" ──▶          waits for the first event, if its events are counted
//	       ── "begin" ──▶         the measurement begins: histograms are emptied, profiles begin
//	       ── "watch" ──▶         the timeline begins
//	       ── "next" ──▶          waits for an event that comes from now on, as "flow" does
//	       ── "end" ──▶           it ends, once an event was counted: the answer has the histograms, and the timeline if there is one
//	       ── "stop" ──▶          closes and ends; so does the end of its input
//
// Every Report has the counters of its moment with the child's own reading of the clock, so that what passes between
// asking and answering falsifies no rate.
package child
