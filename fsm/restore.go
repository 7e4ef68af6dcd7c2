package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"strings"

	"tally/counter"
)

// ErrSnapshot means that a snapshot was refused. The text says what is wrong
// with it; the state is what it was.
var ErrSnapshot = errors.New("the snapshot is not usable")

// readState reads a whole snapshot and verifies all of it: every checksum,
// every limit, the order, that numbers have their one spelling, that nothing is
// missing or left over, and that the state it makes has the hash that the
// writer's state had.
func readState(source io.Reader, limits idempotencyLimits) (*state, error) {
	l := loader{sections: sectionReader{source: source, sum: sha256.New()}, state: newState(limits)}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	return l.state, nil
}

// loader builds a state section by section.
type loader struct {
	sections sectionReader
	state    *state

	groupCount   uint64 // as the meta section says
	requestCount uint64 // likewise
	stateHash    uint64 // likewise

	last        groupName // the group before, to check the order
	lastRequest recordKey // the request before, likewise
}

func (l *loader) load() error {
	if err := l.sections.header(); err != nil {
		return err
	}
	if err := l.section(sectionMeta, l.meta); err != nil {
		return err
	}
	if err := l.section(sectionMembers, l.members); err != nil {
		return err
	}
	due := "groups, requests or the end"
	for {
		kind, content, err := l.sections.next()
		switch {
		case err != nil:
			return err
		case kind == sectionEnd:
			return l.finish(content)
		case kind == sectionGroups && l.state.idempotency.entries.count == 0:
			err = l.read(kind, content, l.groups)
		case kind == sectionRequests:
			due = "requests or the end"
			err = l.read(kind, content, l.requests)
		default:
			return fmt.Errorf("a section of kind %d stands where %s are due", kind, due)
		}
		if err != nil {
			return err
		}
	}
}

// section reads the next section, which must be of the given kind.
func (l *loader) section(kind sectionKind, take func(*reader)) error {
	found, content, err := l.sections.next()
	if err != nil {
		return err
	}
	if found != kind {
		return fmt.Errorf("a section of kind %d stands where kind %d is due", found, kind)
	}
	return l.read(kind, content, take)
}

func (l *loader) read(kind sectionKind, content string, take func(*reader)) error {
	r := reader{text: content}
	take(&r)
	if err := r.end(); err != nil {
		return fmt.Errorf("the section of kind %d that ends at byte %d is malformed: %w", kind, l.sections.at, err)
	}
	return nil
}

func (l *loader) meta(r *reader) {
	h := &l.state.header
	h.appliedIndex = r.uvarint()
	h.appliedTerm = r.uvarint()
	h.timeMs = r.varint()
	h.termCommand = r.uvarint()
	h.clusterID = strings.Clone(r.string())
	l.groupCount = r.uvarint()
	l.requestCount = r.uvarint()
	mark := r.uvarint()
	l.stateHash = r.uint64()
	l.state.idempotency.mark = int64(mark)
	if h.timeMs < 0 {
		r.failf("log time is %d", h.timeMs)
	}
	if mark > math.MaxInt64 {
		r.failf("the mark is %d", mark)
	}
	if len(h.clusterID) > IdentityBytesMax {
		r.failf("the cluster ID has %d bytes", len(h.clusterID))
	}
}

func (l *loader) members(r *reader) {
	count := r.count(3)
	if count > MembersMax {
		r.failf("%d members are more than %d", count, MembersMax)
	}
	var list members
	for range count {
		m := Member{Removed: r.flags(flagRemoved) != 0, ID: strings.Clone(r.string()), Incarnation: strings.Clone(r.string())}
		if r.err != nil {
			return
		}
		if err := m.check(); err != nil {
			r.fail(err)
			return
		}
		if len(list) > 0 && list[len(list)-1].ID >= m.ID {
			r.failf("member %q is out of order", m.ID)
			return
		}
		list = append(list, m)
	}
	l.state.setMembers(list)
}

func (l *loader) groups(r *reader) {
	var lists []*shape
	for r.err == nil && r.remaining() > 0 {
		name := nameOf(strings.Clone(r.string()))
		if r.err != nil {
			return
		}
		if err := counter.CheckGroup(name.id); err != nil {
			r.fail(err)
			return
		}
		if !l.last.less(name) {
			r.failf("group %q is out of order", name.id)
			return
		}
		l.last = name
		l.group(r, name, &lists)
	}
}

