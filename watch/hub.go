package watch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tally/counter"
)

// What a Config that says nothing gets.
const (
	DefaultEventsMax      = 1 << 17
	DefaultBytesMax       = 64 << 20
	DefaultWatchersMax    = 1 << 16
	DefaultBatchEventsMax = 512
)

// Config is what a hub needs. State and Encode must be given.
type Config struct {
	// EventsMax is how many events the ring holds, 0 for DefaultEventsMax.
	EventsMax int
	// BytesMax is how much memory the ring may take, in bytes, 0 for
	// DefaultBytesMax. An event is charged when it arrives for itself and for
	// its encoding, whether or not anybody ever asks for that. Whole revisions
	// are dropped, also the newest when it alone is over a limit.
	BytesMax int
	// WatchersMax is how many watchers there can be, 0 for DefaultWatchersMax.
	// A cursor counts once for each of its groups, as that is what it costs.
	WatchersMax int
	// BatchEventsMax is how many events one batch has before it is cut short at
	// the end of a revision, 0 for DefaultBatchEventsMax. It bounds what the node
	// holds at once for a watcher that comes back late, about 70 bytes an event;
	// there may be very many of them.
	BatchEventsMax int

	// State reads the named counters of a group, or all for nil, in one cut. The
	// reading must include everything published so far, and may be ahead of
	// that. It is called by watchers' goroutines, never by the writer's.
	State func(group string, keys []string) counter.Reading
	// Encode turns events, at least one, into the bytes that watchers are sent.
	// It is called once for all watchers that want the same events, on the
	// goroutine of the first that asks.
	Encode func(events []counter.Event) []byte

	// Registerer takes the metrics; nil for none. Each hub needs its own registry.
	Registerer prometheus.Registerer
}

// Hub holds the newest committed events for its watchers. Publish and Restored
// belong to the one goroutine that applies the log; everything else may be
// called at any time from anywhere.
type Hub struct {
	config  Config
	metrics *metrics
	ring    ring // the writer's

	// published is the newest revision that readers may see: everything up to
	// it is linked, or was dropped.
	published atomic.Uint64
	// floor is the newest revision of which the ring has dropped anything: it
	// covers what came later. It is raised before a run is unlinked.
	floor atomic.Uint64
	// restored is the newest revision that came as a snapshot: whatever a
	// watcher has not seen up to there, nobody can tell it.
	restored atomic.Uint64

	chains   sync.Map     // group ID -> *chain; those with runs or watchers
	running  chainsInRing // those with runs, once more; the writer's
	groups   atomic.Int64 // how many chains there are
	watchers atomic.Int64 // how many groups are watched, over all cursors

	waker  waker
	closed atomic.Bool
}

// Open starts a hub that holds nothing and covers the log from its first entry
// on. If the log does not begin there, call Restored before the first Publish.
func Open(config Config) *Hub {
	setDefault(&config.EventsMax, DefaultEventsMax)
	setDefault(&config.BytesMax, DefaultBytesMax)
	setDefault(&config.WatchersMax, DefaultWatchersMax)
	setDefault(&config.BatchEventsMax, DefaultBatchEventsMax)
	h := &Hub{config: config, running: chainsInRing{}, waker: newWaker()}
	h.metrics = newMetrics(config.Registerer, h)
	go h.wakeWatchers()
	return h
}

func setDefault(limit *int, value int) {
	if *limit == 0 {
		*limit = value
	}
}

// Close makes every Poll and Next fail from now on, wakes those who wait, and
// returns when the hub's goroutine has ended. Publishing goes on to be harmless.
func (h *Hub) Close() {
	h.closed.Store(true)
	h.waker.wakeAll()
	<-h.waker.done
}

// Publish appends the events of a revision, possibly none, and has their
// watchers woken. Revisions only grow. The time it takes depends on the events
// alone, not on who watches, and it waits for nobody. The slice belongs to the hub from then on. Of
// the strings it keeps copies: an event's key is often a small part of a large request.
func (h *Hub) Publish(revision uint64, events []counter.Event) {
	first := h.append(revision, events)
	h.published.Store(revision)
	h.wakeWatchersOf(first)
	for h.ring.events.Load() > int64(h.config.EventsMax) || h.ring.bytes.Load() > int64(h.config.BytesMax) {
		h.dropOldestRevision()
	}
}

// append links the events behind everything else and returns the first of their
// runs, nil if there are no events.
func (h *Hub) append(revision uint64, events []counter.Event) (first *run) {
	// All runs of a revision leave the ring together, so they may be one piece of memory.
	runs := make([]run, countRuns(events))
	for i, start := 0, 0; i < len(runs); i++ {
		end := endOfRun(events, start)
		r := &runs[i]
		r.revision, r.start, r.events = revision, start, events[start:end:end]
		r.chain = h.chainOfRun(events[start].Group)
		r.own(r.chain.newest.Load())
		r.chain.append(r)
		h.ring.append(r)
		start = end
	}
	if len(runs) == 0 {
		return nil
	}
	return &runs[0]
}

func (h *Hub) wakeWatchersOf(first *run) {
	queued := false
	for r := first; r != nil; r = r.following {
		// A watcher that arrives after this look will find the event by itself:
		// it joins its chain before it loads what is published.
		if r.chain.watched.Load() {
			h.waker.enqueue(r.chain)
			queued = true
		}
	}
	if queued {
		h.waker.start()
	}
}

// dropOldestRevision takes the oldest revision out of the ring, whole.
func (h *Hub) dropOldestRevision() {
	revision := h.ring.oldest.revision
	h.floor.Store(revision)
	for h.ring.oldest != nil && h.ring.oldest.revision == revision {
		h.dropOldestRun()
	}
}

func (h *Hub) dropOldestRun() {
	r := h.ring.removeOldest()
	r.chain.remove(r)
	h.runGone(r.chain)
}

// Restored says that a snapshot has replaced the state: what happened up to
// revision and was not published before never will be. The ring is emptied, and
// every watcher that is not past revision gets a reset. It takes time in
// proportion to the ring, which is little beside the reading of a snapshot.
func (h *Hub) Restored(revision uint64) {
	h.restored.Store(revision)
	h.floor.Store(revision)
	for h.ring.oldest != nil {
		h.dropOldestRun()
	}
	h.published.Store(revision)
	h.waker.wakeAll()
}

// Published returns the newest revision that watchers can have been told of.
func (h *Hub) Published() uint64 { return h.published.Load() }

const watchersRetryAfter = time.Second

func (h *Hub) tooManyWatchers() error {
	err := counter.Errorf(counter.TooManyWatchers,
		"this node serves as many watchers as it may (%d); try another node, or come back later", h.config.WatchersMax)
	err.RetryAfter = watchersRetryAfter
	return err
}

func shuttingDown() error {
	err := counter.Errorf(counter.ShuttingDown, "this node is shutting down; watch on another node")
	err.RetryAfter = watchersRetryAfter
	return err
}
