package protocol

import "time"

// timer is one entry of a Machine's heap of deadlines. Its zero value is stopped.
type timer struct {
	at    time.Duration
	index int // place in the heap plus one; 0: stopped
	fire  func(now time.Duration)
}

// timers is a binary heap of deadlines. The order of those for the same time depends
// on nothing but the calls that set them, so that a run repeats exactly.
type timers struct {
	heap []*timer
}

// set arms t, or moves it.
func (h *timers) set(t *timer, at time.Duration) {
	if t.index == 0 {
		h.heap = append(h.heap, t)
		t.index = len(h.heap)
	} else if t.at == at {
		return
	}
	t.at = at
	h.fix(t.index - 1)
}

// lower arms t, or moves it to an earlier time.
func (h *timers) lower(t *timer, at time.Duration) {
	if t.index == 0 || at < t.at {
		h.set(t, at)
	}
}

func (h *timers) stop(t *timer) {
	if t.index == 0 {
		return
	}
	i, last := t.index-1, len(h.heap)-1
	h.swap(i, last)
	h.heap[last] = nil
	h.heap = h.heap[:last]
	t.index = 0
	if i < last {
		h.fix(i)
	}
}

// next is the earliest deadline; ok is false if there is none.
func (h *timers) next() (at time.Duration, ok bool) {
	if len(h.heap) == 0 {
		return 0, false
	}
	return h.heap[0].at, true
}

// run fires every timer that is due. A timer set again to a time already past
// waits for the next call, so that run ends.
func (h *timers) run(now time.Duration) {
	for n := len(h.heap); n > 0 && len(h.heap) > 0 && h.heap[0].at <= now; n-- {
		t := h.heap[0]
		h.stop(t)
		t.fire(now)
	}
}

func (h *timers) swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].index, h.heap[j].index = i+1, j+1
}

func (h *timers) fix(i int) {
	for i > 0 && h.heap[i].at < h.heap[(i-1)/2].at {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h.heap); c++ {
			if h.heap[c].at < h.heap[least].at {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}
