package gro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// message is a control message as the kernel writes it.
func message(level, typ int, value []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(value)))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(value)))) // size_t, little-endian also where it has 4 bytes
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-8:], uint32(level))
	binary.NativeEndian.PutUint32(b[unix.SizeofCmsghdr-4:], uint32(typ))
	copy(b[unix.CmsgLen(0):], value)
	return b
}

func int32Of(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(int32(v))) }

func sizeMessage(size int) []byte { return message(unix.SOL_UDP, unix.UDP_GRO, int32Of(size)) }

var (
	tos    = message(unix.IPPROTO_IP, unix.IP_TOS, []byte{1})
	tclass = message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int32Of(2))
	info4  = message(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 12))
	info6  = message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, make([]byte, 20))
)

// input is one message of the kernel's.
type input struct {
	data    string
	control []byte
	flags   int
	from    net.Addr
}

// script is a socket that receives what it is told to and is then closed.
type script []input

func (s *script) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	if len(*s) == 0 {
		return 0, net.ErrClosed
	}
	n := min(len(ms), len(*s))
	for i, in := range (*s)[:n] {
		m := &ms[i]
		m.N, m.NN = copy(m.Buffers[0], in.data), copy(m.OOB, in.control)
		m.Flags, m.Addr = in.flags, in.from
	}
	*s = (*s)[n:]
	return n, nil
}

// output is one packet of the reader's.
type output struct {
	data    string
	control []byte
	flags   int
	from    net.Addr
}

// readAll reads with messages like quic-go's, whose packets have at most room bytes.
func readAll(t testing.TB, r *Reader, messages, room, oobRoom int) (all []output) {
	t.Helper()
	ms := make([]ipv4.Message, messages)
	for {
		for i := range ms {
			// The capacity goes on, to catch whoever writes beyond the length.
			buffer := bytes.Repeat([]byte{'#'}, room+100)
			ms[i] = ipv4.Message{Buffers: [][]byte{buffer[:room]}, OOB: make([]byte, oobRoom), N: -1, NN: -1, Flags: -1}
		}
		n, err := r.ReadBatch(ms, 0)
		if err != nil {
			if n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("%d, %v", n, err)
			}
			return all
		}
		if n == 0 {
			t.Fatal("neither a packet nor an error")
		}
		for _, m := range ms[:n] {
			if rest := m.Buffers[0][room : room+100]; bytes.Trim(rest, "#") != nil {
				t.Errorf("wrote beyond the buffer: %q", rest)
			}
			all = append(all, output{string(m.Buffers[0][:m.N]), m.OOB[:m.NN], m.Flags, m.Addr})
		}
	}
}

