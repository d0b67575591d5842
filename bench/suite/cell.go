package suite

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/verbose-bus/verbose/bench/child"
	"github.com/verbose-bus/verbose/bench/contender"
	"github.com/verbose-bus/verbose/codec"
)

// The patterns.
const (
	oneWay        = "one-way"       // one source to one sink, to saturation
	pingPong      = "ping-pong"     // one event on its way at a time
	openLoop      = "open-loop"     // one source to one sink, at a rate
	fanOut        = "fan-out"       // one source to many sinks, to saturation or at a rate
	fanIn         = "fan-in"        // many sources to one sink, to saturation
	chain         = "chain"         // one source to one sink through relays, to saturation
	unheard       = "unheard"       // one-way, with nobody listening
	subscriptions = "subscriptions" // one-way, to a sink with many subscriptions
	outage        = "outage"        // one source to one sink at a rate, over a link that is cut for a while
)

// The payloads.
const (
	random      = "random"
	earthquakes = "earthquakes"
)

// The handlers.
const (
	keep   = "keep"   // may hold on to events
	borrow = "borrow" // may not, see bus.Borrow
)

// allPatterns has one-way first: the rates of open loops come from it.
var allPatterns = []string{oneWay, pingPong, openLoop, fanOut, fanIn, chain, unheard, subscriptions}

// cell is one place of the matrix: what is measured, whoever the contender.
type cell struct {
	Pattern       string `json:"pattern"`
	Size          size   `json:"size"`
	Payload       string `json:"payload"`
	Pinned        bool   `json:"pinned"`
	Load          int    `json:"load_percent,omitempty"` // of an open loop: so much
	LoadOf        string `json:"load_of,omitempty"`      // of this contestant's saturation
	Fan           int    `json:"fan,omitempty"`
	Relays        int    `json:"relays,omitempty"`
	Subscriptions int    `json:"subscriptions,omitempty"`

	Link   link          `json:"link,omitzero"`
	Rate   int           `json:"rate,omitempty"` // events a second, of a fan-out or an open loop across a link; 0 in a fan-out: to saturation
	Outage time.Duration `json:"outage_ns,omitempty"`
}

// String is the cell in words.
func (c cell) String() string {
	words := []string{c.Pattern}
	switch c.Pattern {
	case openLoop:
		words = append(words, fmt.Sprintf("at %d %% of %s", c.Load, c.LoadOf))
	case fanOut, fanIn:
		words = append(words, fmt.Sprint(c.Fan))
		if c.Rate > 0 {
			words = append(words, fmt.Sprintf("at %d/s", c.Rate))
		}
	case chain:
		words = append(words, fmt.Sprintf("of %d relays", c.Relays))
	case subscriptions:
		words = append(words, fmt.Sprint(c.Subscriptions))
	}
	if c.Link != (link{}) {
		return c.across(words)
	}
	cpu := "free"
	if c.Pinned {
		cpu = "pinned"
	}
	return strings.Join(append(words, c.Size.String(), c.Payload, cpu), " ")
}

// across is a cell across a link in words.
func (c cell) across(words []string) string {
	words = append(words[:1], c.Size.String())
	if c.Payload != random {
		words = append(words, c.Payload)
	}
	if c.Outage > 0 {
		words = append(words, "of "+c.Outage.String())
	}
	if c.Rate > 0 {
		words = append(words, fmt.Sprintf("at %d/s", c.Rate))
	}
	return strings.Join(words, " ") + ": " + c.Link.String()
}

// ofLatency reports whether it is times that the cell is about, and not rates.
func (c cell) ofLatency() bool {
	return c.Pattern == pingPong || c.Pattern == openLoop || c.Pattern == fanOut && c.Rate > 0
}

func (c cell) load() child.Load {
	switch {
	case c.Pattern == pingPong:
		return child.PingPong
	case c.Pattern == openLoop, c.Rate > 0:
		return child.Paced
	}
	return child.Saturate
}

// contestant is a contender with its settings.
type contestant struct {
	Kind        contender.Kind `json:"kind"`
	Compression codec.Mode     `json:"compression"`          // of the bus
	Borrow      bool           `json:"borrow,omitempty"`     // the handlers of the bus
	Congestion  string         `json:"congestion,omitempty"` // of TCP; "" is that of the settings
	Lanes       int            `json:"lanes,omitempty"`      // of the bus; 0 is its default
}

// String is the kind, and of the settings those that are not the usual.
func (c contestant) String() string {
	text := string(c.Kind)
	if c.Compression != codec.Off {
		text += " " + c.Compression.String()
	}
	if c.Borrow {
		text += " borrow"
	}
	if c.Congestion != "" {
		text += " " + c.Congestion
	}
	if c.Lanes > 1 {
		text += fmt.Sprintf(" %d lanes", c.Lanes)
	}
	return text
}

// under is the baseline across a link that a contestant stands on, or could.
func (c contestant) under() contestant {
	base := contestant{Kind: contender.RawTLS, Compression: codec.Off, Congestion: c.Congestion}
	if c.Kind.IsQUIC() {
		base.Kind = contender.RawQUIC
	}
	return base
}

// comparesWith reports whether there are ratios of the contestant to another.
func (c contestant) comparesWith(base contestant) bool {
	switch {
	case base.Kind.IsRaw():
		return !c.Kind.IsRaw()
	case base.Kind.IsBus():
		return !c.Kind.IsRaw() && !c.Kind.IsBus()
	}
	return false
}

// job is a cell and those who meet in it.
type job struct {
	cell        cell
	contestants []contestant
	rateOf      *contestant // in an open loop, whose saturation the rate is a part of
}

func has[T comparable](list []T, v T) bool { return slices.Contains(list, v) }
