//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"math"
	"time"

	"tally/jepsen-lite/proc"
)

// clockKinds make the wall clock of one node wrong.
func clockKinds() []Kind {
	kinds := []Kind{
		{Name: "clock-forward", Does: "one node's wall clock is 10 s to 6 h ahead", Inject: func(i *Injection) error {
			return skew(i, someSkew(i))
		}},
		{Name: "clock-back", Does: "one node's wall clock is 10 s to 6 h behind", Inject: func(i *Injection) error {
			return skew(i, -someSkew(i))
		}},
		{Name: "clock-strobe", Does: "one node's wall clock jumps to and fro", Inject: strobe},
	}
	for k := range kinds {
		kinds[k].Touches = Clocks
		kinds[k].Smallest = 3 // of fewer clocks, nobody can say which is wrong
	}
	return kinds
}

// skewSlack is how far from the truth a node's word of its skew may be. It is less
// than any skew, so that neither a right clock passes nor what the node has
// said since an earlier fault.
const skewSlack = 5 * time.Second

// showsSkew says whether a node that sees a skew of so many seconds has noticed
// that its clock is off by an offset.
func showsSkew(seconds float64, offset time.Duration) bool {
	return math.Abs(seconds-offset.Seconds()) < skewSlack.Seconds()
}

// someSkew returns 10 s to 6 h, small ones as often as large ones.
func someSkew(i *Injection) time.Duration {
	const least, most = 10, 6 * 3600
	seconds := least * math.Pow(most/least, i.Rand.Float64())
	return time.Duration(seconds) * time.Second
}

func skew(i *Injection, offset time.Duration) error {
	m := i.Some(1)[0]
	i.Begin([]*proc.Machine{m}, "its wall clock is wrong by %v", offset)
	i.Heal(func() error { return m.SetClock(0) })
	if err := m.SetClock(offset); err != nil {
		return err
	}
	if err := proveSkew(i, m, offset); err != nil {
		return err
	}
	return i.Hold()
}

// proveSkew waits until the node has noticed how wrong its clock is.
func proveSkew(i *Injection, m *proc.Machine, offset time.Duration) error {
	return i.Await("a node that says its clock is wrong", func() (bool, error) {
		metrics, err := m.Metrics(i.Context)
		seen := metrics["tally_cluster_clock_skew_seconds"]
		if !showsSkew(seen, offset) {
			return false, errors.Join(fmt.Errorf("it sees a skew of %v s, not of %v", seen, offset), err)
		}
		i.Prove("%s says that its clock is off by %.1f s", m.Node(), seen)
		return true, nil
	})
}

func strobe(i *Injection) error {
	const jumps = 20
	m := i.Some(1)[0]
	offset := someSkew(i)
	i.Begin([]*proc.Machine{m}, "its wall clock jumps %d times between %v ahead and as much behind", jumps, offset)
	i.Heal(func() error { return m.SetClock(0) })
	for range jumps {
		if err := errors.Join(m.SetClock(offset), i.Sleep(100*time.Millisecond)); err != nil {
			return err
		}
		offset = -offset
	}
	return proveSkew(i, m, -offset)
}
