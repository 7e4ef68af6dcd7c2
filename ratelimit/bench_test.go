package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"tally/ratelimit"
)

// userName writes the name of user i, as long as a UUID, over buffer. The name
// is valid until the next call, as that of a request would be, and in the cache.
func userName(buffer *[36]byte, i int) string {
	copy(buffer[:], "0f64c1a2-70aa-4000-8000-")
	for at := range 12 {
		buffer[35-at] = "0123456789abcdef"[i>>(4*at)&15]
	}
	return unsafe.String(&buffer[0], len(buffer))
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// fill makes calls of each user within one window and returns its last time.
func fill(l *ratelimit.Limiter, users, calls int) int64 {
	var name [36]byte
	for call := range calls {
		for i := range users {
			l.Admit(userName(&name, i), start+int64(call))
		}
	}
	return start + int64(calls) - 1
}

// benchmarkCalls measures calls of random ones of a million users who are all
// active within the window; time goes on as fast as they call.
func benchmarkCalls(b *testing.B, call func(l *ratelimit.Limiter, user string, nowMs int64)) {
	const users = 1_000_000
	l := newLimiter(b, ratelimit.Config{})
	now := fill(l, users, 1)
	random := rand.New(rand.NewPCG(1, 2))
	var name [36]byte
	calls := 0
	runtime.GC()
	for b.Loop() {
		call(l, userName(&name, random.IntN(users)), now+int64(calls)*windowMs/users)
		calls++
	}
	b.ReportMetric(float64(l.Users()), "users")
}

func BenchmarkAdmit(b *testing.B) {
	benchmarkCalls(b, func(l *ratelimit.Limiter, user string, nowMs int64) { l.Admit(user, nowMs) })
}

// BenchmarkNote is what a follower pays.
func BenchmarkNote(b *testing.B) {
	benchmarkCalls(b, func(l *ratelimit.Limiter, user string, nowMs int64) { l.Note(user, nowMs) })
}

// BenchmarkAdmitAndNote is what the leader pays: a call is admitted, and settled
// when it is applied.
func BenchmarkAdmitAndNote(b *testing.B) {
	benchmarkCalls(b, func(l *ratelimit.Limiter, user string, nowMs int64) {
		if v := l.Admit(user, nowMs); v.OK {
			l.Note(user, v.AtMs)
		}
	})
}

// BenchmarkMemory reports what a million users cost in live heap: one call each,
// and all of them at the limit.
func BenchmarkMemory(b *testing.B) {
	for _, calls := range []int{1, callsMax} {
		b.Run(fmt.Sprintf("calls=%d", calls), func(b *testing.B) {
			for b.Loop() {
				before := heapBytes()
				l := newLimiter(b, ratelimit.Config{})
				fill(l, 1_000_000, calls)
				b.ReportMetric(float64(heapBytes()-before)/1e6, "MB")
				runtime.KeepAlive(l)
			}
		})
	}
}

// A user at the limit must cost less than 300 bytes, so that a million of them
// fit 300 MB. Maps grow in steps: the worst is just after one.
func TestMemoryOfAUser(t *testing.T) {
	for _, users := range []int{100_000, 120_000} {
		before := heapBytes()
		l := newLimiter(t, ratelimit.Config{})
		fill(l, users, callsMax)
		if each := (heapBytes() - before) / uint64(users); each >= 300 {
			t.Errorf("each of %d users costs %d bytes", users, each)
		}
		runtime.KeepAlive(l)
	}
}
