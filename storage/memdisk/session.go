package memdisk

import (
	"tally/storage"
)

// session is one process's use of the disk: it lasts from Open to the next
// Open or Crash, and then goes on with nobody watching.
type session struct {
	disk  *Disk
	ended chan struct{} // closed by Disk.endLocked

	// Guarded by Disk.mu.
	log       file[logImage]
	stable    file[stableImage]
	identity  file[identityImage]
	snapshots file[snapshotsImage]
}

func newSession(d *Disk, img image) *session {
	return &session{
		disk:      d,
		ended:     make(chan struct{}),
		log:       newFile(img.log),
		stable:    newFile(img.stable),
		identity:  newFile(img.identity),
		snapshots: newFile(img.snapshots),
	}
}

func (s *session) volatile() image {
	return image{s.log.volatile.clone(), s.stable.volatile.clone(), s.identity.volatile.clone(), s.snapshots.volatile.clone()}
}

func (s *session) durable() image {
	return image{s.log.durable.clone(), s.stable.durable.clone(), s.identity.durable.clone(), s.snapshots.durable.clone()}
}

func (s *session) backing() storage.Backing {
	return storage.Backing{
		Log:       &logStore{s},
		Stable:    &stableStore{s},
		Snapshots: &snapshotStore{s},
		Identity:  &identityStore{s},
		LogBytes:  s.logBytes,
		FreeBytes: s.freeBytes,
	}
}

// do is one call of op: body runs under the disk's mutex, and learns whether
// what it writes is durable at once.
func (s *session) do(op storage.Operation, body func(synced bool) error) error {
	return s.doWrite(op, func() {}, body)
}

// doWrite is do for a call that can be torn.
func (s *session) doWrite(op storage.Operation, tear func(), body func(synced bool) error) error {
	fault := s.disk.meet(s, op)
	if fault == nil {
		return s.locked(body, true)
	}
	if fault.Torn {
		tear()
	}
	fault.suffer(s.ended)
	if fault.Err == nil {
		return s.locked(body, !fault.Unsynced)
	}
	if fault.Done {
		if err := s.locked(body, !fault.Unsynced); err != nil {
			return err
		}
	}
	return fault.Err
}

func (s *session) locked(body func(synced bool) error, synced bool) error {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	return body(synced)
}

func (s *session) logBytes() (uint64, error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	var n uint64
	for _, entry := range s.log.volatile.entries {
		n += uint64(len(entry.Data) + len(entry.Extensions))
	}
	return n, nil
}

func (s *session) freeBytes() (uint64, error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	return s.disk.free, nil
}
