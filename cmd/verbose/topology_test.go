package main

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/verbose-bus/verbose/bus"
)

// The table is fit for a terminal, whatever nodes say, and tells nodes of the same name apart.
func TestTopologyTable(t *testing.T) {
	a, b, c, d := uuid.UUID{10}, uuid.UUID{11}, uuid.UUID{12}, uuid.UUID{13} // nothing but its id is known of d
	addr := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7777}
	view := bus.Topology{Self: a, Members: []bus.Member{
		{ID: a, Name: "shop", Neighbours: []uuid.UUID{b}},
		{ID: b, Name: "\x1b[2Jx\ty\n", Distance: 1, NextHops: []uuid.UUID{b}, Neighbours: []uuid.UUID{a, c, d}, Patterns: []string{"a.*", "\u009b2J"},
			Paths: []bus.Path{{Scheme: "tcp"}, {Scheme: "quic", Remote: addr, RTT: 1234567 * time.Nanosecond, Active: true}}},
		{ID: c, Name: "shop", Distance: 2, NextHops: []uuid.UUID{b}, Neighbours: []uuid.UUID{b},
			Patterns: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}},
	}}
	want := `NAME           ID                                    DISTANCE  VIA                          LINKS                                   LISTENS TO
shop/0a000000  0a000000-0000-0000-0000-000000000000  0         -                            .[2Jx.y.                                -
.[2Jx.y.       0b000000-0000-0000-0000-000000000000  1         quic://10.0.0.1:7777 1.23ms  shop/0a000000, shop/0c000000, 0d000000  a.*, .2J
shop/0c000000  0c000000-0000-0000-0000-000000000000  2         .[2Jx.y.                     .[2Jx.y.                                1, 2, 3, 4, 5, 6, 7, 8, and 2 more
`
	var out bytes.Buffer
	if err := printTable(&out, view); err != nil || out.String() != want {
		t.Errorf("%v\n%s\nnot\n%s", err, out.String(), want)
	}
}

// News is on its way as long as one end of a link does not name the other.
func TestTopologyAgrees(t *testing.T) {
	a, b, c := uuid.UUID{10}, uuid.UUID{11}, uuid.UUID{12}
	for _, test := range []struct {
		a, b []uuid.UUID
		want bool
	}{
		{nil, nil, true},
		{[]uuid.UUID{b}, []uuid.UUID{a}, true},
		{[]uuid.UUID{b}, nil, false},
		{nil, []uuid.UUID{a}, false},
		{[]uuid.UUID{b}, []uuid.UUID{a, c}, false}, // no record of c yet
	} {
		view := bus.Topology{Self: a, Members: []bus.Member{{ID: a, Neighbours: test.a}, {ID: b, Neighbours: test.b}}}
		if got := agrees(view); got != test.want {
			t.Errorf("%v and %v agree: %t", test.a, test.b, got)
		}
	}
}
