package report

import (
	"time"

	"tally/jepsen-lite/history"
)

// series is what happened in each interval of a run.
type series struct {
	step  time.Duration
	slots []slot
}

// slot is one interval. Operations count where they were invoked.
type slot struct {
	ok, fail, info int
	latencies      quantiles // of the answers
}

// slotsMax is how many intervals a picture has at most.
const slotsMax = 240

func newSeries(h *history.History) series {
	s := series{step: stepFor(h.Duration, slotsMax)}
	s.slots = make([]slot, int(h.Duration/s.step)+1)
	latencies := make([][]time.Duration, len(s.slots))
	for i := range h.Operations {
		o := &h.Operations[i]
		at := int(o.Invoked / s.step)
		switch {
		case o.OK() || answered(o):
			s.slots[at].ok++
			latencies[at] = append(latencies[at], o.Returned-o.Invoked)
		case o.Unknown():
			s.slots[at].info++
		default:
			s.slots[at].fail++
		}
	}
	for i := range s.slots {
		s.slots[i].latencies = quantilesOf(latencies[i])
	}
	return s
}

// stepFor returns a round length of which less than most make the duration.
func stepFor(d time.Duration, most time.Duration) time.Duration {
	for _, step := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
	} {
		if d/step < most {
			return step
		}
	}
	return d/most + 1
}

// perSecond is a number in one interval as a rate.
func (s *series) perSecond(n int) float64 { return float64(n) / s.step.Seconds() }
