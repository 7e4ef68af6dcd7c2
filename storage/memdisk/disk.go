package memdisk

import (
	"bytes"
	"math"
	"sync"

	"tally/storage"
)

// Disk is the disk of one machine. All methods may be called at any time, from
// any goroutine.
type Disk struct {
	monotonic bool // the log refuses entries that do not continue it

	mu      sync.Mutex
	image   image    // what the next Open finds, while no session uses the disk
	session *session // the process that uses the disk, or nil
	faults  map[storage.Operation]*injected
	calls   map[storage.Operation]int
	free    uint64
	created int // snapshots begun, for their IDs
}

// New returns an empty disk of boundless size.
func New() *Disk {
	return &Disk{
		faults: map[storage.Operation]*injected{},
		calls:  map[storage.Operation]int{},
		free:   math.MaxUint64,
	}
}

// NewMonotonic returns an empty disk whose log takes consecutive indexes only,
// as a write-ahead log does (raft.MonotonicLogStore).
func NewMonotonic() *Disk {
	d := New()
	d.monotonic = true
	return d
}

// Open gives the disk to a new process, which finds what was on it at the last
// Crash, or, if there was none since the last Open, all that was written,
// synced or not: the end of a process (SIGKILL) loses nothing.
func (d *Disk) Open() storage.Backing {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != nil {
		d.endLocked(d.session.volatile())
	}
	d.session = newSession(d, d.image)
	return d.session.backing()
}

// Crash is a power loss: what was not synced is gone. The stores of the process
// that had the disk open go on answering, as if nothing had happened, from an
// image that nobody will see, so that a test can end that process in good
// order; calls of it that hang return.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != nil {
		d.endLocked(d.session.durable())
	}
}

// Kill is the end of the process that has the disk open, by a SIGKILL: all that it
// wrote is kept, synced or not. As after a Crash, what is left of the process goes
// on unseen.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != nil {
		d.endLocked(d.session.volatile())
	}
}

// endLocked takes the disk from its session and keeps left.
func (d *Disk) endLocked(left image) {
	d.image = left
	close(d.session.ended)
	d.session = nil
}

// SetFreeBytes sets what the disk says of its free space. It does not make
// writes fail: see Inject.
func (d *Disk) SetFreeBytes(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

// Extent returns the first and the last index of the log, and the index of the
// newest snapshot, as the process sees them that has the disk open or, if none
// has, as the next one will find them; 0 is for none.
func (d *Disk) Extent() (first, last, snapshot uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	entries, list := d.image.log.entries, d.image.snapshots.list
	if d.session != nil {
		entries, list = d.session.log.volatile.entries, d.session.snapshots.volatile.list
	}
	if len(entries) > 0 {
		first, last = entries[0].Index, entries[len(entries)-1].Index
	}
	if len(list) > 0 {
		snapshot = list[0].meta.Index
	}
	return first, last, snapshot
}

// Calls returns how often op was called on this disk, by whatever process.
func (d *Disk) Calls(op storage.Operation) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[op]
}

// CorruptLog changes one byte of the payload of the entry at an index, as a bad
// sector would under a log without checksums of its own, and says whether there
// was one to change.
func (d *Disk) CorruptLog(index uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := false
	damage := func(img *logImage) {
		at, exists := img.find(index)
		if !exists || len(img.entries[at].Data) == 0 {
			return
		}
		found = true
		entry := cloneEntry(img.entries[at]) // images share entries
		entry.Data[len(entry.Data)/2] ^= 0x40
		img.entries[at] = entry
	}
	if d.session == nil {
		damage(&d.image.log)
	} else {
		damage(&d.session.log.durable)
		damage(&d.session.log.volatile)
	}
	return found
}

// CorruptSnapshot changes one byte in the middle of the newest snapshot, and says
// whether there was one to change.
func (d *Disk) CorruptSnapshot() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := false
	damage := func(img *snapshotsImage) {
		if len(img.list) == 0 || len(img.list[0].content) == 0 {
			return
		}
		found = true
		damaged := *img.list[0] // images share snapshots
		damaged.content = bytes.Clone(damaged.content)
		damaged.content[len(damaged.content)/2] ^= 0x40
		img.list[0] = &damaged
	}
	if d.session == nil {
		damage(&d.image.snapshots)
	} else {
		damage(&d.session.snapshots.durable)
		damage(&d.session.snapshots.volatile)
	}
	return found
}

// Corrupt changes one byte of the value under key in the stable store, as a bad
// sector would, and says whether there was one to change.
func (d *Disk) Corrupt(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	damage := func(img *stableImage) {
		if value := bytes.Clone(img.values[key]); len(value) > 0 {
			value[len(value)/2] ^= 0x40
			img.values[key] = value
		}
	}
	if d.session == nil {
		damage(&d.image.stable)
		return len(d.image.stable.values[key]) > 0
	}
	d.session.stable.change(damage, true)
	return len(d.session.stable.volatile.values[key]) > 0
}
