package journal

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// clockInterval is how often the file of a skewed clock is read.
const clockInterval = 50 * time.Millisecond

// SkewedClock returns a wall clock that is wrong by the milliseconds that stand,
// in decimal, in the file at path. Without a file it is right; what is no number
// changes nothing. The file is read for as long as the process lives.
func SkewedClock(path string) func() time.Time {
	var offset atomic.Int64 // nanoseconds
	read := func() {
		if next, ok := readOffset(path); ok {
			offset.Store(int64(next))
		}
	}
	read()
	go func() {
		for range time.Tick(clockInterval) {
			read()
		}
	}()
	// Round takes the monotonic reading away: it is the wall clock alone that is wrong.
	return func() time.Time { return time.Now().Round(0).Add(time.Duration(offset.Load())) }
}

func readOffset(path string) (offset time.Duration, ok bool) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return 0, true
	}
	ms, parseErr := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return time.Duration(ms) * time.Millisecond, err == nil && parseErr == nil
}