func TestBursts(t *testing.T) {
	a, b := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 2}
	long := string(bytes.Repeat([]byte("x"), 20))
	for _, test := range []struct {
		name string
		in   []input
		want []output
	}{
		{"one packet alone",
			[]input{{"abc", tos, 0, a}},
			[]output{{"abc", tos, 0, a}}},
		{"without control messages",
			[]input{{"abc", nil, 0, a}},
			[]output{{"abc", nil, 0, a}}},
		{"equal packets",
			[]input{{"abcdef", slices.Concat(sizeMessage(3), tos), 0, a}},
			[]output{{"abc", tos, 0, a}, {"def", tos, 0, a}}},
		{"last one short",
			[]input{{"abcdefg", slices.Concat(sizeMessage(3), tos, info4), 0, a}},
			[]output{{"abc", slices.Concat(tos, info4), 0, a}, {"def", slices.Concat(tos, info4), 0, a}, {"g", slices.Concat(tos, info4), 0, a}}},
		{"size in the middle",
			[]input{{"abcd", slices.Concat(tclass, sizeMessage(2), info6), 0, b}},
			[]output{{"ab", slices.Concat(tclass, info6), 0, b}, {"cd", slices.Concat(tclass, info6), 0, b}}},
		{"size at the end",
			[]input{{"abcd", slices.Concat(tclass, info6, sizeMessage(2)), 0, b}},
			[]output{{"ab", slices.Concat(tclass, info6), 0, b}, {"cd", slices.Concat(tclass, info6), 0, b}}},
		{"as long as its size",
			[]input{{"abc", sizeMessage(3), 0, a}},
			[]output{{"abc", nil, 0, a}}},
		{"shorter than its size",
			[]input{{"abc", sizeMessage(1000), 0, a}},
			[]output{{"abc", nil, 0, a}}},
		{"no size at all",
			[]input{{"abc", sizeMessage(0), 0, a}, {"def", sizeMessage(-1), 0, a}},
			[]output{{"abc", nil, 0, a}, {"def", nil, 0, a}}},
		{"empty",
			[]input{{"", tos, 0, a}, {"", sizeMessage(3), 0, a}, {"abc", nil, 0, a}},
			[]output{{"", tos, 0, a}, {"", nil, 0, a}, {"abc", nil, 0, a}}},
		{"many sources",
			[]input{{"abcd", slices.Concat(sizeMessage(2), tos), 0, a}, {"efg", slices.Concat(sizeMessage(2), tclass), 0, b}, {"hi", tos, 0, a}},
			[]output{{"ab", tos, 0, a}, {"cd", tos, 0, a}, {"ef", tclass, 0, b}, {"g", tclass, 0, b}, {"hi", tos, 0, a}}},
		{"more packets than messages",
			[]input{{"abcdefghi", sizeMessage(1), 0, a}},
			[]output{{"a", nil, 0, a}, {"b", nil, 0, a}, {"c", nil, 0, a}, {"d", nil, 0, a}, {"e", nil, 0, a}, {"f", nil, 0, a}, {"g", nil, 0, a}, {"h", nil, 0, a}, {"i", nil, 0, a}}},
		{"control messages cut",
			[]input{{"abcdef", tos, unix.MSG_CTRUNC, a}, {"abcdef", sizeMessage(3), unix.MSG_CTRUNC, a}, {"ghi", tos, 0, a}},
			[]output{{"ghi", tos, 0, a}}},
		{"no control messages but something",
			[]input{{"abc", tos[:len(tos)-10], 0, a}, {"abc", tos[:5], 0, a}, {"abc", make([]byte, 40), 0, a}, {"abc", message(unix.SOL_UDP, unix.UDP_GRO, []byte{3, 0}), 0, a}, {"ghi", tos, 0, a}},
			[]output{{"ghi", tos, 0, a}}},
		{"longer than the buffers",
			[]input{{long + "ab", slices.Concat(sizeMessage(20), tos), 0, a}},
			[]output{{long[:10], tos, unix.MSG_TRUNC, a}, {"ab", tos, 0, a}}},
		{"longer than 64 KiB",
			[]input{{"abcd", sizeMessage(2), unix.MSG_TRUNC, a}},
			[]output{{"ab", nil, unix.MSG_TRUNC, a}, {"cd", nil, unix.MSG_TRUNC, a}}},
		{"more control than there is room",
			[]input{{"abcd", slices.Concat(sizeMessage(2), tos, info4, info6, info6), 0, a}},
			[]output{{"ab", nil, unix.MSG_CTRUNC, a}, {"cd", nil, unix.MSG_CTRUNC, a}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, messages := range []int{1, 2, 8} {
				s := script(test.in)
				got := readAll(t, readerOf(&s), messages, 10, 128)
				// Nil or empty is the same to whoever reads it.
				same := cmp.Comparer(func(a, b output) bool {
					return a.data == b.data && bytes.Equal(a.control, b.control) && a.flags == b.flags && a.from == b.from
				})
				if diff := cmp.Diff(test.want, got, same); diff != "" {
					t.Errorf("%d messages a read:\n%s", messages, diff)
				}
			}
		})
	}
}

// TestNoMessages holds that a read of nothing waits for nothing.
func TestNoMessages(t *testing.T) {
	s := script{{"abc", nil, 0, nil}}
	r := readerOf(&s)
	if n, err := r.ReadBatch(nil, 0); n != 0 || err != nil || len(s) != 1 {
		t.Errorf("%d, %v, %d waiting", n, err, len(s))
	}
}

