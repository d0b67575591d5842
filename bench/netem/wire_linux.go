package netem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// wire is the thread that carries all packets: it reads them from the hosts' devices, and writes them when they are due. Go's
// timers and poller would wake it up to a millisecond late.
type wire struct {
	network *Network
	bell    int // an eventfd that is rung when one of the next two changes
	ended   chan struct{}

	mu    sync.Mutex
	hosts []*Host
	ends  bool

	// The thread owns the rest.
	agenda agenda
	polled []unix.PollFd // of hosts, and the bell behind them
	known  []*Host
	failed error
}

func newWire(n *Network) (*wire, error) {
	bell, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("netem: make an eventfd: %w", err)
	}
	w := &wire{network: n, bell: bell, ended: make(chan struct{})}
	w.polled = []unix.PollFd{{Fd: int32(bell), Events: unix.POLLIN}}
	go w.run() // close waits for it
	return w, nil
}

// attach adds a host.
func (w *wire) attach(h *Host) {
	w.mu.Lock()
	w.hosts = append(w.hosts, h)
	w.mu.Unlock()
	w.ring()
}

// close ends the thread, waits for it, and returns what it failed of before.
func (w *wire) close() error {
	w.mu.Lock()
	w.ends = true
	w.mu.Unlock()
	w.ring()
	<-w.ended
	return errors.Join(w.failed, unix.Close(w.bell))
}

// ring wakes the thread. It can't fail: the count of rings never gets near its limit.
func (w *wire) ring() {
	unix.Write(w.bell, binary.NativeEndian.AppendUint64(nil, 1))
}

func (w *wire) run() {
	defer close(w.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer hasten()()
	for {
		if w.failed = w.wait(); w.failed != nil {
			return
		}
		if w.polled[len(w.known)].Revents != 0 && !w.answer() {
			return
		}
		for i, h := range w.known {
			if w.polled[i].Revents != 0 {
				w.read(h)
			}
		}
		w.deliver()
	}
}

// hasten has the kernel wake the thread on time, and before others, as far as it may: a nice value would count only among the threads
// of one session. It returns how to undo that.
func hasten() (undo func()) {
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	usual, err := unix.SchedGetAttr(0, 0)
	if err == nil {
		// Priority 2 is before programs that were started by chrt --rr 1.
		unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 2, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	}
	return func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default
		if err == nil {
			unix.SchedSetAttr(0, usual, 0)
		}
	}
}

// wait returns when there is something to read or to deliver.
func (w *wire) wait() error {
	var timeout *unix.Timespec
	if due, ok := w.agenda.next(); ok {
		left := unix.NsecToTimespec(int64(max(due-w.network.now(), 0)))
		timeout = &left
	}
	if _, err := unix.Ppoll(w.polled, timeout, nil); err != nil && err != unix.EINTR {
		return fmt.Errorf("netem: ppoll: %w", err)
	}
	return nil
}

// answer does what the bell was rung for. It reports false if that is the end.
func (w *wire) answer() bool {
	unix.Read(w.bell, make([]byte, 8))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = append(w.known, w.hosts[len(w.known):]...)
	bell := w.polled[len(w.polled)-1]
	w.polled = w.polled[:0]
	for _, h := range w.known {
		w.polled = append(w.polled, unix.PollFd{Fd: int32(h.machine.device.fd), Events: unix.POLLIN})
	}
	bell.Revents = 0
	w.polled = append(w.polled, bell)
	return !w.ends
}

// maxRun is how many packets are read from a device before it is another's turn.
const maxRun = 32

// read takes what a host sends.
func (w *wire) read(from *Host) {
	for range maxRun {
		p := w.agenda.blank()
		size, err := unix.Read(from.machine.device.fd, p.data[:])
		if err != nil {
			w.agenda.done(p)
			return // nothing more, or the device is ending
		}
		p.size = size
		w.carry(from, p)
	}
}

func (w *wire) carry(from *Host, p *packet) {
	way, to, arrivals, times := w.network.enter(from, p.bytes())
	if times == 0 {
		w.agenda.done(p)
		return
	}
	p.way, p.to, p.due = way, to, arrivals[0]
	if times == 2 {
		again := w.agenda.blank()
		again.way, again.to, again.due = way, to, arrivals[1]
		again.size = copy(again.data[:], p.bytes())
		w.agenda.add(again)
	}
	w.agenda.add(p)
}

// deliver hands over what is due.
func (w *wire) deliver() {
	for {
		due, ok := w.agenda.next()
		if !ok || due > w.network.now() {
			return
		}
		p := w.agenda.take()
		if w.network.arrive(p) {
			_, err := unix.Write(p.to.machine.device.fd, p.bytes())
			w.network.handed(p, err)
		}
		w.agenda.done(p)
	}
}
