package top

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tally/client"
	"tally/counter"
)

// GroupsMax is how many groups are watched: as many as one watch takes.
const GroupsMax = 1000

// listInterval is how often the groups are listed anew.
const listInterval = 2 * time.Second

// Config says what is shown.
type Config struct {
	Client *client.Client
	// Prefix chooses groups, "" all; the first GroupsMax of them are watched.
	Prefix string
}

// Monitor watches a cluster. Its own goroutines end with Close.
type Monitor struct {
	config  Config
	rates   *rates
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	listed []string // sorted
	err    error    // of the newest listing or watch, nil if it worked
	more   bool     // there are groups that are not watched
}

// Open starts watching.
func Open(config Config) *Monitor {
	m := &Monitor{config: config, rates: newRates(time.Now())}
	m.life, m.end = context.WithCancel(context.Background())
	m.running.Go(m.follow)
	return m
}

// Close ends the watch.
func (m *Monitor) Close() {
	m.end()
	m.running.Wait()
}

// follow lists the groups again and again, and watches them. When the list has
// changed the watch goes on with the new list where it was.
func (m *Monitor) follow() {
	var watch sync.WaitGroup
	defer watch.Wait()
	stop := func() {}
	defer func() { stop() }()
	var cursor position
	ticker := time.NewTicker(listInterval)
	defer ticker.Stop()
	for {
		listed, more, err := m.list()
		m.set(func() { m.err, m.more = err, more })
		if err == nil && !slices.Equal(listed, m.watched()) {
			stop()
			watch.Wait()
			m.set(func() { m.listed = listed })
			m.rates.keep(listed)
			if len(listed) > 0 {
				ctx, cancel := context.WithCancel(m.life)
				stop = cancel
				watch.Go(func() { m.watch(ctx, listed, &cursor) })
			}
		}
		select {
		case <-m.life.Done():
			return
		case <-ticker.C:
		}
	}
}

func (m *Monitor) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *Monitor) watched() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.listed
}

// list returns the sorted IDs of the groups, and whether there are more than are watched.
func (m *Monitor) list() (listed []string, more bool, err error) {
	for group, err := range m.config.Client.Groups(m.life, m.config.Prefix) {
		if err != nil {
			return nil, false, err
		}
		if len(listed) == GroupsMax {
			more = true
			break
		}
		listed = append(listed, group.Group)
	}
	slices.Sort(listed)
	return listed, more, nil
}

// position is the cursor of the newest event, kept by one watch at a time.
type position struct{ cursor string }

func (m *Monitor) watch(ctx context.Context, groups []string, from *position) {
	selections := make([]client.Selection, len(groups))
	for i, group := range groups {
		selections[i].Group = group
	}
	var options []client.WatchOption
	if from.cursor != "" {
		options = append(options, client.From(from.cursor))
	}
	for event, err := range m.config.Client.WatchGroups(ctx, selections, options...) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				m.set(func() { m.err = err })
			}
			return
		}
		m.rates.add(event, time.Now())
		if event.Cursor != "" {
			from.cursor = event.Cursor
		}
	}
}

// Picture is what there is to be shown.
type Picture struct {
	Cluster   counter.Cluster `json:"cluster"`
	PerSecond float64         `json:"perSecond"` // of all groups that are watched
	Groups    []Group         `json:"groups"`    // busiest first
	Watched   int             `json:"watched"`
	More      bool            `json:"more,omitempty"` // there are groups that are not watched
	Err       error           `json:"-"`              // why something is missing
}

// Look returns the present picture, with at most so many groups.
func (m *Monitor) Look(ctx context.Context, groups int) Picture {
	cluster, err := m.config.Client.Cluster(ctx)
	now := time.Now()
	picture := Picture{Cluster: cluster}
	picture.Groups, picture.PerSecond = m.rates.busiest(groups, now)
	m.mu.Lock()
	defer m.mu.Unlock()
	picture.Watched, picture.More = len(m.listed), m.more
	picture.Err = errors.Join(err, m.err)
	return picture
}
