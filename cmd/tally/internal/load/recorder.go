package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What latencies are kept as: whole microseconds up to ten minutes, with three
// digits, so that no figure is off by more than one in a thousand.
const (
	latencyUnit   = time.Microsecond
	latencyMax    = 10 * time.Minute
	latencyDigits = 3
)

// recorder keeps what was measured. One lock for all workers is fast enough for
// more requests than one machine can send.
type recorder struct {
	classify func(error) string

	mu           sync.Mutex
	latencies    *hdrhistogram.Histogram // of what was acknowledged, in latencyUnit
	slowest      time.Duration           // exact, also beyond latencyMax
	acknowledged uint64
	failures     map[string]uint64
	failed       uint64
	unsent       uint64
	abandoned    uint64
}

func newRecorder(classify func(error) string) *recorder {
	if classify == nil {
		classify = func(error) string { return "error" }
	}
	return &recorder{
		classify:  classify,
		latencies: hdrhistogram.New(1, int64(latencyMax/latencyUnit), latencyDigits),
		failures:  make(map[string]uint64),
	}
}

func (r *recorder) record(latency time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed++
		r.failures[r.classify(err)]++
		return
	}
	r.acknowledged++
	r.slowest = max(r.slowest, latency)
	// It fits: it is held between the bounds that the histogram was made with.
	_ = r.latencies.RecordValue(int64(min(max(latency, latencyUnit), latencyMax) / latencyUnit))
}

// notSent counts a request that was due and that nobody was free to send.
func (r *recorder) notSent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsent++
}

// abandon counts a request whose answer nobody waited for any more.
func (r *recorder) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandoned++
}

func (r *recorder) counts() (acknowledged, failed uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.acknowledged, r.failed
}
