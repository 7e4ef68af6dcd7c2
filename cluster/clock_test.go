package cluster

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// wrongClock is a wall clock that is off by what offset says at the time.
func wrongClock(offset *time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(*offset) }
}

func TestStampsFollowTheMedianOfTheVoters(t *testing.T) {
	voters := []string{"n1", "n2", "n3"}
	for _, test := range []struct {
		name        string
		own         time.Duration            // how far n1's clock is ahead
		others      map[string]time.Duration // likewise, of those that have answered
		logTime     time.Duration            // likewise, of the log so far
		want        time.Duration            // how far the stamps are ahead
		saysItIsOff bool
	}{
		{"all right", 0, map[string]time.Duration{"n2": 0, "n3": 0}, 0, 0, false},
		{"own clock an hour ahead", time.Hour, map[string]time.Duration{"n2": 0, "n3": time.Second}, 0, time.Second, true},
		{"own clock an hour behind", -time.Hour, map[string]time.Duration{"n2": 0, "n3": time.Second}, 0, 0, true},
		{"another clock wrong", 0, map[string]time.Duration{"n2": -time.Hour, "n3": time.Second}, 0, 0, false},
		{"two answers, the earlier counts", time.Hour, map[string]time.Duration{"n3": 0}, 0, 0, true},
		{"nobody has answered", time.Minute, nil, 0, time.Minute, false},
		{"a node that is no voter", 0, map[string]time.Duration{"n9": time.Hour}, 0, 0, false},
		{"two answers, the log says that the earlier is wrong", -time.Hour, map[string]time.Duration{"n3": 0}, -time.Minute, 0, true},
		{"two answers, the earlier is hardly behind the log", time.Hour, map[string]time.Duration{"n3": 0}, time.Second, 0, true},
		{"three answers, the log counts for nothing", time.Hour, map[string]time.Duration{"n2": 0, "n3": 0}, 30 * time.Minute, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClock("n1", wrongClock(&test.own))
				time.Sleep(time.Minute)
				for id, ahead := range test.others {
					asked := c.elapsed()
					time.Sleep(time.Millisecond)
					wallMs := time.Now().Add(ahead).UnixMilli()
					time.Sleep(time.Millisecond)
					c.observe(id, wallMs, asked, c.elapsed())
				}
				c.settle("n1", voters, time.Now().Add(test.logTime).UnixMilli())
				time.Sleep(time.Hour) // the stamps run on without another exchange
				if got := time.Duration(c.nowMs()-time.Now().UnixMilli()) * time.Millisecond; got != test.want {
					t.Errorf("stamps are %v ahead, want %v", got, test.want)
				}
				if says := strings.Contains(c.check().Detail, "set it right"); says != test.saysItIsOff {
					t.Errorf("check: %q", c.check().Detail)
				}
			})
		})
	}
}

func TestStampsDoNotFollowAClockThatJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset time.Duration
		c := newClock("n1", wrongClock(&offset))
		for _, id := range []string{"n2", "n3"} {
			c.observe(id, time.Now().UnixMilli(), c.elapsed(), c.elapsed())
		}
		offset = time.Hour
		for range 3 { // before and after the next exchange
			if got, want := c.nowMs(), time.Now().UnixMilli(); got != want {
				t.Errorf("stamp is %d ms ahead", got-want)
			}
			c.settle("n1", []string{"n1", "n2", "n3"}, time.Now().UnixMilli())
		}
	})
}
