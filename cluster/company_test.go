package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWaveWaitsForThoseWhoAreAnswered(t *testing.T) {
	for _, test := range []struct {
		name               string
		gathered, answered int
		wanted             int
	}{
		{"nobody was answered", 100, 0, 0},
		{"few", 10, 13, 0},
		{"a crowd", 12, 12, 18},
		{"all were answered", 0, 64, 48},
		{"more than gains anything", 100, 156, 64},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c company
			c.await(test.gathered, test.answered, time.Second)
			if !c.suffices(test.wanted) || test.wanted > 0 && c.suffices(test.wanted-1) {
				t.Errorf("the wave wants %d, not %d", c.wanted, test.wanted)
			}
			c.leave()
			if !c.suffices(0) {
				t.Error("the wave still waits")
			}
		})
	}
}

func TestWaitForCompanyEnds(t *testing.T) {
	for flight, want := range map[time.Duration]time.Duration{3 * time.Millisecond: 3 * time.Millisecond, time.Second: companyWaitMax} {
		synctest.Test(t, func(t *testing.T) {
			var c company
			for range 2 { // the second time with a timer that has been used
				began := time.Now()
				c.await(0, 64, flight)
				<-c.late()
				c.leave()
				if took := time.Since(began); took != want {
					t.Errorf("it ended after %v, want %v", took, want)
				}
			}
			if c.late() != nil {
				t.Error("a wave that does not wait can be late")
			}
		})
	}
}

func TestWavesBesideOthers(t *testing.T) {
	for _, test := range []struct {
		flying, n int64
		departs   bool
	}{
		{0, 1, true}, {0, 0, false}, {2, 1, false}, {8, 8, true},
		{12, 12, false}, {12, 24, true}, {32, 32, false}, {32, 64, true}, {2000, 1023, false}, {2000, 1024, true},
	} {
		var q proposer
		q.flying.Store(test.flying)
		if q.departs(test.n) != test.departs {
			t.Errorf("a wave of %d beside %d departs: %t", test.n, test.flying, !test.departs)
		}
	}
}
