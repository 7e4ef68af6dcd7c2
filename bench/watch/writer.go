package main

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// writersMax is how many connections changes are sent on, at most one for each
// change a second: a node ends a connection on which nothing comes for some
// seconds. At some milliseconds for each change it is enough for the rates here.
const writersMax = 32

// writerBufferBytes holds the longest header line of a reply.
const writerBufferBytes = 1024

// writer increases the counters of groups by one, so that a counter's value says
// which change of its group an event is.
type writer struct {
	conn *conn
}

func openWriter(ctx context.Context, base string) (*writer, error) {
	c, err := dial(ctx, base, writerBufferBytes)
	if err != nil {
		return nil, err
	}
	return &writer{c}, nil
}

// increase returns the counter's new value and the revision.
func (w *writer) increase(group string) (value, revision int64, err error) {
	reply, err := w.conn.do(request("POST", "/v1/groups/"+group+"/counters/n/increase", ""))
	if err != nil {
		return 0, 0, err
	}
	value, err = numberAfter(reply, valueField)
	if err != nil {
		return 0, 0, err
	}
	revision, err = numberAfter(reply, revisionField)
	return value, revision, err
}

// change is when one was made, since watchers.start.
type change struct{ sent, replied time.Duration }

// value returns what the counter is.
func (w *writer) value(group string) (int64, error) {
	reply, err := w.conn.do(request("GET", "/v1/groups/"+group+"/counters", ""))
	if err != nil || !bytes.Contains(reply, counterField) {
		return 0, err
	}
	return numberAfter(reply, counterField)
}

var counterField = []byte(`"n":`)

// changes are those of a measurement.
type changes struct {
	mu      sync.Mutex
	byGroup [][]change // that which made the value v is at v-1; zero if its writer does not know
	failed  int        // some of which may have been made
}

func (c *changes) add(group int, value int64, made change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for int64(len(c.byGroup[group])) < value {
		c.byGroup[group] = append(c.byGroup[group], change{})
	}
	c.byGroup[group][value-1] = made
}

func (c *changes) addFailed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed++
}

// of returns when a change was made, if that is known.
func (c *changes) of(group, value int32) (made change, known bool) {
	if int(value) <= len(c.byGroup[group]) {
		made = c.byGroup[group][value-1]
	}
	return made, made != change{}
}

// newest reads the last value of each group, which is how many changes were made.
func (c *changes) newest(ctx context.Context, base, run string) ([]int64, error) {
	w, err := openWriter(ctx, base)
	if err != nil {
		return nil, err
	}
	defer w.conn.close()
	values := make([]int64, len(c.byGroup))
	for group := range values {
		if values[group], err = w.value(groupName(run, group)); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// makeChanges makes changes at a rate, by turns in all groups, until the time is
// over. A change that fails is not made again.
func makeChanges(ctx context.Context, base, run string, shape crowd, duration time.Duration, now func() time.Duration) (*changes, error) {
	made := &changes{byGroup: make([][]change, shape.groups)}
	begin, interval := now(), time.Second/time.Duration(shape.rate)
	var next atomic.Int64
	err := inParallel(min(writersMax, shape.rate), func() error {
		w, err := openWriter(ctx, base)
		if err != nil {
			return err
		}
		defer func() { w.conn.close() }()
		for {
			i := int(next.Add(1)) - 1
			due := time.Duration(i) * interval
			if due >= duration || ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(begin + due - now())
			group := i % shape.groups
			sent := now()
			value, _, err := w.increase(groupName(run, group))
			if err == nil {
				made.add(group, value, change{sent, now()})
				continue
			}
			made.addFailed()
			w.conn.close()
			if w.conn, err = dial(ctx, base, writerBufferBytes); err != nil {
				return err
			}
		}
	})
	return made, err
}

// inParallel runs n of f and returns, when all have ended, one of their errors:
// they mostly have the same.
func inParallel(n int, f func() error) error {
	failures := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { failures[i] = f() })
	}
	running.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}
