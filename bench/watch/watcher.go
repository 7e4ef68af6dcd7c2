package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// watcher is one connection. It belongs to the goroutine that reads it until
// watchers.close.
type watcher struct {
	socket  io.ReadWriteCloser
	decoder decoder
	poll    string  // the group of a long poll; empty for an event stream
	first   int     // its groups are first, first+1, ...
	values  []int64 // of its groups, the newest; the values of a group count its changes
	resets  int     // that are still to come, one for each group at the start

	now      time.Duration // since watchers.start, when the last bytes came
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
	failed    error // why reading has ended early
}

const (
	// readBytes holds many messages of a watcher.
	readBytes = 16 << 10
	// dialersMax is how many connections are opened at once.
	dialersMax = 64
)

// openWatchers connects, and returns when every watcher has had the resets that
// a watch without a position begins with: from then on it must miss nothing.
func openWatchers(ctx context.Context, node, run string, shape crowd) (*watchers, error) {
	if err := raiseDescriptors(shape.connections); err != nil {
		return nil, err
	}
	w := &watchers{all: make([]*watcher, shape.connections), start: time.Now()}
	var next atomic.Int64
	err := inParallel(dialersMax, func() error {
		buffer := make([]byte, readBytes)
		for {
			i := int(next.Add(1)) - 1
			if i >= len(w.all) || ctx.Err() != nil {
				return ctx.Err()
			}
			var err error
			if w.all[i], err = openWatcher(node, run, shape, i, buffer); err != nil {
				return err
			}
		}
	})
	if err == nil {
		err = w.read()
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func openWatcher(node, run string, shape crowd, i int, buffer []byte) (*watcher, error) {
	socket, err := openSocket(node)
	if err != nil {
		return nil, err
	}
	w := &watcher{socket: socket, first: i * shape.groupsEach % shape.groups, values: make([]int64, shape.groupsEach), resets: shape.groupsEach}
	w.decoder.message = w.message
	if shape.poll {
		w.poll = groupName(run, w.first)
	}
	if err := w.begin(shape.request(run, w.first), buffer); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return w, nil
}

// begin sends the request and waits for the resets.
func (w *watcher) begin(request, buffer []byte) error {
	if _, err := w.socket.Write(request); err != nil {
		return err
	}
	for w.resets > 0 {
		n, err := w.socket.Read(buffer)
		if err != nil {
			return err
		}
		if err := w.decoder.feed(buffer[:n]); err != nil {
			return err
		}
	}
	return nil
}

// request asks for the watch of some groups, without a position.
func (shape crowd) request(run string, first int) []byte {
	path, accept := "/v1/groups/"+groupName(run, first)+"/watch", "Accept: text/event-stream\r\n"
	if shape.poll {
		accept = ""
	}
	if shape.groupsEach > 1 {
		var groups []string
		for i := range shape.groupsEach {
			groups = append(groups, "group="+groupName(run, first+i))
		}
		path = "/v1/watch?" + strings.Join(groups, "&")
	}
	return request("GET", path, accept)
}

// readOnce reads what there is for a watcher. It is false if that was the end.
func (w *watchers) readOnce(watcher *watcher, buffer []byte) bool {
	before := len(watcher.arrivals)
	n, err := watcher.socket.Read(buffer)
	watcher.now = time.Since(w.start)
	if err == nil {
		err = watcher.decoder.feed(buffer[:n])
	}
	w.delivered.Add(int64(len(watcher.arrivals) - before))
	if err != nil && !w.closing.Load() {
		watcher.faults.Ended++
		watcher.err = err
	}
	return err == nil
}

func (w *watchers) now() time.Duration { return time.Since(w.start) }

// close ends all connections, after which the watchers are the caller's.
func (w *watchers) close() {
	if w.closing.Swap(true) {
		return
	}
	w.interrupt()
	w.running.Wait()
	for _, watcher := range w.all {
		if watcher != nil { // it could not be opened
			_ = watcher.socket.Close()
		}
	}
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
	err = w.failed
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

// message takes one message in. A long poll then asks again.
func (w *watcher) message(message []byte) error {
	if err := scan(message, w.take); err != nil || w.poll == "" {
		return err
	}
	position, err := numberAfter(message, revisionField) // the reply's own comes before those of its events
	if err != nil {
		return err
	}
	_, err = w.socket.Write(pollFrom(w.poll, position))
	return err
}

func (w *watcher) take(e event) {
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
		w.arrivals = append(w.arrivals, arrival{int32(e.group), int32(e.value), w.now})
	}
}
