package cluster

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tally/counter"
)

// newRounds makes rounds that ask the given function; wait waits for its goroutines.
func newRounds(ask func(context.Context, []string) (uint64, []Verdict, error)) (r *rounds, wait func()) {
	var tasks sync.WaitGroup
	return &rounds{ask: ask, life: context.Background(), timeout: time.Second, spawn: func(task func()) bool {
		tasks.Go(task)
		return true
	}}, tasks.Wait
}

// A reader that arrives while a round is under way must not get its answer: the
// question was asked before the reader came.
func TestReaderJoinsOnlyARoundThatStartsAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked uint64 // number of the round, read and written by one round at a time
		r, wait := newRounds(func(context.Context, []string) (uint64, []Verdict, error) {
			asked++
			number := asked
			time.Sleep(10 * time.Millisecond)
			return number, nil, nil
		})
		defer wait()

		var readers sync.WaitGroup
		join := func(want uint64) {
			readers.Go(func() {
				if got, _, err := r.join(t.Context(), counter.Caller{}); err != nil || got != want {
					t.Errorf("round %d, %v; want %d", got, err, want)
				}
			})
		}
		join(1)
		synctest.Wait()
		for range 100 { // all of them share the second round
			join(2)
		}
		readers.Wait()
		if asked != 2 {
			t.Errorf("%d rounds for 101 readers, want 2", asked)
		}
		join(3)
		readers.Wait()
	})
}

func TestRoundErrorsReachAllWhoJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("no majority")
		r, wait := newRounds(func(context.Context, []string) (uint64, []Verdict, error) { return 0, nil, failure })
		defer wait()
		if _, _, err := r.join(t.Context(), counter.Caller{}); !errors.Is(err, failure) {
			t.Errorf("error %v", err)
		}
	})
}

func TestReaderLeavesARoundAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, wait := newRounds(func(ctx context.Context, _ []string) (uint64, []Verdict, error) {
			<-ctx.Done()
			return 0, nil, ctx.Err()
		})
		defer wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, _, err := r.join(ctx, counter.Caller{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(start); waited != time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}
