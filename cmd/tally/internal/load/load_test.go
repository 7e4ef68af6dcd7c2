package load_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tally/cmd/tally/internal/load"
)

// server answers in virtual time, after a millisecond and never while it stands still.
type server struct {
	stillFrom, stillUntil time.Time
}

func (s *server) call(ctx context.Context, _ int) error {
	answer := time.Now().Add(time.Millisecond)
	if !answer.Before(s.stillFrom) && answer.Before(s.stillUntil) {
		answer = s.stillUntil
	}
	select {
	case <-time.After(time.Until(answer)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func run(t *testing.T, config load.Config) load.Report {
	t.Helper()
	report, err := load.Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func near(t *testing.T, what string, got, want, by time.Duration) {
	t.Helper()
	if got < want-by || got > want+by {
		t.Errorf("%s is %v, want %v give or take %v", what, got, want, by)
	}
}

// TestOpenLoopCountsFromWhenRequestsWereDue: a server stands still for one of ten
// seconds. Whoever came in that second waited, half a second on average, so a
// tenth of all requests did, whether or not anybody was free to send them.
func TestOpenLoopCountsFromWhenRequestsWereDue(t *testing.T) {
	for name, workers := range map[string]int{"one worker": 1, "many workers": 500} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := server{stillFrom: time.Now().Add(4 * time.Second), stillUntil: time.Now().Add(5 * time.Second)}
				r := run(t, load.Config{Rate: 100, Even: true, Workers: workers, Duration: 10 * time.Second, Drain: time.Second, Call: s.call})
				if r.Loop != "open" || r.Acknowledged != 999 || r.NotSent != 0 || r.Failed != 0 {
					t.Fatalf("got %+v", r)
				}
				near(t, "the median", r.Latency.P50, time.Millisecond, 100*time.Microsecond)
				near(t, "the slowest", r.Latency.Max, time.Second, 20*time.Millisecond)
				// The slowest hundredth waited for almost all of the second.
				near(t, "percentile 99", r.Latency.P99, 900*time.Millisecond, 30*time.Millisecond)
			})
		})
	}
}

// TestClosedLoopAsksNothingOfAServerThatStandsStill is the other side of it: the
// same second is one slow request of thousands.
func TestClosedLoopAsksNothingOfAServerThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server{stillFrom: time.Now().Add(4 * time.Second), stillUntil: time.Now().Add(5 * time.Second)}
		r := run(t, load.Config{Workers: 1, Duration: 10 * time.Second, Drain: time.Second, Call: s.call})
		if r.Loop != "closed" || r.Acknowledged < 8990 || r.Acknowledged > 9001 {
			t.Fatalf("got %+v", r)
		}
		near(t, "percentile 99.9", r.Latency.P999, time.Millisecond, 100*time.Microsecond)
		near(t, "the slowest", r.Latency.Max, time.Second, 20*time.Millisecond)
		if math.Abs(r.PerSecond-900) > 10 {
			t.Errorf("%.0f a second, want 900", r.PerSecond)
		}
	})
}

// TestWhatCannotBeSentIsCounted: one worker and a millisecond each make 1,000 a
// second at most; of 2,000 a second half stays on the schedule when the drain ends.
func TestWhatCannotBeSentIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, load.Config{Rate: 2000, Even: true, Workers: 1, Duration: 2 * time.Second, Drain: 500 * time.Millisecond, Call: (&server{}).call})
		if total := r.Acknowledged + r.Failed + r.NotSent; total < 3998 || total > 4000 {
			t.Errorf("%d requests are accounted for, 4000 were due", total)
		}
		if r.NotSent < 1450 || r.NotSent > 1550 {
			t.Errorf("%d not sent, want about 1500", r.NotSent)
		}
	})
}

func TestRandomArrivalsKeepTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, load.Config{Rate: 1000, Seed: 1, Workers: 50, Duration: 20 * time.Second, Drain: time.Second, Call: (&server{}).call})
		if r.Acknowledged < 19_500 || r.Acknowledged > 20_500 {
			t.Errorf("%d requests in 20 s, want about 20,000", r.Acknowledged)
		}
	})
}

func TestWarmUpIsNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cold := time.Now().Add(time.Second)
		s := server{stillFrom: time.Now(), stillUntil: cold}
		r := run(t, load.Config{Rate: 100, Even: true, Workers: 200, Warmup: time.Second, Duration: 2 * time.Second, Drain: time.Second, Call: s.call})
		if r.Acknowledged < 199 || r.Acknowledged > 201 || r.Latency.Max > 2*time.Millisecond {
			t.Errorf("got %+v", r)
		}
	})
}

var errBusy = errors.New("busy")

func TestFailuresAreCountedByKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server{}
		r := run(t, load.Config{
			Workers: 1, Duration: time.Second, Drain: time.Second,
			Call: func(ctx context.Context, number int) error {
				if number%10 == 9 {
					return errors.Join(s.call(ctx, number), errBusy)
				}
				return s.call(ctx, number)
			},
			Classify: func(err error) string {
				if errors.Is(err, errBusy) {
					return "busy"
				}
				return "other"
			},
		})
		if r.Acknowledged != 900 || r.Failed != 100 || r.Failures["busy"] != 100 {
			t.Errorf("got %+v", r)
		}
	})
}

// TestUnansweredAtTheEndIsAFailure: a server that never answers is not given
// forever, and did not succeed.
func TestUnansweredAtTheEndIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := server{stillFrom: begin, stillUntil: begin.Add(time.Hour)}
		r := run(t, load.Config{Workers: 3, Duration: time.Second, Drain: time.Second, Call: s.call})
		if r.Failed != 3 || r.Acknowledged != 0 || r.PerSecond != 0 {
			t.Errorf("got %+v", r)
		}
		near(t, "the run", time.Since(begin), 2*time.Second, 0)
		if err := r.WritePlot(io.Discard, "nothing"); err == nil {
			t.Error("a plot of nothing was drawn")
		}
	})
}

func TestInterruptedRunReportsWhatItMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		interrupted, stop := context.WithCancel(context.WithoutCancel(ctx))
		time.AfterFunc(5*time.Second, stop)
		r, err := load.Run(interrupted, load.Config{Rate: 100, Even: true, Workers: 10, Duration: time.Hour, Drain: time.Second, Call: (&server{}).call})
		if err != nil || !r.Interrupted || r.Acknowledged < 498 || r.Acknowledged > 500 || r.Failed != 0 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestProgressGoesForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []load.Progress
		run(t, load.Config{
			Workers: 2, Warmup: time.Second, Duration: 2 * time.Second, Drain: time.Second, Call: (&server{}).call,
			Progress: func(p load.Progress) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, p)
			},
		})
		if len(all) < 14 {
			t.Fatalf("%d reports of progress in 3 s", len(all))
		}
		for i := 1; i < len(all); i++ {
			if all[i].Elapsed <= all[i-1].Elapsed || all[i].Acknowledged < all[i-1].Acknowledged || all[i].Total != 3*time.Second {
				t.Errorf("%+v follows %+v", all[i], all[i-1])
			}
		}
		if last := all[len(all)-1]; math.Abs(last.PerSecond-2000) > 20 {
			t.Errorf("%.0f a second, want 2000", last.PerSecond)
		}
	})
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	for name, config := range map[string]load.Config{
		"no worker":     {Duration: time.Second},
		"no duration":   {Workers: 1},
		"negative rate": {Workers: 1, Duration: time.Second, Rate: -1},
	} {
		if _, err := load.Run(t.Context(), config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlotIsWellFormed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server{stillFrom: time.Now().Add(time.Second), stillUntil: time.Now().Add(1100 * time.Millisecond)}
		r := run(t, load.Config{Rate: 1000, Workers: 200, Duration: 3 * time.Second, Drain: time.Second, Call: s.call})
		var plot bytes.Buffer
		if err := r.WritePlot(&plot, `increase <one> & "all"`); err != nil {
			t.Fatal(err)
		}
		if err := wellFormed(&plot); err != nil {
			t.Error(err)
		}
		for i := 1; i < len(r.Percentiles); i++ {
			if r.Percentiles[i].Percentile <= r.Percentiles[i-1].Percentile || r.Percentiles[i].Latency < r.Percentiles[i-1].Latency {
				t.Errorf("%+v follows %+v", r.Percentiles[i], r.Percentiles[i-1])
			}
		}
	})
}

func wellFormed(in io.Reader) error {
	decoder := xml.NewDecoder(in)
	for {
		if _, err := decoder.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
