package ratelimit_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"tally/ratelimit"
)

const (
	callsMax = ratelimit.DefaultCallsMax
	windowMs = int64(ratelimit.DefaultWindow / time.Millisecond)
	start    = int64(1_700_000_000_000) // Unix ms
)

func newLimiter(t testing.TB, config ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// admit makes n calls at atMs that must all be admitted.
func admit(t *testing.T, l *ratelimit.Limiter, user string, n int, atMs int64) {
	t.Helper()
	for i := range n {
		if v := l.Admit(user, atMs); !v.OK {
			t.Fatalf("call %d of %d of %s at %d is refused: %+v", i+1, n, user, atMs-start, v)
		}
	}
}

func wantVerdict(t *testing.T, got, want ratelimit.Verdict) {
	t.Helper()
	if got != want {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
}

func refused(atMs int64, retryAfter time.Duration) ratelimit.Verdict {
	return ratelimit.Verdict{AtMs: atMs, RetryAfter: retryAfter}
}

func TestTheWindowIsHalfOpen(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "ann", 1, start)
	admit(t, l, "ann", callsMax-2, start+1)
	wantVerdict(t, l.Admit("ann", start+2), ratelimit.Verdict{OK: true, AtMs: start + 2, RetryAfter: 4998 * time.Millisecond})
	wantVerdict(t, l.Admit("ann", start+windowMs-1), refused(start+windowMs-1, time.Millisecond))
	wantVerdict(t, l.Admit("ann", start+windowMs), ratelimit.Verdict{OK: true, AtMs: start + windowMs, RetryAfter: time.Millisecond})
	wantVerdict(t, l.Admit("ann", start+windowMs), refused(start+windowMs, time.Millisecond))
	admit(t, l, "ann", callsMax-2, start+windowMs+1)
}

func TestRemainingCountsDown(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{CallsMax: 3, Window: 2 * time.Second})
	wantVerdict(t, l.Admit("ann", start), ratelimit.Verdict{OK: true, AtMs: start, Remaining: 2, RetryAfter: 2 * time.Second})
	wantVerdict(t, l.Admit("ann", start+500), ratelimit.Verdict{OK: true, AtMs: start + 500, Remaining: 1, RetryAfter: 1500 * time.Millisecond})
	wantVerdict(t, l.Admit("ann", start+600), ratelimit.Verdict{OK: true, AtMs: start + 600, RetryAfter: 1400 * time.Millisecond})
	wantVerdict(t, l.Admit("ann", start+601), refused(start+601, 1399*time.Millisecond))
	wantVerdict(t, l.Admit("ann", start+2000), ratelimit.Verdict{OK: true, AtMs: start + 2000, RetryAfter: 500 * time.Millisecond})
}

func TestRefusedCallsAreNotCounted(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "ann", callsMax, start)
	for at := start; at < start+windowMs; at += 7 {
		if l.Admit("ann", at).OK {
			t.Fatalf("a 21st call is admitted %d ms after the first", at-start)
		}
	}
	admit(t, l, "ann", callsMax, start+windowMs)
}

func TestUsersAreCountedApart(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "ann", callsMax, start)
	admit(t, l, "bob", callsMax, start)
	if l.Admit("ann", start).OK || l.Admit("bob", start).OK {
		t.Fatal("a 21st call is admitted")
	}
}

func TestTimeDoesNotGoBack(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "bob", 1, start)
	v := l.Admit("ann", start-3_600_000)
	if v.AtMs != start {
		t.Fatalf("a call an hour back counts at %d ms after the last", v.AtMs-start)
	}
	admit(t, l, "ann", callsMax-1, start)
	wantVerdict(t, l.Admit("ann", start-1), refused(start, 5*time.Second))
}

func TestNoteSettlesWhatWasAdmittedHere(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "ann", callsMax-1, start)
	for range callsMax - 1 {
		l.Note("ann", start)
	}
	admit(t, l, "ann", 1, start)
	wantVerdict(t, l.Admit("ann", start), refused(start, 5*time.Second))
}

func TestNoteTellsANewLeader(t *testing.T) {
	old, heir := newLimiter(t, ratelimit.Config{}), newLimiter(t, ratelimit.Config{})
	for at := start; at < start+15; at++ {
		admit(t, old, "ann", 1, at)
		heir.Note("ann", at)
	}
	heir.BeginTerm()
	admit(t, heir, "ann", 5, start+100)
	wantVerdict(t, heir.Admit("ann", start+100), refused(start+100, 4900*time.Millisecond))
	admit(t, heir, "ann", 1, start+windowMs)
}

