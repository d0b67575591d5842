package host

import "runtime/metrics"

// Usage is what this process has used since it began.
type Usage struct {
	CPU     float64 `json:"cpu_s"`       // user and system, in seconds
	Allocs  uint64  `json:"allocs"`      // objects on the heap
	Bytes   uint64  `json:"alloc_bytes"` // of those
	PeakRSS uint64  `json:"peak_rss"`    // the most memory that was resident, in bytes
}

// Used measures this process. What the system does not tell is zero.
func Used() Usage {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return Usage{CPU: cpuSeconds(), Allocs: samples[0].Value.Uint64(), Bytes: samples[1].Value.Uint64(), PeakRSS: peakRSS()}
}
