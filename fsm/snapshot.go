package fsm

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"

	"github.com/hashicorp/raft"
)

// snapshotVersion is the format that this build writes and reads.
//
//	1  2026-11-22  meta, members, groups, requests
const snapshotVersion = 1

const snapshotMagic = "TALLYFSM"

// A snapshot:
//
//	+----------+----------------+---------+- - -+---------+---------------+
//	| TALLYFSM | version uint32 | section |     | section | SHA-256       |
//	+----------+----------------+---------+- - -+---------+---------------+
//	                                                        of all before it
//
// A section:
//
//	+------+---------------+---------------+---------+
//	| kind | length uint32 | CRC-32C uint32| content |
//	+------+---------------+---------------+---------+
//	                         of kind, length and content
//
// The sections come in the order of their kinds; there may be several of groups
// and of requests. Content, in the encodings of wire.go:
//
//	 1 meta     applied index uvarint, applied term uvarint, log time varint,
//	            term of the last term command uvarint, cluster ID text,
//	            number of groups uvarint, number of requests uvarint,
//	            mark of the idempotency table uvarint, state hash uint64
//	 2 members  number uvarint, then each, sorted by ID:
//	            flags byte (1: removed), ID text, incarnation text
//	 3 groups   until the section ends, sorted by shard and within it by ID:
//	            group ID text,
//	            keys uvarint: 0, and the keys follow: number uvarint, each text,
//	              sorted; or n > 0: the same keys as in the n-th list that
//	              this section gave,
//	            the packed counters as drawn in group.go
//	 4 requests until the section ends, sorted by the first 24 bytes:
//	            length uvarint, then an entry as drawn in idempotency.go
//	15 end      nothing
//
// Equal states have equal snapshots, whatever way led to them.
type sectionKind byte

const (
	sectionMeta     sectionKind = 1
	sectionMembers  sectionKind = 2
	sectionGroups   sectionKind = 3
	sectionRequests sectionKind = 4
	sectionEnd      sectionKind = 15
)

const (
	sectionHeaderBytes = 9
	// sectionBytes is the size at which a section of groups or requests is closed.
	sectionBytes = 256 << 10
	// sectionBytesMax bounds what a reader takes for one section. The largest has
	// a request that deleted all counters of BatchOperationsMax groups, full
	// ones, with the longest keys: 20 keys of 128 characters of 4 bytes each.
	sectionBytesMax = 12 << 20
)

// snapshot is the state at one moment. It is written while the state goes on.
type snapshot struct {
	view    *stateView
	release func()
	metrics *metrics
}

var _ raft.FSMSnapshot = (*snapshot)(nil)

// Persist writes the snapshot and closes the sink, or cancels it.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	defer s.metrics.time(s.metrics.persist)()
	if err := s.write(sink); err != nil {
		_ = sink.Cancel() // the first error is the one to tell
		return fmt.Errorf("cannot write the snapshot: %w", err)
	}
	return sink.Close()
}

// Release ends the use of the snapshot. Raft calls it once, persisted or not.
func (s *snapshot) Release() { s.release() }

func (s *snapshot) write(sink io.Writer) error {
	w := newSectionWriter(sink)
	w.section(sectionMeta, s.view.appendMeta(nil))
	w.section(sectionMembers, appendMembers(nil, s.view.header.members))
	s.view.groups.write(w)
	s.view.requests.write(w)
	w.section(sectionEnd, nil)
	return w.finish()
}

func (v *stateView) appendMeta(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, v.header.appliedIndex)
	dst = binary.AppendUvarint(dst, v.header.appliedTerm)
	dst = binary.AppendVarint(dst, v.header.timeMs)
	dst = binary.AppendUvarint(dst, v.header.termCommand)
	dst = appendText(dst, v.header.clusterID)
	dst = binary.AppendUvarint(dst, uint64(v.groups.count))
	dst = binary.AppendUvarint(dst, uint64(v.requests.count))
	dst = binary.AppendUvarint(dst, uint64(v.mark))
	return binary.BigEndian.AppendUint64(dst, v.hash)
}

func appendMembers(dst []byte, list members) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, m := range list {
		dst = appendMember(dst, m)
	}
	return dst
}

func appendMember(dst []byte, m Member) []byte {
	dst = append(dst, flag(m.Removed, flagRemoved))
	dst = appendText(dst, m.ID)
	return appendText(dst, m.Incarnation)
}

// write writes the groups of every shard in the order of their IDs.
func (v *view) write(w *sectionWriter) {
	var (
		content []byte
		lists   = make(map[*shape]uint64) // key lists of this section, numbered from 1
		ids     []string
	)
	for _, groups := range v.groups {
		ids = ids[:0]
		for id := range groups {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			content = appendGroup(content, id, groups[id], lists)
			if len(content) >= sectionBytes {
				w.section(sectionGroups, content)
				content = content[:0]
				clear(lists)
			}
		}
		if w.err != nil {
			return
		}
	}
	if len(content) > 0 {
		w.section(sectionGroups, content)
	}
}

func appendGroup(dst []byte, id string, g group, lists map[*shape]uint64) []byte {
	dst = appendText(dst, id)
	if number, given := lists[g.shape]; given {
		dst = binary.AppendUvarint(dst, number)
	} else {
		lists[g.shape] = uint64(len(lists) + 1)
		dst = append(dst, 0)
		dst = binary.AppendUvarint(dst, uint64(g.shape.count))
		dst = append(dst, g.shape.keys...)
	}
	return append(dst, g.packed...)
}

// write writes the requests. Where a section ends follows from them, and not
// from the pages that they are in: those depend on the way that led to them.
func (v *pagesView) write(w *sectionWriter) {
	var content []byte
	for record := range v.all {
		content = appendRecord(content, record)
		if len(content) >= sectionBytes {
			w.section(sectionRequests, content)
			content = content[:0]
		}
		if w.err != nil {
			return
		}
	}
	if len(content) > 0 {
		w.section(sectionRequests, content)
	}
}

// sectionWriter frames sections. After the first error it writes nothing more.
type sectionWriter struct {
	buffer *bufio.Writer
	sum    hash.Hash // SHA-256 of what was written
	err    error
}

func newSectionWriter(sink io.Writer) *sectionWriter {
	w := &sectionWriter{buffer: bufio.NewWriterSize(sink, 64<<10), sum: sha256.New()}
	w.write(binary.BigEndian.AppendUint32([]byte(snapshotMagic), snapshotVersion))
	return w
}

func (w *sectionWriter) write(data []byte) {
	if w.err != nil {
		return
	}
	w.sum.Write(data)
	_, w.err = w.buffer.Write(data)
}

func (w *sectionWriter) section(kind sectionKind, content []byte) {
	header := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(content)))
	w.write(binary.BigEndian.AppendUint32(header, sectionChecksum(header, content)))
	w.write(content)
}

func (w *sectionWriter) finish() error {
	w.write(w.sum.Sum(nil))
	if w.err != nil {
		return w.err
	}
	return w.buffer.Flush()
}

// sectionChecksum is the CRC-32C of a section's kind, length and content.
func sectionChecksum(kindAndLength, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(kindAndLength, castagnoli), castagnoli, content)
}
