package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	counterKey = "writes"
	// attemptTimeout is how long a client waits for one node. A node that looks
	// for a new leader on a client's behalf is given time to find one.
	attemptTimeout = 5 * time.Second
	// retryPause keeps clients from spinning while no node can write.
	retryPause = 5 * time.Millisecond
)

// writers are the clients of a run.
type writers struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	acks    [][]time.Time // by client, the end of each acknowledged write, ascending
	unknown int64         // attempts that failed and may have counted
}

func startWriters(ctx context.Context, o options, group string) *writers {
	ctx, cancel := context.WithCancel(ctx)
	w := &writers{cancel: cancel, acks: make([][]time.Time, o.clients)}
	for client := range o.clients {
		w.running.Go(func() { w.write(ctx, o, client, "/v1/groups/"+group+"/counters/"+counterKey+"/increase") })
	}
	return w
}

// stop ends the clients and returns how many writes were acknowledged and how
// many attempts may have counted besides.
func (w *writers) stop() (acknowledged, unknown int64) {
	w.cancel()
	w.running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, acks := range w.acks {
		acknowledged += int64(len(acks))
	}
	return acknowledged, w.unknown
}

// write is one client. It begins at a node of its own and stays with a node
// until that one fails.
func (w *writers) write(ctx context.Context, o options, client int, path string) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	at := client
	for ctx.Err() == nil {
		status, err := post(ctx, &http.Client{Transport: transport}, o.endpoints[at%len(o.endpoints)]+path)
		if status == http.StatusOK {
			w.acknowledge(client)
			_ = sleep(ctx, o.pause) // the loop looks at ctx
			continue
		}
		if indefinite(status, err) {
			w.mu.Lock()
			w.unknown++
			w.mu.Unlock()
		}
		at++
		_ = sleep(ctx, retryPause)
	}
}

func (w *writers) acknowledge(client int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acks[client] = append(w.acks[client], time.Now())
}

// indefinite tells whether a failed attempt may have counted: unless the node
// says that it did not, or there was no node to take it.
func indefinite(status int, err error) bool {
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	return status == http.StatusGatewayTimeout || status == http.StatusInternalServerError
}

func post(ctx context.Context, client *http.Client, url string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err // the status alone is no acknowledgement that arrived
	}
	return response.StatusCode, nil
}

// awaitAll waits until every client has had a write acknowledged after t.
func (w *writers) awaitAll(ctx context.Context, t time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !w.allSince(t) {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return errors.Join(errors.New("not every client could write again within a minute"), err)
		}
	}
	return nil
}

func (w *writers) allSince(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(w.acks, func(acks []time.Time) bool {
		return len(acks) == 0 || acks[len(acks)-1].Before(t)
	})
}

// gaps returns the longest time without any acknowledgement, and the longest of
// one client, between from and to.
func (w *writers) gaps(from, to time.Time) (nobody, slowest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Time
	for _, acks := range w.acks {
		begin, _ := slices.BinarySearchFunc(acks, from, time.Time.Compare)
		seen := slices.Clone(acks[begin:])
		slowest = max(slowest, longestGap(from, seen, to))
		all = append(all, seen...)
	}
	slices.SortFunc(all, time.Time.Compare)
	return longestGap(from, all, to), slowest
}

func longestGap(from time.Time, acks []time.Time, to time.Time) (longest time.Duration) {
	last := from
	for _, ack := range append(acks, to) {
		longest = max(longest, ack.Sub(last))
		last = ack
	}
	return longest
}
