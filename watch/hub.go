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
	// BytesMax is how much memory the ring and the index may take, in bytes, 0 for
	// DefaultBytesMax. An event is charged when it arrives for itself and for
	// its encoding, whether or not anybody ever asks for those. Whole revisions
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
// belong to the one goroutine that applies the log, the writer; everything else
// may be called at any time from anywhere.
type Hub struct {
	config  Config
	metrics *metrics
	ring    ring // the writer's

	index index

	// published is the newest revision that readers may see: everything up to
	// it is in the ring, or was dropped.
	published atomic.Uint64
	// floor is the newest revision that the ring has dropped: it covers what
	// came later. It is raised before the record is cut off.
	floor atomic.Uint64
	// forgotten is the newest revision that came as a snapshot, or was dropped
	// before it was indexed: whatever a watcher has not seen up to there, nobody
	// can tell it.
	forgotten atomic.Uint64

	chains   sync.Map     // group ID -> *chain; those with runs or watchers
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
	h := &Hub{config: config, index: index{running: map[string]*chain{}}, waker: newWaker()}
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
// watchers woken. Revisions only grow. It waits for nobody, and the time it takes
// depends on the events and on whether anybody watches, not on who or how many.
// It keeps copies: the slice and the strings stay the caller's.
func (h *Hub) Publish(revision uint64, events []counter.Event) {
	h.ring.append(revision, events)
	h.published.Store(revision)
	// Indexed before anything is dropped, so that a watched group that loses
	// nothing is not taken for one that might.
	h.look()
	if h.isOver() {
		for h.isOver() {
			h.dropOldest()
		}
		h.look()
	}
}

func (h *Hub) isOver() bool {
	return h.ring.events.Load() > int64(h.config.EventsMax) || h.ring.bytes.Load() > int64(h.config.BytesMax)
}

// dropOldest takes the oldest revision out of the ring, whole.
func (h *Hub) dropOldest() {
	h.floor.Store(h.ring.oldest.Load().revision)
	h.ring.removeOldest()
}

// Restored says that a snapshot has replaced the state: what happened up to
// revision and was not published before never will be. The ring is emptied, and
// every watcher that is not past revision gets a reset. It takes time in
// proportion to the ring, which is little beside the reading of a snapshot.
func (h *Hub) Restored(revision uint64) {
	h.forget(revision)
	for h.ring.oldest.Load() != nil {
		h.dropOldest()
	}
	h.floor.Store(revision)
	h.published.Store(revision)
	h.look()
	h.waker.wakeAll()
}

// forget says that nobody can be told what happened up to revision.
func (h *Hub) forget(revision uint64) {
	for {
		forgotten := h.forgotten.Load()
		if forgotten >= revision || h.forgotten.CompareAndSwap(forgotten, revision) {
			return
		}
	}
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