// less says whether a comes before b in a snapshot. The name of no group comes first.
func (a groupName) less(b groupName) bool {
	if a.id == "" || a.shard() != b.shard() {
		return a.id == "" || a.shard() < b.shard()
	}
	return a.id < b.id
}

// group reads what follows the ID of a group. lists are the key lists that the
// section has given so far.
func (l *loader) group(r *reader, name groupName, lists *[]*shape) {
	number := r.uvarint()
	if r.err != nil {
		return
	}
	if number == 0 {
		*lists = append(*lists, l.shape(r))
		number = uint64(len(*lists))
	}
	if number > uint64(len(*lists)) {
		r.failf("group %q has the keys of list %d of %d", name.id, number, len(*lists))
	}
	if r.err != nil {
		return
	}
	g := group{shape: (*lists)[number-1]}
	start := r.at
	r.packed(g.shape.count, l.state.appliedIndex)
	g.packed = strings.Clone(r.text[start:r.at])
	if r.err != nil {
		r.err = fmt.Errorf("group %q: %w", name.id, r.err)
		return
	}
	l.state.put(name, group{}, g)
}

// shape reads a list of keys.
func (l *loader) shape(r *reader) *shape {
	count := r.count(keyBytesMin)
	if r.err == nil && (count == 0 || count > counter.GroupCountersMax) {
		r.failf("a group of %d counters", count)
	}
	start, last := r.at, ""
	for range count {
		key := r.string()
		if r.err != nil {
			return nil
		}
		if err := counter.CheckKey(key); err != nil {
			r.fail(err)
			return nil
		}
		if key <= last {
			r.failf("key %q is out of order", key)
			return nil
		}
		last = key
	}
	return l.state.shapes.intern([]byte(r.text[start:r.at]), count)
}

// packed passes over the packed counters of a group and checks their revisions.
func (r *reader) packed(count int, appliedIndex uint64) {
	modRevision := r.uvarint()
	if r.err == nil && (modRevision == 0 || modRevision > appliedIndex) {
		r.failf("modRevision %d, and the applied index is %d", modRevision, appliedIndex)
	}
	for range count {
		r.varint()
		if delta := r.uvarint(); r.err == nil && delta >= modRevision {
			r.failf("a counter changed %d revisions before %d", delta, modRevision)
		}
	}
}

// requests reads entries of the idempotency table.
func (l *loader) requests(r *reader) {
	table := l.state.idempotency
	for r.err == nil && r.remaining() > 0 {
		record := []byte(r.string())
		if r.err != nil {
			return
		}
		if err := l.checkRequest(record); err != nil {
			r.fail(err)
			return
		}
		l.lastRequest = recordKey(record[:recordKeyBytes])
		table.entries.append(record)
		e := parseEntry(record)
		table.added(&e, record)
	}
}

// checkRequest says what is wrong with a record as an entry of the idempotency
// table. Only an equal request can tell whether its result makes sense.
func (l *loader) checkRequest(record []byte) error {
	if len(record) < entryResultAt {
		return fmt.Errorf("a request of %d bytes", len(record))
	}
	if l.state.idempotency.entries.count > 0 && bytes.Compare(record[:recordKeyBytes], l.lastRequest[:]) <= 0 {
		return fmt.Errorf("request %x is out of order", record[:recordKeyBytes])
	}
	e := parseEntry(record)
	if unknown := record[entryFlagsAt] &^ (flagBare | flagRefused); unknown != 0 {
		return fmt.Errorf("request %x has the unknown flags %#x", e.key, unknown)
	}
	var aheadMaxMs int64
	if !e.bare {
		aheadMaxMs = l.state.idempotency.limits.aheadMaxMs
	}
	if e.timeMs < 0 || e.timeMs-l.state.timeMs > aheadMaxMs {
		return fmt.Errorf("request %x is of %d, and log time is %d", e.key, e.timeMs, l.state.timeMs)
	}
	if _, twice := l.state.idempotency.findBare(e.key); e.bare && twice {
		return fmt.Errorf("request %x is there twice", e.key)
	}
	if e.revision == 0 || e.revision > l.state.appliedIndex {
		return fmt.Errorf("request %x has revision %d, and the applied index is %d", e.key, e.revision, l.state.appliedIndex)
	}
	return nil
}