// TestBusySocketReadsMoreAtOnce holds that the buffers of a reader grow with what waits for it, up to their bound.
func TestBusySocketReadsMoreAtOnce(t *testing.T) {
	for _, test := range []struct{ waiting, rounds, want int }{{1, 20, 2}, {3, 20, 4}, {50, 20, maxBursts}} {
		var s script
		r := readerOf(&s)
		for range test.rounds {
			for i := range test.waiting {
				s = append(s, input{data: string(slices.Repeat([]byte{byte(i)}, 30)), control: sizeMessage(10)})
			}
			for i := 0; i < 3*test.waiting; {
				var ms [8]ipv4.Message
				for j := range ms {
					ms[j].Buffers = [][]byte{make([]byte, 10)}
				}
				n, err := r.ReadBatch(ms[:], 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range ms[:n] {
					if m.N != 10 || m.Buffers[0][0] != byte(i/3) {
						t.Fatalf("packet %d of burst %d: %x", i%3, i/3, m.Buffers[0][:m.N])
					}
					i++
				}
			}
		}
		if len(r.buffers) != test.want {
			t.Errorf("%d buffers with %d bursts waiting, want %d", len(r.buffers), test.waiting, test.want)
		}
	}
}

// TestSeveralBuffers holds that a packet may be spread over the buffers of its message.
func TestSeveralBuffers(t *testing.T) {
	s := script{{"abcdefgh", sizeMessage(5), 0, nil}}
	ms := []ipv4.Message{{Buffers: [][]byte{make([]byte, 2), nil, make([]byte, 2), make([]byte, 9)}}}
	r := readerOf(&s)
	for _, want := range []string{"abcde", "fgh"} {
		if n, err := r.ReadBatch(ms, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if got := string(slices.Concat(ms[0].Buffers...)[:ms[0].N]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	in := input{data: string(make([]byte, 8*1200)), control: slices.Concat(sizeMessage(1200), tos)}
	repeat := make(script, 1, 2)
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 1452)}, OOB: make([]byte, 128)}
	}
	r := readerOf(&repeat)
	if got := testing.AllocsPerRun(100, func() {
		repeat = append(repeat[:0], in)
		if n, err := r.ReadBatch(ms, 0); n != 8 || err != nil {
			t.Error(n, err)
		}
	}); got != 0 {
		t.Errorf("%v allocations a burst", got)
	}
}

// FuzzBurst takes apart whatever a kernel might say: no byte is lost, made up or written beyond its buffer.
func FuzzBurst(f *testing.F) {
	f.Add([]byte("abcdefg"), slices.Concat(sizeMessage(3), tos, info4), uint16(1452), uint8(128), uint8(8))
	f.Add([]byte("abcdefg"), slices.Concat(tclass, info6, sizeMessage(3)), uint16(2), uint8(8), uint8(1))
	f.Add([]byte(""), tos[:7], uint16(0), uint8(0), uint8(2))
	f.Add([]byte("abc"), sizeMessage(math.MinInt32), uint16(9), uint8(40), uint8(3))
	f.Fuzz(func(t *testing.T, data, control []byte, room uint16, oobRoom, messages uint8) {
		data, control = data[:min(len(data), maxBurst)], control[:min(len(control), maxControl)]
		s := script{{string(data), control, 0, nil}}
		got := readAll(t, readerOf(&s), int(messages)%9+1, int(room)%2000, int(oobRoom))
		if len(got) == 0 {
			if _, _, ok := cutSize(slices.Clone(control)); ok {
				t.Fatal("a burst of a known size is lost")
			}
			return
		}
		size, others, _ := cutSize(slices.Clone(control))
		if size <= 0 {
			size = max(1, len(data))
		}
		rest := data
		for i, out := range got {
			packet := rest[:min(size, len(rest))]
			rest = rest[len(packet):]
			if want := packet[:min(len(packet), int(room)%2000)]; out.data != string(want) {
				t.Fatalf("packet %d: %q, want %q", i, out.data, want)
			}
			if cut := len(out.data) < len(packet); cut != (out.flags&unix.MSG_TRUNC != 0) {
				t.Errorf("packet %d: cut %t, flags %#x", i, cut, out.flags)
			}
			if fits := len(others) <= int(oobRoom); fits && !bytes.Equal(out.control, others) || !fits && len(out.control) > 0 {
				t.Errorf("packet %d: control %x, want %x", i, out.control, others)
			}
		}
		if len(rest) > 0 {
			t.Errorf("%d bytes are missing", len(rest))
		}
	})
}
