// Package pace sends events at scheduled times, whatever becomes of those before: an open loop. Who measures from the
// scheduled time, as receivers here do, counts the waiting of events that a stall held up, which measuring from
// the time of sending leaves out ("coordinated omission").
package pace
