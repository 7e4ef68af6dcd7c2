package storage

import (
	"sync"

	"github.com/hashicorp/raft"
)

const (
	// logCacheEntriesMax is how many of the newest entries stay in memory: what a
	// follower lags behind, and what waits to be applied, is read from there. It
	// must exceed what the leader sends at once several times.
	logCacheEntriesMax = 4096
	// logCacheStart is the share of the entries that there is room for at first: the
	// ring doubles from there, so that a node owns no memory for what it never had.
	logCacheStart = 64
	// logCacheBytesMax bounds their data, because a single batch can have a
	// megabyte. Who asks for older entries waits for the file, some microseconds
	// an entry; a full cache costs its size in every node, for good.
	logCacheBytesMax = 8 << 20
)

// logCache keeps the newest entries of a log in memory. Unlike raft.LogCache it
// is bounded in bytes, and it copies entries: the leader's are parts of its
// futures, so keeping those would keep every result as well.
type logCache struct {
	inner      raft.LogStore
	entriesMax int
	bytesMax   int

	mu     sync.RWMutex
	ring   []raft.Log // the entry with index i is at i modulo the length, which grows up to entriesMax
	oldest uint64     // the cached entries are those from oldest up to,
	next   uint64     // but without, next
	bytes  int        // of their data
}

var (
	_ raft.LogStore          = (*logCache)(nil)
	_ raft.MonotonicLogStore = (*logCache)(nil)
)

func newLogCache(inner raft.LogStore, entriesMax, bytesMax int) *logCache {
	return &logCache{inner: inner, entriesMax: entriesMax, bytesMax: bytesMax, ring: make([]raft.Log, max(1, entriesMax/logCacheStart))}
}

func (c *logCache) at(index uint64) *raft.Log { return &c.ring[index%uint64(len(c.ring))] }

func dataBytes(entry *raft.Log) int { return len(entry.Data) + len(entry.Extensions) }

// IsMonotonic implements raft.MonotonicLogStore.
func (c *logCache) IsMonotonic() bool { return isMonotonic(c.inner) }

// FirstIndex implements raft.LogStore.
func (c *logCache) FirstIndex() (uint64, error) { return c.inner.FirstIndex() }

// LastIndex implements raft.LogStore.
func (c *logCache) LastIndex() (uint64, error) { return c.inner.LastIndex() }

// GetLog implements raft.LogStore.
func (c *logCache) GetLog(index uint64, entry *raft.Log) error {
	c.mu.RLock()
	cached := c.oldest <= index && index < c.next
	if cached {
		*entry = *c.at(index)
	}
	c.mu.RUnlock()
	if cached {
		return nil
	}
	return c.inner.GetLog(index, entry)
}

// StoreLog implements raft.LogStore.
func (c *logCache) StoreLog(entry *raft.Log) error { return c.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore. Only what is stored is cached.
func (c *logCache) StoreLogs(entries []*raft.Log) error {
	if err := c.inner.StoreLogs(entries); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range entries {
		if entry.Index != c.next {
			c.clearLocked()
			c.oldest = entry.Index
		}
		if c.next-c.oldest == uint64(len(c.ring)) {
			c.makeRoomLocked()
		}
		*c.at(entry.Index) = *entry
		c.next = entry.Index + 1
		c.bytes += dataBytes(entry)
	}
	for c.bytes > c.bytesMax {
		c.dropOldestLocked()
	}
	return nil
}

// DeleteRange implements raft.LogStore. What is to be deleted is forgotten first:
// an entry must not be readable after its deletion. A compaction, which deletes
// far behind, leaves the cache alone.
func (c *logCache) DeleteRange(minimum, maximum uint64) error {
	c.mu.Lock()
	if minimum < c.next && c.oldest <= maximum {
		c.clearLocked()
	}
	c.mu.Unlock()
	return c.inner.DeleteRange(minimum, maximum)
}

// makeRoomLocked makes room for one entry in a full ring.
func (c *logCache) makeRoomLocked() {
	if len(c.ring) == c.entriesMax {
		c.dropOldestLocked()
		return
	}
	old := c.ring
	c.ring = make([]raft.Log, min(2*len(old), c.entriesMax))
	for index := c.oldest; index < c.next; index++ {
		*c.at(index) = old[index%uint64(len(old))]
	}
}

func (c *logCache) dropOldestLocked() {
	entry := c.at(c.oldest)
	c.bytes -= dataBytes(entry)
	*entry = raft.Log{}
	c.oldest++
}

func (c *logCache) clearLocked() {
	for c.oldest < c.next {
		c.dropOldestLocked()
	}
	c.oldest, c.next = 0, 0
}
