package memdisk

import (
	"time"

	"tally/storage"
)

// Fault is what happens to calls of one operation. The parts happen in the
// order of the fields.
type Fault struct {
	// Call is called before anything else, without any lock: it may crash the
	// disk, cut the network, or end the calling goroutine.
	Call func()
	// Delay is slept through.
	Delay time.Duration
	// Torn makes the first half of the entries of OpStoreLogs durable before the call
	// goes on, and means nothing elsewhere. With Hang and a Crash it is a power
	// loss in the middle of a write.
	Torn bool
	// Hang waits until Heal, Crash or the next Open; then the call goes on.
	Hang bool
	// Err, if not nil, is what the call returns.
	Err error
	// Done makes the call take effect although it returns Err. A write whose
	// fsync failed is like that: it may well be on the disk.
	Done bool
	// Unsynced makes a write return before it is durable: a disk that lies, or
	// a program that forgot to sync. Later calls on the same file that are synced
	// make it durable too.
	Unsynced bool
	// Times is how many calls the fault meets; 0 means every one until Heal.
	Times int
}

// injected is a Fault in force.
type injected struct {
	Fault
	left   int
	healed chan struct{} // closed by Heal, or by the Inject that replaces it
}

// Inject puts f in force for op, in place of an earlier one.
func (d *Disk) Inject(op storage.Operation, f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.healLocked(op)
	d.faults[op] = &injected{Fault: f, left: f.Times, healed: make(chan struct{})}
}

// Heal ends the faults of the operations, or of all if none is named. Calls
// that hang go on.
func (d *Disk) Heal(operations ...storage.Operation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(operations) == 0 {
		for op := range d.faults {
			d.healLocked(op)
		}
	}
	for _, op := range operations {
		d.healLocked(op)
	}
}

func (d *Disk) healLocked(op storage.Operation) {
	if f := d.faults[op]; f != nil {
		close(f.healed)
		delete(d.faults, op)
	}
}

// meet counts a call of op by s and returns the fault that it meets, or nil.
func (d *Disk) meet(s *session, op storage.Operation) *injected {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != s {
		return nil // what a dead process does meets no fault
	}
	d.calls[op]++
	f := d.faults[op]
	if f == nil || f.Times == 0 {
		return f
	}
	if f.left == 0 {
		return nil
	}
	f.left--
	return f
}

// suffer goes through the parts of f that take time.
func (f *injected) suffer(ended <-chan struct{}) {
	if f.Call != nil {
		f.Call()
	}
	if f.Delay > 0 {
		time.Sleep(f.Delay)
	}
	if f.Hang {
		select {
		case <-f.healed:
		case <-ended:
		}
	}
}
