package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"tally/client"
	"tally/counter"
)

// Group is the group that the writers count in. It is theirs alone: somebody
// else's change there would look like one that counted twice.
const Group = "demo"

// writerKeys are the counters of the writers, one each.
func writerKeys() []string { return []string{"gifts", "likes", "shares", "views"} }

// attemptTimeout bounds one call of a writer. It is repeated under its key.
const attemptTimeout = 2 * time.Second

// Writers put a light load on the cluster. Each has a counter that nobody else
// changes and increases it by one, again and again, each time under an
// idempotency key, until it is answered. So its answers must be 1, 2, 3, ...: a
// change that was lost would repeat a number, one that counted twice skip one.
type Writers struct {
	cluster *Cluster
	client  *client.Client
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup
	// turns holds one token for each writer that is between two changes. Who
	// takes them all knows that no change is under way.
	turns    chan struct{}
	checking sync.Mutex // held by who takes them

	mu           sync.Mutex
	acknowledged map[string]int64 // by key
	waiting      int              // changes under way that had no answer to their first attempt
	wrong        []string         // answers that were not the next number
	last         time.Time        // of the newest acknowledgement
	recent       []time.Time      // the acknowledgements of the last second
}

// OpenWriters starts writers that together make perSecond changes a second.
func OpenWriters(c *Cluster, perSecond float64) (*Writers, error) {
	calls, err := client.New(c.URLs(), client.WithTimeout(attemptTimeout), client.WithAttemptTimeout(attemptTimeout/2))
	if err != nil {
		return nil, err
	}
	keys := writerKeys()
	w := &Writers{
		cluster:      c,
		client:       calls,
		turns:        make(chan struct{}, len(keys)),
		acknowledged: make(map[string]int64),
		last:         time.Now(),
	}
	w.life, w.end = context.WithCancel(context.Background())
	interval := time.Duration(float64(time.Second) * float64(len(keys)) / perSecond)
	for _, key := range keys {
		w.turns <- struct{}{}
		w.running.Go(func() { w.write(key, interval) })
	}
	return w, nil
}

// Close ends the writers. What is under way is given up.
func (w *Writers) Close() error {
	w.end()
	w.running.Wait()
	return w.client.Close()
}

// write is one writer.
func (w *Writers) write(key string, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-w.life.Done():
			return
		}
		select {
		case <-w.turns:
		case <-w.life.Done():
			return
		}
		w.increase(key)
		w.turns <- struct{}{}
	}
}

// increase makes one change, however often it must be sent.
func (w *Writers) increase(key string) {
	once := w.client.NewIdempotencyKey()
	waiting := false
	defer func() {
		if waiting {
			w.note(func() { w.waiting-- })
		}
	}()
	for w.life.Err() == nil {
		result, err := w.client.Increase(w.life, Group, map[string]int64{key: 1}, client.IdempotencyKey(once))
		switch {
		case err == nil:
			w.answered(key, result.Outcomes[0].Counters[0].Value)
			return
		case errors.Is(err, counter.IdempotencyKeyExpired), errors.Is(err, counter.OutcomeUnknown) && expired(once):
			// The key is too old to settle anything, and what is still on its way
			// under it will be refused. So look: nobody else counts here.
			if w.lookedUp(key) {
				return
			}
		case !waiting:
			waiting = true
			w.note(func() { w.waiting++ })
		}
	}
}

// keysExpire is longer than the cluster takes a key: ten minutes.
const keysExpire = 11 * time.Minute

// expired tells whether the cluster no longer takes the key.
func expired(key string) bool {
	id, ok := counter.ParseUUIDv7(key)
	return ok && time.Since(time.UnixMilli(id.TimeMs())) > keysExpire
}

// lookedUp settles a change by reading its counter.
func (w *Writers) lookedUp(key string) bool {
	reading, err := w.client.Get(w.life, Group, key)
	if err != nil {
		return false
	}
	var value int64
	for _, c := range reading.Counters {
		value = c.Value
	}
	w.mu.Lock()
	made := value > w.acknowledged[key]
	w.mu.Unlock()
	if made {
		w.answered(key, value)
	}
	return true
}

