package netem

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	deviceName = "wan"
	// deviceQueue is how many packets the kernel keeps for the emulator to read.
	deviceQueue = 20000
)

// networkAddr and networkMask are what all hosts have a route to: 198.18.0.0/15.
var networkAddr, networkMask = [4]byte{198, 18, 0, 0}, [4]byte{255, 254, 0, 0}

// device is the TUN device of a namespace. What its host sends is read from its file, and what is written there
// is received. Without IFF_VNET_HDR the kernel does all segmentation and checksums before it.
type device struct {
	fd    int
	label int // of its address, which has a label of its own so that it can be replaced
}

// openDevice makes the device in the thread's namespace and gives it an address and a route.
func openDevice(addr netip.Addr) (*device, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("netem: open /dev/net/tun: %w", err)
	}
	d := &device{fd: fd}
	if err := d.setUp(addr); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *device) setUp(addr netip.Addr) error {
	err := d.request("make a TUN device", deviceName, d.fd, unix.TUNSETIFF, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI) })
	if err != nil {
		return err
	}
	return withControl(func(control int) error {
		up := func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) }
		return first(
			func() error { return d.request("start the loopback interface", "lo", control, unix.SIOCSIFFLAGS, up) },
			func() error {
				return d.request("lengthen the queue", deviceName, control, unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) { r.SetUint32(deviceQueue) })
			},
			func() error { return d.setAddr(control, addr) },
			func() error { return d.request("start the TUN device", deviceName, control, unix.SIOCSIFFLAGS, up) },
			func() error { return addRoute(control) },
		)
	})
}

// renumber gives the device another address and then takes the old one away, so that it is never without. The
// caller is in its namespace.
func (d *device) renumber(addr netip.Addr) error {
	return withControl(func(control int) error {
		old := d.addressLabel()
		return first(
			func() error { return d.setAddr(control, addr) },
			func() error {
				return d.request("remove an address", old, control, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(0) })
			},
		)
	})
}

func (d *device) setAddr(control int, addr netip.Addr) error {
	d.label++
	bytes := addr.As4()
	return d.request("set an address", d.addressLabel(), control, unix.SIOCSIFADDR, func(r *unix.Ifreq) { r.SetInet4Addr(bytes[:]) })
}

func (d *device) addressLabel() string { return fmt.Sprintf("%s:%d", deviceName, d.label) }

// request makes one call of netdevice(7).
func (d *device) request(step, name string, fd int, number uint, fill func(*unix.Ifreq)) error {
	r, err := unix.NewIfreq(name)
	if err == nil {
		fill(r)
		err = unix.IoctlIfreq(fd, number, r)
	}
	if err != nil {
		return fmt.Errorf("netem: %s: %w", step, err)
	}
	return nil
}

func (d *device) close() error { return unix.Close(d.fd) }

// withControl lends f a socket of the thread's namespace.
func withControl(f func(control int) error) error {
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("netem: open a control socket: %w", err)
	}
	defer unix.Close(control)
	return f(control)
}

// first takes steps until one fails.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// routeEntry is the kernel's struct rtentry.
type routeEntry struct {
	_                          uintptr
	destination, gateway, mask unix.RawSockaddrInet4
	flags                      uint16
	_                          int16
	_, _                       uintptr
	metric                     int16
	device                     *byte
	mtu, window                uintptr
	rtt                        uint16
}

// addRoute has the device lead to the whole network. The route names no source, so it outlives addresses.
func addRoute(control int) error {
	name := append([]byte(deviceName), 0)
	r := routeEntry{
		destination: unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: networkAddr},
		mask:        unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: networkMask},
		flags:       unix.RTF_UP,
		device:      &name[0],
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(control), unix.SIOCADDRT, uintptr(unsafe.Pointer(&r))); errno != 0 {
		return fmt.Errorf("netem: add a route: %w", errno)
	}
	return nil
}
