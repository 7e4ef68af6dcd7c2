package fsm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"tally/fsm"
)

// sink is a raft.SnapshotSink in memory.
type sink struct {
	bytes.Buffer
	room      int // bytes that fit, 0 for any number
	cancelled bool
	closed    bool
}

var errFull = errors.New("no space left on device")

func (s *sink) Write(data []byte) (int, error) {
	if s.room > 0 && s.Len()+len(data) > s.room {
		return 0, errFull
	}
	return s.Buffer.Write(data)
}

func (s *sink) ID() string    { return "memory" }
func (s *sink) Cancel() error { s.cancelled = true; return nil }
func (s *sink) Close() error  { s.closed = true; return nil }

// persist takes and writes a snapshot.
func persist(t testing.TB, m *fsm.Machine) []byte {
	t.Helper()
	snapshot, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Release()
	var s sink
	if err := snapshot.Persist(&s); err != nil {
		t.Fatal(err)
	}
	if !s.closed || s.cancelled {
		t.Errorf("the sink is closed: %t, cancelled: %t", s.closed, s.cancelled)
	}
	return s.Bytes()
}

// sealed puts one byte into an encoded command and gives it a right checksum.
func sealed(encoded []byte, at int, value byte) []byte {
	encoded[at] = value
	return checksummed(encoded[:len(encoded)-4])
}

// checksummed appends the checksum of a command.
func checksummed(body []byte) []byte {
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}
