package stats

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are told apart to three digits, up to a minute. What is longer counts as a minute.
const (
	longest = time.Minute
	digits  = 3
)

// Recorder collects latencies in an HDR histogram. All methods may be called concurrently.
type Recorder struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
}

// NewRecorder returns a recorder that has nothing yet.
func NewRecorder() *Recorder {
	return &Recorder{histogram: hdrhistogram.New(1, int64(longest), digits)}
}

// Record adds one latency. One below zero, of clocks that were set meanwhile, counts as zero.
func (r *Recorder) Record(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.histogram.RecordValue(int64(min(max(d, 0), longest))) // always within the histogram's bounds
}

// Reset forgets everything.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.histogram.Reset()
}

// Encode returns the histogram of nanoseconds in HDR's V2 compressed format, in base64, as HDR tools read it. It is nil
// where nothing was recorded.
func (r *Recorder) Encode() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.histogram.TotalCount() == 0 {
		return nil, nil
	}
	return r.histogram.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// Latency are the percentiles of one pass, in nanoseconds.
type Latency struct {
	Count int64 `json:"count"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
	P999  int64 `json:"p99.9"`
	Max   int64 `json:"max"`
}

// LatencyOf reads the percentiles out of what [Recorder.Encode] returned.
func LatencyOf(encoded []byte) (Latency, error) {
	h, err := hdrhistogram.Decode(encoded)
	if err != nil {
		return Latency{}, err
	}
	return Latency{
		Count: h.TotalCount(),
		P50:   h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
		Max: h.Max(),
	}, nil
}
