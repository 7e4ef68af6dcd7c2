package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// source gives the messages of a watch one after the other.
type source interface{ next() ([]byte, error) }

// watcher is one connection. Its goroutine owns it until watchers.close.
type watcher struct {
	source source
	conn   *conn
	first  int     // its groups are first, first+1, ...
	values []int64 // of its groups, the newest; the values of a group count its changes
	resets int     // that are still to come, one for each group at the start

	arrivals []arrival
	faults   faults
	err      error // why it ended before it was closed
}

type arrival struct {
	group int32
	value int32
	at    time.Duration // since watchers.start
}

// faults are what must never happen.
type faults struct {
	Missing   int `json:"missing"`   // changes that were left out
	Misplaced int `json:"misplaced"` // changes that came twice, or after a later one
	Resets    int `json:"resets"`    // where no watcher is too old
	Ended     int `json:"ended"`     // connections that the node ended
}

func (f *faults) add(other faults) {
	f.Missing += other.Missing
	f.Misplaced += other.Misplaced
	f.Resets += other.Resets
	f.Ended += other.Ended
}

func (f faults) err() error {
	if f != (faults{}) {
		return fmt.Errorf("%d events missing, %d misplaced, %d resets, %d connections ended", f.Missing, f.Misplaced, f.Resets, f.Ended)
	}
	return nil
}

// watchers are all connections of a measurement.
type watchers struct {
	all       []*watcher
	start     time.Time
	delivered atomic.Int64 // changes, over all watchers
	closing   atomic.Bool
	running   sync.WaitGroup
}

// crowdBufferBytes holds a reset of ten groups, and is small enough to have twice
// for each of 10,000 connections.
const crowdBufferBytes = 2048

// dialersMax is how many connections are opened at once.
const dialersMax = 64

// openWatchers connects, and returns when every watcher has had the resets that
// a watch without a position begins with: from then on it must miss nothing.
func openWatchers(ctx context.Context, node, run string, shape crowd) (*watchers, error) {
	if err := raiseDescriptors(shape.connections); err != nil {
		return nil, err
	}
	w := &watchers{all: make([]*watcher, shape.connections), start: time.Now()}
	var next atomic.Int64
	var dialers sync.WaitGroup
	failures := make([]error, dialersMax)
	for dialer := range dialersMax {
		dialers.Go(func() {
			for failures[dialer] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(w.all) {
					return
				}
				w.all[i], failures[dialer] = openWatcher(ctx, node, run, shape, i)
			}
		})
	}
	dialers.Wait()
	if err := errors.Join(failures...); err != nil {
		w.close()
		return nil, err
	}
	for _, watcher := range w.all {
		w.running.Go(func() { watcher.err = w.follow(watcher) })
	}
	return w, nil
}

func openWatcher(ctx context.Context, node, run string, shape crowd, i int) (*watcher, error) {
	c, err := dial(ctx, node, crowdBufferBytes)
	if err != nil {
		return nil, err
	}
	w := &watcher{conn: c, first: i * shape.groupsEach % shape.groups, values: make([]int64, shape.groupsEach), resets: shape.groupsEach}
	if w.source, err = shape.open(c, run, w.first); err != nil {
		c.close()
		return nil, err
	}
	for w.resets > 0 {
		if _, err := w.read(func() time.Duration { return 0 }); err != nil {
			c.close()
			return nil, err
		}
	}
	return w, nil
}

// open asks for the watch of some groups.
func (shape crowd) open(c *conn, run string, first int) (source, error) {
	if shape.poll {
		return newPoll(c, groupName(run, first), fromState), nil
	}
	path := "/v1/groups/" + groupName(run, first) + "/watch"
	if shape.groupsEach > 1 {
		var groups []string
		for i := range shape.groupsEach {
			groups = append(groups, "group="+groupName(run, first+i))
		}
		path = "/v1/watch?" + strings.Join(groups, "&")
	}
	return c.stream(request("GET", path, "Accept: text/event-stream\r\n"))
}

// follow reads until the connection is closed.
func (w *watchers) follow(watcher *watcher) error {
	for {
		changes, err := watcher.read(w.now)
		if err == nil {
			w.delivered.Add(int64(changes))
			continue
		}
		if w.closing.Load() {
			return nil
		}
		watcher.faults.Ended++
		return err
	}
}

func (w *watchers) now() time.Duration { return time.Since(w.start) }

// close ends all connections, after which the watchers are the caller's.
func (w *watchers) close() {
	w.closing.Store(true)
	for _, watcher := range w.all {
		if watcher != nil { // it could not be opened
			watcher.conn.close()
		}
	}
	w.running.Wait()
}

// settleMax is how long the last changes may take to arrive.
const settleMax = 15 * time.Second

// settle waits until the watchers have had all changes; newest has the last
// value of each group. If some do not come, verdict will tell.
func (w *watchers) settle(ctx context.Context, newest []int64) {
	var expected int64
	for _, watcher := range w.all {
		for i := range watcher.values {
			expected += newest[watcher.first+i]
		}
	}
	for deadline := time.Now().Add(settleMax); w.delivered.Load() < expected && time.Now().Before(deadline) && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
	}
}

// verdict adds up the faults, once the watchers are closed.
func (w *watchers) verdict(newest []int64) (all faults, err error) {
	for _, watcher := range w.all {
		for i, value := range watcher.values {
			watcher.faults.Missing += int(newest[watcher.first+i] - value)
		}
		all.add(watcher.faults)
		if err == nil {
			err = watcher.err
		}
	}
	return all, err
}

// read takes in the next message and returns how many changes it has brought.
func (w *watcher) read(now func() time.Duration) (changes int, err error) {
	message, err := w.source.next()
	if err != nil {
		return 0, err
	}
	at := now()
	before := len(w.arrivals)
	err = scan(message, func(e event) { w.take(e, at) })
	return len(w.arrivals) - before, err
}

func (w *watcher) take(e event, at time.Duration) {
	i := e.group - w.first
	switch {
	case i < 0 || i >= len(w.values):
		w.faults.Misplaced++
	case e.reset && w.resets > 0:
		w.resets--
	case e.reset:
		w.faults.Resets++
	case e.value <= w.values[i]:
		w.faults.Misplaced++
	default:
		w.faults.Missing += int(e.value - w.values[i] - 1)
		w.values[i] = e.value
		w.arrivals = append(w.arrivals, arrival{int32(e.group), int32(e.value), at})
	}
}
