package gro

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// burstPackets is how many packets a burst has here.
const burstPackets, packetSize = 16, 1200

// messages are what quic-go reads into.
func messages() []ipv4.Message {
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 1452)}, OOB: make([]byte, 128)}
	}
	return ms
}

// readBurst reads as many packets as one burst has.
func readBurst(t testing.TB, r *Reader, ms []ipv4.Message) {
	for got := 0; got < burstPackets; {
		n, err := r.ReadBatch(ms, 0)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

// Reading allocates for system calls, and not for packets.
func TestReadingAllocatesForBursts(t *testing.T) {
	conn, r, _ := open(t, "127.0.0.1:0")
	from, ms := listen(t, "127.0.0.1:0"), messages()
	const bursts = 5
	for range 1 + bursts { // AllocsPerRun warms up with one
		sendBurst(t, from, conn.LocalAddr().(*net.UDPAddr), make([]byte, burstPackets*packetSize), packetSize)
	}
	perBurst := testing.AllocsPerRun(bursts, func() { readBurst(t, r, ms) })
	t.Logf("%.1f allocations for %d packets", perBurst, burstPackets)
	if perBurst > burstPackets/2 {
		t.Errorf("%.1f allocations for %d packets", perBurst, burstPackets)
	}
}

// BenchmarkReadBatch sends bursts with segmentation offload and reads them packet by packet.
func BenchmarkReadBatch(b *testing.B) {
	conn, r, _ := open(b, "127.0.0.1:0")
	from, ms := listen(b, "127.0.0.1:0"), messages()
	conn.SetReadDeadline(time.Time{})
	data := make([]byte, burstPackets*packetSize)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		sendBurst(b, from, conn.LocalAddr().(*net.UDPAddr), data, packetSize)
		readBurst(b, r, ms)
	}
}
