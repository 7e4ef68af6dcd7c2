package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// How much garbage may lie in the heap before it is collected. Go's own rule,
// as much as there is live data, is too little for a node with few groups, which
// would collect all the time, and too much for one with many, which would take
// twice the memory that its groups need.
const (
	// headroomBytesMin is what a small heap may grow.
	headroomBytesMin = 48 << 20
	// headroomPercent of the live data is what a large heap may grow. What the
	// collector takes of the processor is inverse to it: twice of what it takes
	// with Go's 100.
	headroomPercent = 50
	// headroomPercentMax keeps the first collection of a heap that suddenly
	// grows from coming much too late.
	headroomPercentMax = 400
)

// gcPercent returns the setting for debug.SetGCPercent that allows a heap with
// so much live data its headroom.
func gcPercent(liveBytes uint64) int {
	if liveBytes == 0 {
		return headroomPercentMax
	}
	return int(min(headroomPercentMax, max(headroomPercent, headroomBytesMin*100/liveBytes)))
}

// When a node counts as resting: it allocates little for a while. Its heartbeats
// alone take 1 to 3 MB/s.
const (
	restLook        = time.Second
	restLooks       = 5
	restBytesPerSec = 6 << 20
)

// rest notices when work has come to an end. Then nothing would be collected for
// up to two minutes, and what the work left behind, such as a whole log that was
// applied at the start, would stay.
type rest struct {
	allocated uint64 // at the look before
	quiet     int    // looks without much work since
}

// begins is told once every restLook how much was allocated since the process
// began, and says whether the node has just come to rest.
func (r *rest) begins(allocated uint64) bool {
	since := allocated - r.allocated
	r.allocated = allocated
	if since > restBytesPerSec {
		r.quiet = 0
		return false
	}
	r.quiet++
	return r.quiet == restLooks
}

// keepMemory sees to the headroom of the heap after each collection, and gives
// back what is free when the node comes to rest, until stop is called. GOGC in
// the environment wins.
func keepMemory() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var keeping sync.WaitGroup
	keeping.Go(func() { keepMemoryUntil(ctx) })
	return func() {
		cancel()
		keeping.Wait()
	}
}

func keepMemoryUntil(ctx context.Context) {
	collections := afterCollections()
	looks := time.NewTicker(restLook)
	defer looks.Stop()
	var (
		percent int
		resting rest
	)
	for {
		if wanted := gcPercent(measured("/gc/heap/live:bytes")); differs(wanted, percent) {
			debug.SetGCPercent(wanted) // stops the world for a moment
			percent = wanted
		}
		select {
		case <-collections:
		case <-looks.C:
			if resting.begins(measured("/gc/heap/allocs:bytes")) {
				debug.FreeOSMemory()
			}
		case <-ctx.Done():
			return
		}
	}
}

// differs tells a change of a tenth or more.
func differs(wanted, percent int) bool {
	return 10*max(wanted-percent, percent-wanted) >= percent
}

func measured(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// afterCollections returns a channel that has something after each collection:
// each finds the object that nobody refers to, and the one made in its place
// awaits the next.
func afterCollections() <-chan struct{} {
	collections := make(chan struct{}, 1)
	awaitCollection(collections)
	return collections
}

func awaitCollection(collections chan struct{}) {
	runtime.AddCleanup(new(*byte), func(collections chan struct{}) {
		select {
		case collections <- struct{}{}:
		default: // the one before has not been noticed yet
		}
		awaitCollection(collections)
	}, collections)
}