// finish checks what only the whole snapshot can tell.
func (l *loader) finish(content string) error {
	if content != "" {
		return fmt.Errorf("the end section has %d bytes", len(content))
	}
	if err := l.sections.trailer(); err != nil {
		return err
	}
	if count := uint64(l.state.groups.count); count != l.groupCount {
		return fmt.Errorf("it has %d groups where %d were written", count, l.groupCount)
	}
	table := l.state.idempotency
	if count := uint64(table.entries.count); count != l.requestCount {
		return fmt.Errorf("it has %d requests where %d were written", count, l.requestCount)
	}
	if table.isOverfull() {
		return fmt.Errorf("%d requests with results of %d bytes are more than the idempotency table holds", table.entries.count, table.resultBytes)
	}
	if hash := l.state.hash(); hash != l.stateHash {
		return fmt.Errorf("its state hash is %s where %s was written", hashText(hash), hashText(l.stateHash))
	}
	return nil
}

// sectionReader takes the framing apart.
type sectionReader struct {
	source  io.Reader
	sum     hash.Hash // SHA-256 of what was read
	at      int64     // bytes read
	content bytes.Buffer
}

// read returns the next length bytes, valid until the next read. The buffer
// grows with what arrives, not with what length claims.
func (s *sectionReader) read(length int64, what string) ([]byte, error) {
	s.content.Reset()
	n, err := io.CopyN(&s.content, s.source, length)
	s.at += n
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("it ends at byte %d, within %s", s.at, what)
	case err != nil:
		return nil, fmt.Errorf("cannot read %s at byte %d: %w", what, s.at, err)
	}
	return s.content.Bytes(), nil
}

// header checks the magic first and then the version, so that a snapshot of a
// newer build is never called damaged.
func (s *sectionReader) header() error {
	magic, err := s.read(int64(len(snapshotMagic)), "the magic")
	if err != nil {
		return err
	}
	if string(magic) != snapshotMagic {
		return fmt.Errorf("it begins with %q and not with %q: it is no snapshot of Tally", magic, snapshotMagic)
	}
	s.sum.Write(magic)
	version, err := s.read(4, "the version")
	if err != nil {
		return err
	}
	if v := binary.BigEndian.Uint32(version); v != snapshotVersion {
		return fmt.Errorf("its format is version %d and this build reads version %d; run the build that wrote it, or a newer one", v, snapshotVersion)
	}
	s.sum.Write(version)
	return nil
}

// next returns the kind and content of the next section, its checksum verified.
// The content shares nothing with the buffer.
func (s *sectionReader) next() (sectionKind, string, error) {
	start := s.at
	read, err := s.read(sectionHeaderBytes, "the header of a section")
	if err != nil {
		return 0, "", err
	}
	header := [sectionHeaderBytes]byte(read)
	s.sum.Write(header[:])
	length := binary.BigEndian.Uint32(header[1:])
	if length > sectionBytesMax {
		return 0, "", fmt.Errorf("the section at byte %d claims %d bytes, more than %d", start, length, sectionBytesMax)
	}
	content, err := s.read(int64(length), fmt.Sprintf("the section of kind %d that starts at byte %d", header[0], start))
	if err != nil {
		return 0, "", err
	}
	s.sum.Write(content)
	if sectionChecksum(header[:5], content) != binary.BigEndian.Uint32(header[5:]) {
		return 0, "", fmt.Errorf("the section of kind %d at byte %d has a wrong CRC-32C", header[0], start)
	}
	return sectionKind(header[0]), string(content), nil
}

// trailer checks the SHA-256 of everything and that nothing follows.
func (s *sectionReader) trailer() error {
	want := s.sum.Sum(nil)
	found, err := s.read(sha256.Size, "the SHA-256 at the end")
	if err != nil {
		return err
	}
	if !bytes.Equal(found, want) {
		return errors.New("its SHA-256 is wrong")
	}
	switch n, err := io.CopyN(io.Discard, s.source, 1); {
	case n > 0:
		return fmt.Errorf("something follows its end at byte %d", s.at)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("cannot read to its end: %w", err)
	}
	return nil
}