func TestANewLeaderWithASlowClockStampsOn(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	l.Note("ann", start)
	l.BeginTerm()
	if v := l.Admit("ann", start-60_000); v.AtMs <= start {
		t.Fatalf("the stamp is %d ms after the one before", v.AtMs-start)
	}
}

func TestNoteOverTheLimit(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	const noted = 5 * callsMax
	for i := range int64(noted) {
		l.Note("ann", start+i)
	}
	// The calls that keep the user out are the last 20: the first of them is 19 before the end.
	last := start + noted - 1
	retryAfter := time.Duration(windowMs-(callsMax-1)) * time.Millisecond
	wantVerdict(t, l.Admit("ann", last), refused(last, retryAfter))
	admit(t, l, "ann", 1, last+retryAfter.Milliseconds())
}

func TestNoteOfLongAgo(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "bob", 1, start)
	for range callsMax {
		l.Note("ann", start-windowMs)
	}
	if l.Users() != 1 {
		t.Fatalf("%d users are remembered; nothing of ann's is in any window to come", l.Users())
	}
	admit(t, l, "ann", callsMax, start)

	l.Note("cid", start-windowMs+1) // counts for another millisecond
	admit(t, l, "cid", callsMax-1, start)
	wantVerdict(t, l.Admit("cid", start), refused(start, time.Millisecond))
}

func TestReturnGivesBack(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "ann", callsMax-1, start)
	v := l.Admit("ann", start+10)
	l.Return("ann", v.AtMs)
	admit(t, l, "ann", 1, start+20)
	if l.Admit("ann", start+20).OK {
		t.Fatal("one returned call made room for two")
	}
}

func TestReturnOfWhatIsNotThere(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "ann", callsMax-1, start)
	l.Note("ann", start)
	admit(t, l, "bob", 1, start+1)
	l.Note("ann", start+2)

	l.Return("ann", start+1)        // bob's
	l.Return("ann", start+2)        // in the log
	l.Return("ann", start-1<<31)    // 25 days ago, when the stamp was the same
	l.Return("cid", start)          // never called
	l.Return("ann", start-windowMs) // left the window
	wantVerdict(t, l.Admit("ann", start+2), refused(start+2, 4998*time.Millisecond))
}

func TestBeginTermGivesBackWhatWasLost(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	admit(t, l, "ann", callsMax, start)
	for range 5 {
		l.Note("ann", start) // 5 are in the log, 15 were lost with the leadership
	}
	l.BeginTerm()
	admit(t, l, "ann", 15, start+1)
	if l.Admit("ann", start+1).OK {
		t.Fatal("calls in the log are given back")
	}
	l.Return("ann", start) // an answer of the old term that comes late
	if l.Admit("ann", start+1).OK {
		t.Fatal("a Return from an earlier term gives back a call of this one")
	}
}

func TestIdleUsersAreForgotten(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	const users = 1000
	for i := range users {
		admit(t, l, strconv.Itoa(i), 1, start)
	}
	if l.Users() != users {
		t.Fatalf("%d users are remembered, want %d", l.Users(), users)
	}
	// One caller who goes on is enough, though it takes a call for every two.
	for i := range int64(users / 2) {
		l.Admit("ann", start+windowMs+i)
	}
	if l.Users() != 1 {
		t.Fatalf("%d users are remembered, want ann alone", l.Users())
	}
}

// A user who is remembered too long must not come back with calls that seem
// young because stamps repeat.
func TestStampsThatRepeatAreNotMistaken(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	for _, user := range []string{"a", "b", "c", "d", "ann"} {
		admit(t, l, user, callsMax, start)
	}
	admit(t, l, "ann", callsMax, start+1<<31)
}

func TestNewRefusesFigures(t *testing.T) {
	for _, config := range []ratelimit.Config{
		{CallsMax: -1},
		{CallsMax: ratelimit.CallsMaxMax + 1},
		{Window: -time.Second},
		{Window: 1500 * time.Millisecond},
		{Window: time.Millisecond},
		{Window: ratelimit.WindowMax + time.Second},
	} {
		if _, err := ratelimit.New(config); err == nil {
			t.Errorf("New(%+v) makes a limiter", config)
		}
	}
}

// Everybody at once, for the race detector; the sum must be right too.
func TestConcurrentCalls(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		admitted int
	)
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if v := l.Admit("ann", start); v.OK {
					mu.Lock()
					admitted++
					mu.Unlock()
					l.Note("ann", v.AtMs)
				}
				l.Return("bob", start)
				l.Users()
			}
		})
	}
	wg.Wait()
	if admitted != callsMax {
		t.Fatalf("%d calls are admitted, want %d", admitted, callsMax)
	}
}