func (w *Writers) answered(key string, value int64) {
	now := time.Now()
	w.mu.Lock()
	gap := now.Sub(w.last)
	w.last = now
	w.acknowledged[key]++
	w.recent = append(newest(w.recent, now), now)
	want := w.acknowledged[key]
	var wrong string
	if value != want {
		wrong = fmt.Sprintf("%s/%s: the answer to change %d was %d", Group, key, want, value)
		w.wrong = append(w.wrong, wrong)
		w.acknowledged[key] = value // so that one mistake is told once
	}
	w.mu.Unlock()
	if wrong != "" {
		w.cluster.config.Say("WRONG: " + wrong + "; did somebody else change it?")
	}
	if gap > gapTold {
		w.cluster.config.Say(fmt.Sprintf("changes go on: for %.2f s none was acknowledged", gap.Seconds()))
	}
}

// gapTold is how long nothing must have been acknowledged for it to be told of.
const gapTold = 400 * time.Millisecond

func (w *Writers) note(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// Tally is what the writers have seen.
type Tally struct {
	Acknowledged int64
	PerSecond    int // acknowledged in the last second
	// Waiting changes were sent, had no answer in time, and are being repeated.
	Waiting int
	// Wrong are the answers that were not the next number.
	Wrong []string
	// Silence is how long ago the newest acknowledgement was.
	Silence time.Duration
}

// Tally returns what the writers have seen until now.
func (w *Writers) Tally() Tally {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recent = newest(w.recent, now)
	t := Tally{PerSecond: len(w.recent), Waiting: w.waiting, Wrong: slices.Clone(w.wrong), Silence: now.Sub(w.last)}
	for _, count := range w.acknowledged {
		t.Acknowledged += count
	}
	return t
}

// newest keeps the times of the last second.
func newest(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(times, func(at time.Time) bool { return now.Sub(at) > time.Second })
}

// Verdict is the outcome of a check.
type Verdict struct {
	Acknowledged int64
	// Values is the sum of the writers' counters as each node that answered reads it, by URL.
	Values map[string]int64
	// Exact: at least one node answered, and each counter is, on every node that
	// answered, what was acknowledged.
	Exact bool
}

// Check lets the writers wait, reads their counters on every node that runs, and
// compares.
func (w *Writers) Check(ctx context.Context) (Verdict, error) {
	w.checking.Lock()
	defer w.checking.Unlock()
	taken := 0
	defer func() {
		for range taken {
			w.turns <- struct{}{}
		}
	}()
	for range cap(w.turns) {
		select {
		case <-w.turns:
			taken++
		case <-ctx.Done():
			return Verdict{}, fmt.Errorf("a change still waits for its answer: %w", ctx.Err())
		}
	}
	w.mu.Lock()
	acknowledged := maps.Clone(w.acknowledged)
	w.mu.Unlock()
	return w.compare(ctx, acknowledged), nil
}

func (w *Writers) compare(ctx context.Context, acknowledged map[string]int64) Verdict {
	v := Verdict{Values: make(map[string]int64), Exact: true}
	for _, count := range acknowledged {
		v.Acknowledged += count
	}
	for _, url := range w.cluster.runningURLs() {
		values, err := readOne(ctx, url)
		if err != nil {
			continue // cut off meanwhile, or without a majority
		}
		var sum int64
		for _, value := range values {
			sum += value
		}
		v.Values[url] = sum
		v.Exact = v.Exact && maps.Equal(values, acknowledged)
	}
	v.Exact = v.Exact && len(v.Values) > 0
	return v
}

// readOne reads the writers' counters on one node.
func readOne(ctx context.Context, url string) (map[string]int64, error) {
	one, err := client.New([]string{url}, client.WithoutDiscovery(), client.WithTimeout(attemptTimeout))
	if err != nil {
		return nil, err
	}
	defer func() { _ = one.Close() }()
	reading, err := one.Get(ctx, Group)
	if err != nil {
		return nil, err
	}
	values := make(map[string]int64)
	for _, c := range reading.Counters {
		values[c.Key] = c.Value
	}
	return values, nil
}
