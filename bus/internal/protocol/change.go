package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
)

// A hub's record is long, and changes with each peer that comes or goes. So later versions of a long record are told by what
// changed since the version before (§8.1). Both ends of a control stream know which that is: what went over it last, remembered by
// the same rule.

// base is what is remembered of a long record that went over a control stream.
type base struct {
	version    recordVersion
	neighbours []uuid.UUID
}

// bases are those that went one way. The one that went last is at the end.
type bases []base

// of is the version of a node's record that went last, if it is remembered.
func (s bases) of(node uuid.UUID) (base, bool) {
	i := slices.IndexFunc(s, func(x base) bool { return x.version.node == node })
	if i < 0 {
		return base{}, false
	}
	return s[i], true
}

// note remembers a record that goes over the stream now.
func (s *bases) note(rec *record) {
	*s = slices.DeleteFunc(*s, func(x base) bool { return x.version.node == rec.version.node })
	if len(rec.neighbours) < longRecord {
		return
	}
	if len(*s) == maxBases {
		*s = slices.Delete(*s, 0, 1)
	}
	*s = append(*s, base{rec.version, rec.neighbours})
}

// appendRecord appends the frame that tells a record: as a change, if a version of it is remembered and that is shorter.
func (s *bases) appendRecord(b []byte, rec *record) []byte {
	old, ok := s.of(rec.version.node)
	s.note(rec)
	if ok && old.version.epoch == rec.version.epoch && old.version.version <= rec.version.version {
		if body := rec.since(old); body != nil {
			return appendFrame(b, frameChange, body)
		}
	}
	return appendFrame(b, frameRecord, rec.append(nil))
}

// change is the body of a CHANGE frame, and what it is the change of.
type change struct {
	of   base
	body []byte // nil: it would be longer than the record
}

// since is the record as a change, or nil. The last is kept, for most peers were told the same version before. Who remembers another list
// under that version gets a change of that: a node may have lied, and this one is not to be blamed for it.
func (r *record) since(old base) []byte {
	c := r.change
	if c.of.neighbours == nil || c.of.version != old.version || &c.of.neighbours[0] != &old.neighbours[0] {
		r.change = change{of: old}
		left, came := differ(old.neighbours, r.neighbours)
		if most := binary.MaxVarintLen64 * (len(left) + 2); most < 16*(len(r.neighbours)-len(came)) {
			r.change.body = r.appendChange(nil, old, left, came)
		}
	}
	return r.change.body
}

func (r *record) appendChange(b []byte, old base, left []int, came []uuid.UUID) []byte {
	b = binary.AppendUvarint(r.appendHead(b), old.version.version)
	b = binary.AppendUvarint(b, uint64(len(left)))
	for _, place := range left {
		b = binary.AppendUvarint(b, uint64(place))
	}
	return r.appendTail(appendIDs(b, came))
}

// differ compares two lists in ascending order: the places of what left the first, and what came with the second.
func differ(old, list []uuid.UUID) (left []int, came []uuid.UUID) {
	at := 0
	for i, id := range old {
		for at < len(list) && compareIDs(list[at], id) < 0 {
			came = append(came, list[at])
			at++
		}
		if at < len(list) && list[at] == id {
			at++
		} else {
			left = append(left, i)
		}
	}
	return left, append(came, list[at:]...)
}

// parse reads a RECORD or CHANGE frame that came over the stream. Whatever becomes of the record, it is to be noted.
func (s bases) parse(kind byte, body []byte) (*record, error) {
	if kind == frameChange {
		return s.parseChange(body)
	}
	return parseRecord(body)
}

func (s bases) parseChange(body []byte) (*record, error) {
	r := reader{b: body}
	rec := r.recordHead()
	since := r.seq()
	old, ok := s.of(rec.version.node)
	switch {
	case r.err != nil:
	case !ok:
		r.fail(errors.New("a change of a record that did not go before"))
	case old.version.epoch != rec.version.epoch || old.version.version != since || since > rec.version.version:
		r.fail(fmt.Errorf("version %d of epoch %d since %d, and %d of %d went before",
			rec.version.version, rec.version.epoch, since, old.version.version, old.version.epoch))
	default:
		rec.neighbours = r.changed(old.neighbours)
	}
	if err := r.recordTail(rec); err != nil {
		return nil, err
	}
	// Others may have to be told all of it.
	if len(body)+16*len(rec.neighbours) > maxControl && len(rec.append(nil)) > maxControl {
		return nil, violation("record: of more than %d bytes", maxControl)
	}
	return rec, nil
}

// changed is the list that old has become.
func (r *reader) changed(old []uuid.UUID) []uuid.UUID {
	left := r.places(len(old))
	came := r.ids(maxNeighbours)
	if len(old)-len(left)+len(came) > maxNeighbours {
		r.fail(errors.New("too many neighbours"))
		return nil
	}
	list, at := make([]uuid.UUID, 0, len(old)-len(left)+len(came)), 0
	for len(left)+len(came) > 0 {
		place, there := len(old), false
		if len(came) > 0 {
			place, there = slices.BinarySearchFunc(old[at:], came[0], compareIDs)
			place += at
		}
		switch {
		case len(left) > 0 && left[0] <= place:
			list = append(list, old[at:left[0]]...)
			at, left = left[0]+1, left[1:]
		case there:
			r.fail(errors.New("a neighbour that was there comes"))
			return nil
		default:
			list = append(append(list, old[at:place]...), came[0])
			at, came = place, came[1:]
		}
	}
	return append(list, old[at:]...)
}

// places are positions in a list, ascending.
func (r *reader) places(in int) []int {
	list := make([]int, r.count(1, in))
	for i := range list {
		v := r.uvarint()
		if v >= uint64(in) || i > 0 && int(v) <= list[i-1] {
			r.fail(fmt.Errorf("place %d of %d", v, in))
			return nil
		}
		list[i] = int(v)
	}
	return list
}
