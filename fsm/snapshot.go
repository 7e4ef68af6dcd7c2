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
//	1  2026-11-22  meta, members, groups
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
// The sections come in the order of their kinds; there may be several of
// groups. Content, in the encodings of wire.go:
//
//	 1 meta     applied index uvarint, applied term uvarint, log time varint,
//	            term of the last term command uvarint, cluster ID text,
//	            number of groups uvarint, state hash uint64
//	 2 members  number uvarint, then each, sorted by ID:
//	            flags byte (1: removed), ID text, incarnation text
//	 3 groups   until the section ends, sorted by shard and within it by ID:
//	            group ID text,
//	            keys uvarint: 0, and the keys follow: number uvarint, each text,
//	              sorted; or n > 0: the same keys as in the n-th list that
//	              this section gave,
//	            the packed counters as drawn in group.go
//	15 end      nothing
//
// Equal states have equal snapshots, whatever way led to them.
type sectionKind byte

const (
	sectionMeta    sectionKind = 1
	sectionMembers sectionKind = 2
	sectionGroups  sectionKind = 3
	sectionEnd     sectionKind = 15
)

const (
	sectionHeaderBytes = 9
	// groupsSectionBytes is the size at which a section of groups is closed.
	groupsSectionBytes = 256 << 10
	// sectionBytesMax bounds what a reader takes for one section. Members are
	// the largest: MembersMax of them with all their texts at full length.
	sectionBytesMax = 1 << 20
)

// snapshot is the state at one moment. It is written while the state goes on.
type snapshot struct {
	header  header
	view    *view
	hash    uint64
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
	w.section(sectionMeta, s.appendMeta(nil))
	w.section(sectionMembers, appendMembers(nil, s.header.members))
	s.writeGroups(w)
	w.section(sectionEnd, nil)
	return w.finish()
}

func (s *snapshot) appendMeta(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, s.header.appliedIndex)
	dst = binary.AppendUvarint(dst, s.header.appliedTerm)
	dst = binary.AppendVarint(dst, s.header.timeMs)
	dst = binary.AppendUvarint(dst, s.header.termCommand)
	dst = appendText(dst, s.header.clusterID)
	dst = binary.AppendUvarint(dst, uint64(s.view.count))
	return binary.BigEndian.AppendUint64(dst, s.hash)
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

// writeGroups writes the groups of every shard in the order of their IDs.
func (s *snapshot) writeGroups(w *sectionWriter) {
	var (
		content []byte
		lists   = make(map[*shape]uint64) // key lists of this section, numbered from 1
		ids     []string
	)
	for _, groups := range s.view.groups {
		ids = ids[:0]
		for id := range groups {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			content = appendGroup(content, id, groups[id], lists)
			if len(content) >= groupsSectionBytes {
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
