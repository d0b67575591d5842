package netem

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestHostsAreApart(t *testing.T) {
	n := Test(t, 1)
	a, b := host(t, n, "a"), host(t, n, "b")
	listen := func(h *Host, addr string) string {
		l, err := h.Listen(t.Context(), addr)
		must(t, err)
		t.Cleanup(func() { l.Close() })
		return l.Addr().String()
	}
	loopback := listen(a, "127.0.0.1:80")
	c, err := a.Dial(t.Context(), loopback)
	must(t, err)
	c.Close()
	if _, err := b.Dial(t.Context(), loopback); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("from another host: %v", err)
	}
	if _, err := net.Dial("tcp", loopback); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("from outside: %v", err)
	}
	listen(b, fmt.Sprint(b.Addr(), ":80"))
	if _, err := a.Listen(t.Context(), fmt.Sprint(b.Addr(), ":81")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("at another's address: %v", err)
	}
	if _, err := a.Dial(t.Context(), "name:80"); err == nil {
		t.Error("a name was found")
	}
}

// connect returns both ends of a TCP connection that a dialled.
func (p *pair) connect(t *testing.T) (dialled, accepted net.Conn) {
	t.Helper()
	l, err := p.b.Listen(t.Context(), ":0")
	must(t, err)
	defer l.Close()
	dialled, err = p.a.Dial(t.Context(), netip.AddrPortFrom(p.b.Addr(), uint16(l.Addr().(*net.TCPAddr).Port)).String())
	must(t, err)
	accepted, err = l.Accept()
	must(t, err)
	for _, c := range []net.Conn{dialled, accepted} {
		must(t, c.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { c.Close() })
	}
	return dialled, accepted
}

// transfer writes many bytes at one end and reads them at the other.
func transfer(t *testing.T, from, to net.Conn) {
	t.Helper()
	const bytes = 1 << 20
	wrote := make(chan error, 1)
	go func() { // transfer waits for it
		_, err := from.Write(make([]byte, bytes))
		wrote <- err
	}()
	_, err := io.ReadFull(to, make([]byte, bytes))
	must(t, err)
	must(t, <-wrote)
}

// TCP gets everything through, in both directions, whatever the link does.
func TestTCP(t *testing.T) {
	p := newPair(t, 1, Profile{})
	p.both.Set(Profile{Delay: 2 * ms, Jitter: ms, Rate: 100_000_000, Loss: 0.005, Reorder: 0.05, Duplicate: 0.05})
	a, b := p.connect(t)
	transfer(t, a, b)
	transfer(t, b, a)
	s := p.both.Stats()
	if s.Lost == 0 || s.Reordered == 0 || s.Duplicated == 0 {
		t.Errorf("the link did nothing: %v", s)
	}
	t.Log(s)
}

// Behind a new address of a NAT, sockets go on and TCP connections are reset.
func TestRebind(t *testing.T) {
	p := newPair(t, 1, Profile{})
	before := p.a.Addr()
	a, b := p.connect(t)
	transfer(t, a, b)
	if seen := p.exchange(t); seen != before {
		t.Errorf("b sees %v, not %v", seen, before)
	}
	after := p.a.Rebind()
	if after == before || p.a.Addr() != after {
		t.Errorf("from %v to %v, and is now %v", before, after, p.a.Addr())
	}
	if seen := p.exchange(t); seen != after {
		t.Errorf("b sees %v, not %v", seen, after)
	}
	a.Write([]byte("x"))
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection's end: %v", err)
	}
	a, b = p.connect(t)
	transfer(t, a, b)
	transfer(t, b, a)
	p.b.Rebind() // whom others dial at the new address
	a, b = p.connect(t)
	transfer(t, a, b)
}

// At a new address of its own, sockets bound to none go on.
func TestRenumber(t *testing.T) {
	p := newPair(t, 1, Profile{})
	a, _ := p.connect(t)
	for range 3 {
		before := p.a.Addr()
		p.exchange(t)
		after, err := p.a.Renumber()
		must(t, err)
		if after == before || p.a.Addr() != after {
			t.Errorf("from %v to %v, and is now %v", before, after, p.a.Addr())
		}
		if seen := p.exchange(t); seen != after {
			t.Errorf("b sees %v, not %v", seen, after)
		}
		l, err := p.a.Listen(t.Context(), fmt.Sprint(after, ":0"))
		must(t, err)
		must(t, l.Close())
		if _, err := p.a.Listen(t.Context(), fmt.Sprint(before, ":0")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("at the old address: %v", err)
		}
	}
	must(t, a.SetDeadline(time.Now().Add(300*ms)))
	a.Write([]byte("x"))
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("the connection from the old address works")
	}
	p.a.Rebind()
	_, err := p.a.Renumber()
	must(t, err)
	if seen := p.exchange(t); seen != p.a.Addr() {
		t.Errorf("b sees %v, not %v", seen, p.a.Addr())
	}
}

func TestStart(t *testing.T) {
	n := Test(t, 1)
	a, b := host(t, n, "a"), host(t, n, "b")
	l, err := b.Listen(t.Context(), ":0")
	must(t, err)
	defer l.Close()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d", childTarget, b.Addr(), l.Addr().(*net.TCPAddr).Port))
	child.Stderr = os.Stderr
	must(t, a.Start(child))
	must(t, child.Wait())
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	text, err := io.ReadAll(c)
	if seen := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); string(text) != "hello" || seen != a.Addr() || err != nil {
		t.Errorf("%q from %v, %v", text, seen, err)
	}
}

func TestDoReturnsErrors(t *testing.T) {
	h := host(t, Test(t, 1), "a")
	if err := h.Do(func() error { return io.EOF }); err != io.EOF {
		t.Errorf("%v", err)
	}
}

// Close leaves no file and no thread in a namespace, and what comes after it fails.
func TestClose(t *testing.T) {
	files := func() int {
		list, err := filepath.Glob("/proc/self/fd/*")
		must(t, err)
		return len(list)
	}
	must(t, Supported()) // opens what the runtime keeps
	before := files()
	p := newPair(t, 1, Profile{Delay: time.Hour})
	p.send(t, 0, 10)
	p.from.Close()
	p.to.Close()
	must(t, p.Close())
	must(t, p.Close())
	if after := files(); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
	own, err := os.Readlink("/proc/self/ns/net")
	must(t, err)
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	must(t, err)
	for _, thread := range threads {
		if namespace, err := os.Readlink(thread); err == nil && namespace != own {
			t.Errorf("%s is in %s", thread, namespace)
		}
	}
	for what, f := range map[string]func() error{
		"NewHost":  func() error { _, err := p.NewHost("c"); return err },
		"Do":       func() error { return p.a.Do(func() error { return nil }) },
		"Renumber": func() error { _, err := p.a.Renumber(); return err },
	} {
		if err := f(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
