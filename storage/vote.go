package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync"

	"github.com/hashicorp/raft"
)

// The keys under which Raft saves a vote, and the one under which it is kept.
const (
	lastVoteTermKey = "LastVoteTerm"
	lastVoteCandKey = "LastVoteCand"
	voteKey         = "Vote"
)

// voteStore writes the two halves of a vote together. Raft saves the term first
// and the candidate in a second write. A crash in between leaves the new term
// with the candidate of the last vote, and when that candidate asks for a vote
// in the new term, Raft takes the request for a repetition and grants it
// without comparing the logs: a leader may be elected that lacks committed
// entries (hashicorp/raft#661).
//
// So the term waits in memory until the candidate arrives. Until then, and
// after a crash, reading gives the last vote.
type voteStore struct {
	inner raft.StableStore

	mu      sync.Mutex
	pending *uint64 // the term of a vote whose candidate has not come yet
}

var _ raft.StableStore = (*voteStore)(nil)

var errVoteWithoutTerm = errors.New("a vote's candidate came without its term")

// SetUint64 implements raft.StableStore.
func (s *voteStore) SetUint64(key []byte, value uint64) error {
	if string(key) != lastVoteTermKey {
		return s.inner.SetUint64(key, value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = &value
	return nil
}

// Set implements raft.StableStore.
func (s *voteStore) Set(key, value []byte) error {
	if string(key) != lastVoteCandKey {
		return s.inner.Set(key, value)
	}
	term := s.takePending()
	if term == nil {
		return errVoteWithoutTerm
	}
	return s.inner.Set([]byte(voteKey), vote{term: *term, candidate: value}.append(nil))
}

func (s *voteStore) takePending() *uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	term := s.pending
	s.pending = nil
	return term
}

// GetUint64 implements raft.StableStore.
func (s *voteStore) GetUint64(key []byte) (uint64, error) {
	if string(key) != lastVoteTermKey {
		return s.inner.GetUint64(key)
	}
	v, err := s.last()
	return v.term, err
}

// Get implements raft.StableStore.
func (s *voteStore) Get(key []byte) ([]byte, error) {
	if string(key) != lastVoteCandKey {
		return s.inner.Get(key)
	}
	v, err := s.last()
	return v.candidate, err
}

func (s *voteStore) last() (vote, error) {
	record, err := s.inner.Get([]byte(voteKey))
	if err != nil {
		return vote{}, err
	}
	return decodeVote(record)
}

// vote is what the record under voteKey holds:
//
//	 0         1                    9                n-4              n
//	+---------+--------------------+----------------+----------------+
//	| version | term               | candidate      | CRC32C         |
//	| 1       | uint64, big-endian | n-13 bytes     | big-endian     |
//	+---------+--------------------+----------------+----------------+
//
// The candidate is its address, as Raft passes it. The checksum covers all
// before it: a vote that changed on the disk could be given twice.
type vote struct {
	term      uint64
	candidate []byte
}

const (
	voteVersion       = 1
	voteHeaderBytes   = 9
	voteChecksumBytes = 4
)

func (v vote) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, voteVersion)
	dst = binary.BigEndian.AppendUint64(dst, v.term)
	dst = append(dst, v.candidate...)
	return binary.BigEndian.AppendUint32(dst, castagnoli(dst[start:]))
}

// decodeVote returns a vote whose candidate aliases record. The candidate is
// never nil: Raft takes nil for no vote.
func decodeVote(record []byte) (vote, error) {
	if len(record) < voteHeaderBytes+voteChecksumBytes {
		return vote{}, damaged("the vote's record has only %d bytes", len(record))
	}
	body, checksum := record[:len(record)-voteChecksumBytes], record[len(record)-voteChecksumBytes:]
	if castagnoli(body) != binary.BigEndian.Uint32(checksum) {
		return vote{}, damaged("the vote's record does not match its checksum")
	}
	if body[0] != voteVersion {
		return vote{}, damaged("the vote's record is of version %d, this program knows %d", body[0], voteVersion)
	}
	return vote{term: binary.BigEndian.Uint64(body[1:voteHeaderBytes]), candidate: body[voteHeaderBytes:]}, nil
}

func castagnoli(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}
