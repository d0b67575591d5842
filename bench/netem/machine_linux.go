package netem

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// threadNamespace is the network namespace of the thread that opens it.
const threadNamespace = "/proc/thread-self/ns/net"

// machine is the kernel's side of a host: a network namespace, in which no thread lives, and its device.
type machine struct {
	namespace *os.File // keeps it
	device    *device
}

// newMachine makes a namespace with a device.
func newMachine(addr netip.Addr) (*machine, error) {
	m := new(machine)
	err := elsewhere(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("netem: make a network namespace: %w", err)
		}
		var err error
		if m.namespace, err = os.Open(threadNamespace); err != nil {
			return fmt.Errorf("netem: keep a network namespace: %w", err)
		}
		m.device, err = openDevice(addr)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// elsewhere runs f, which may change the thread's network namespace, and brings the thread back.
func elsewhere(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netem: find the thread's network namespace: %w", err)
	}
	defer home.Close()
	defer func() {
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		} // otherwise nobody else may have the thread: it ends with its goroutine
	}()
	return f()
}

// do runs f on a thread in the namespace.
func (m *machine) do(f func() error) error {
	return elsewhere(func() error {
		raw, err := m.namespace.SyscallConn()
		if err != nil {
			return fmt.Errorf("netem: %w", err)
		}
		var entered error
		// Control keeps Close from giving the number to another file.
		if err := raw.Control(func(fd uintptr) { entered = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err != nil {
			return errClosed
		}
		if entered != nil {
			return fmt.Errorf("netem: enter a network namespace: %w", entered)
		}
		return f()
	})
}

// renumber replaces the device's address.
func (m *machine) renumber(addr netip.Addr) error {
	return m.do(func() error { return m.device.renumber(addr) })
}

// dropped is how many packets the device dropped because they were not read in time.
func (m *machine) dropped() (count uint64, err error) {
	err = m.do(func() error {
		file, err := os.Open("/proc/thread-self/net/dev")
		if err != nil {
			return fmt.Errorf("netem: %w", err)
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			name, numbers, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
			if fields := strings.Fields(numbers); name == deviceName && len(fields) > 11 {
				_, err := fmt.Sscan(fields[11], &count) // of what was sent: bytes, packets, errors, dropped
				return err
			}
		}
		return fmt.Errorf("netem: the device %s has no counters", deviceName)
	})
	return count, err
}

// close lets go of the namespace. The kernel ends it when no socket and process is left in it.
func (m *machine) close() (err error) {
	if m.device != nil {
		err = m.device.close()
	}
	if m.namespace != nil {
		err = errors.Join(err, m.namespace.Close())
	}
	return err
}
