package bus

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
)

// contact is a node that the mesh may dial: a member, or whoever answers at an address behind a name.
type contact struct {
	id        uuid.UUID // uuid.Nil: not known yet
	told      []string  // of a member: its endpoints as it tells them
	endpoints []endpoint
	lostAt    time.Time // since when it is no member; zero: it is one
	retry     time.Time // it is not dialled before
	failures  int
}

// hear takes the endpoints that a member tells. What others say is not trusted to be an address.
func (c *contact) hear(cfg *Config, told []string) {
	if slices.Equal(told, c.told) {
		return
	}
	c.told, c.endpoints, c.retry, c.failures = told, nil, time.Time{}, 0
	for _, url := range told {
		if e, err := cfg.parseAddress(url); err == nil {
			e.want = c.id
			c.endpoints = append(c.endpoints, e)
		}
	}
	slices.SortStableFunc(c.endpoints, func(a, b endpoint) int { return cmp.Compare(a.pref, b.pref) })
}

// note remembers how a dial ended, and when the next may be.
func (c *contact) note(now time.Time, err error) {
	if err == nil {
		c.failures = 0
		return
	}
	wait := min(retryMost, retryFirst<<min(c.failures, 10))
	if peer, ok := errors.AsType[*PeerError](err); ok {
		if c.id == uuid.Nil {
			c.id = peer.Peer
		}
		wait = retryMost // somebody is there, and refused
	} else if errors.Is(err, errItself) && len(c.endpoints) > 0 {
		wait = retryMost
	}
	c.failures++
	c.retry = now.Add(wait/2 + rand.N(wait))
}
