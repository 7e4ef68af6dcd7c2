package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/fsm"
)

// populated has something in every section: groups that share keys and one
// that does not, members, a cluster ID, requests that were applied and one that
// was refused.
func populated(t testing.TB) *node {
	n := newNode(t, fsm.Config{})
	n.term = 7
	n.apply(fsm.Command{Type: fsm.TypeTerm, ClusterID: "c-1"})
	n.apply(fsm.Command{Type: fsm.TypeMember, Member: fsm.Member{ID: "n1", Incarnation: "i-1"}})
	n.apply(fsm.Command{Type: fsm.TypeMember, Member: fsm.Member{ID: "n2", Incarnation: "i-2", Removed: true}})
	for _, group := range []string{"room:1", "room:2", "room:3"} {
		n.mutate(set(group, by("likes", 5), by("views", -7)))
	}
	n.mutate(increase("room:2", by("views", 300)))
	n.mutate(set("odd", by("😀", 1<<62)))
	n.apply(under("bare", mutation(decrease("room:3", by("likes", 1)))))
	n.apply(under(uuidv7(n.time+30*second, 0xfeed), mutation(remove("odd", "missing", "😀"), remove("room:3"))))
	n.apply(under(uuidv7(n.time-30*second, 0xbeef), mutation(set("odd", by("a", 1)), onlyIf(3, set("room:1", by("likes", 0))))))
	n.apply(from("", under("bare", mutation(set("odd", by("😀", 1<<62))))))
	return n
}

func restore(m *fsm.Machine, data []byte) error {
	return m.Restore(io.NopCloser(bytes.NewReader(data)))
}

// TestSnapshotBytes holds the format against bytes that were written once and
// for all.
func TestSnapshotBytes(t *testing.T) {
	golden(t, "snapshot-v1", persist(t, populated(t).Machine))
}

func TestSnapshotHoldsEverything(t *testing.T) {
	for _, c := range []struct {
		name string
		node *node
	}{
		{"empty", newNode(t, fsm.Config{})},
		{"populated", populated(t)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p published
			restored := newNode(t, fsm.Config{Publisher: &p})
			restored.mutate(set("gone", by("a", 1)))
			data := persist(t, c.node.Machine)
			if err := restore(restored.Machine, data); err != nil {
				t.Fatal(err)
			}
			wantEqualMachines(t, restored.Machine, c.node.Machine)
			if len(p.restored) != 1 || p.restored[0] != c.node.index {
				t.Errorf("the publisher was told of %d, want one restore to %d", p.restored, c.node.index)
			}
			if !bytes.Equal(persist(t, restored.Machine), data) {
				t.Error("the snapshot of a restored state differs from the one it came from")
			}
			restored.index, restored.term, restored.time = c.node.index, c.node.term, c.node.time
			restored.mutate(increase("room:1", by("likes", 1)))
			c.node.mutate(increase("room:1", by("likes", 1)))
			wantEqualMachines(t, restored.Machine, c.node.Machine)
		})
	}
}

// wantEqualMachines compares all that can be read.
func wantEqualMachines(t *testing.T, got, want *fsm.Machine) {
	t.Helper()
	if g, w := summary(got), summary(want); g != w {
		t.Errorf("the machines differ:\n%s\nwant\n%s", g, w)
	}
}

// summary is all that can be read of a machine.
func summary(m *fsm.Machine) string {
	var text strings.Builder
	fmt.Fprintln(&text, m.StateHash(), m.TimeMs(), m.AppliedTermCommand(), m.ClusterID(), m.Members())
	for _, line := range m.List("", "", 1<<30) {
		fmt.Fprintln(&text, line, m.Read(line.Group, nil))
	}
	return text.String()
}

// TestSnapshotIsOneMoment writes a snapshot after the state has gone on.
func TestSnapshotIsOneMoment(t *testing.T) {
	n := populated(t)
	want := persist(t, n.Machine)
	early, err := n.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	n.mutate(set("new", by("a", 1)))
	n.mutate(increase("room:1", by("likes", 1)))
	late, err := n.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	lateWant := persist(t, n.Machine)
	n.mutate(remove("room:1"))
	n.mutate(remove("odd"))
	n.mutate(set("room:2", by("likes", 0), by("new", 1)))
	n.apply(fsm.Command{Type: fsm.TypeMember, Member: fsm.Member{ID: "n3", Incarnation: "i-3"}})
	wantPersisted(t, early, want)
	early.Release()
	n.mutate(set("room:3", by("likes", 0)))
	wantPersisted(t, late, lateWant)
	late.Release()
}

func wantPersisted(t *testing.T, snapshot raft.FSMSnapshot, want []byte) {
	t.Helper()
	var s sink
	if err := snapshot.Persist(&s); err != nil || !bytes.Equal(s.Bytes(), want) {
		t.Errorf("Persist = %v; the snapshot is not of the moment when it was taken", err)
	}
}

func TestPersistOnAFullDisk(t *testing.T) {
	n := populated(t)
	for _, room := range []int{1, len(persist(t, n.Machine)) - 1} {
		snapshot, err := n.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		s := sink{room: room}
		if err := snapshot.Persist(&s); !errors.Is(err, errFull) || !s.cancelled || s.closed {
			t.Errorf("Persist with room for %d bytes = %v, cancelled %t, closed %t", room, err, s.cancelled, s.closed)
		}
		snapshot.Release()
	}
}

// TestPersistBesideApply is for the race detector: snapshots are written and
// groups listed while entries are applied and groups are read.
func TestPersistBesideApply(t *testing.T) {
	n := newNode(t, fsm.Config{})
	operation := func(i int) counter.Operation {
		return increase(fmt.Sprint("g", i%100), by(fmt.Sprint("k", i%7), 1))
	}
	for i := range 1000 {
		n.mutate(operation(i))
	}
	var beside sync.WaitGroup
	for range 3 {
		snapshot, err := n.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		hash := n.StateHash()
		beside.Go(func() {
			defer snapshot.Release()
			var s sink
			if err := snapshot.Persist(&s); err != nil {
				t.Error(err)
			}
			copied := fsm.NewMachine(fsm.Config{})
			if err := restore(copied, s.Bytes()); err != nil || copied.StateHash() != hash {
				t.Errorf("restored %v to %v, want %v", err, copied.StateHash(), hash)
			}
		})
		beside.Go(func() {
			for i := range 200 {
				n.Read(fmt.Sprint("g", i%100), nil)
				if len(n.List("g", "", 10)) != 10 {
					t.Error("the list is short")
				}
			}
		})
		for i := range 1000 {
			n.mutate(operation(i))
		}
	}
	beside.Wait()
}

// TestDamagedSnapshots flips every bit, cuts at every length and appends: each
// is refused with what is wrong, and the state stays.
func TestDamagedSnapshots(t *testing.T) {
	data := persist(t, populated(t).Machine)
	n := newNode(t, fsm.Config{})
	n.mutate(set("mine", by("a", 1)))
	before := summary(n.Machine)
	wantRefused := func(what string, damaged []byte) {
		t.Helper()
		if err := restore(n.Machine, damaged); !errors.Is(err, fsm.ErrSnapshot) {
			t.Errorf("%s: error = %v, want that the snapshot is not usable", what, err)
		}
	}
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			wantRefused(fmt.Sprintf("bit %d of byte %d", bit, i), data)
			data[i] ^= 1 << bit
		}
		wantRefused(fmt.Sprintf("cut to %d bytes", i), data[:i])
	}
	wantRefused("one byte too many", append(bytes.Clone(data), 0))
	wantRefused("twice", append(bytes.Clone(data), data...))
	if after := summary(n.Machine); after != before {
		t.Errorf("a refused snapshot changed the state:\n%s\nwas\n%s", after, before)
	}
	if err := restore(n.Machine, data); err != nil {
		t.Errorf("the undamaged snapshot: %v", err)
	}
}

// section is one section of a snapshot, to be put together wrongly.
type section struct {
	kind    byte
	content string
}

// assemble makes a snapshot of sections, with checksums that are right.
func assemble(version uint32, sections ...section) []byte {
	data := binary.BigEndian.AppendUint32([]byte("TALLYFSM"), version)
	for _, s := range sections {
		header := binary.BigEndian.AppendUint32([]byte{s.kind}, uint32(len(s.content)))
		sum := crc32.Checksum(append(bytes.Clone(header), s.content...), crc32.MakeTable(crc32.Castagnoli))
		data = append(binary.BigEndian.AppendUint32(append(data, header...), sum), s.content...)
	}
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}

// disassemble is the inverse of assemble.
func disassemble(t testing.TB, data []byte) []section {
	var sections []section
	for at := 12; at < len(data)-sha256.Size; {
		length := int(binary.BigEndian.Uint32(data[at+1:]))
		sections = append(sections, section{data[at], string(data[at+9 : at+9+length])})
		at += 9 + length
	}
	if !bytes.Equal(assemble(1, sections...), data) {
		t.Fatal("cannot take the snapshot apart")
	}
	return sections
}

// TestWrongSnapshots have right checksums: somebody wrote them like that.
func TestWrongSnapshots(t *testing.T) {
	good := disassemble(t, persist(t, populated(t).Machine))
	meta, members, groups, requests, end := good[0], good[1], good[2], good[3], good[4]
	// A small state whose sections can be written by hand: log index 9, no time,
	// one group "g" with the counter "a".
	hand := func(groups string) []byte {
		return assemble(1, section{1, "\x09\x01\x00\x00\x00\x01\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"}, section{2, "\x00"}, section{3, groups}, end)
	}
	// Another, with log index 9, log time 1000 and so many requests.
	handRequests := func(records ...string) []byte {
		meta := "\x09\x01\xd0\x0f\x00\x00\x00" + string(rune(len(records))) + "\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"
		return assemble(1, section{1, meta}, section{2, "\x00"}, section{4, strings.Join(records, "")}, end)
	}
	const g = "\x01g\x00\x01\x01a" // then the packed counters
	for _, c := range []struct {
		name string
		data []byte
		text string
	}{
		{"another file", []byte("SQLite format 3\x00 and so on"), "no snapshot of Tally"},
		{"a newer version", assemble(2, good...), "version 2"},
		{"version 0", assemble(0, good...), "version 0"},
		{"no section", assemble(1), "section"},
		{"no meta", assemble(1, members, groups, requests, end), "kind 2 stands where kind 1"},
		{"no members", assemble(1, meta, groups, requests, end), "kind 3 stands where kind 2"},
		{"no groups", assemble(1, meta, members, requests, end), "0 groups where 3"},
		{"no end", assemble(1, meta, members, groups, requests), "section at byte"},
		{"meta twice", assemble(1, meta, meta, members, groups, requests, end), "kind 1 stands where kind 2"},
		{"members twice", assemble(1, meta, members, members, groups, requests, end), "kind 2 stands where groups"},
		{"groups twice", assemble(1, meta, members, groups, groups, requests, end), "out of order"},
		{"no requests", assemble(1, meta, members, groups, end), "0 requests where 4"},
		{"requests before groups", assemble(1, meta, members, requests, groups, end), "kind 3 stands where requests"},
		{"requests twice", assemble(1, meta, members, groups, requests, requests, end), "out of order"},
		{"an unknown section", assemble(1, meta, members, section{5, "x"}, groups, requests, end), "kind 5"},
		{"an end with content", assemble(1, meta, members, groups, requests, section{15, "x"}), "end section"},
		{"something left over in a section", assemble(1, section{1, meta.content + "x"}, members, groups, requests, end), "left over"},
		{"another hash", assemble(1, section{1, meta.content[:len(meta.content)-1] + "x"}, members, groups, requests, end), "state hash"},
		{"members out of order", assemble(1, meta, section{2, "\x02" + "\x00\x02n2\x01i" + "\x00\x02n1\x01i"}, groups, requests, end), "out of order"},
		{"a member twice", assemble(1, meta, section{2, "\x02" + "\x00\x02n1\x01i" + "\x00\x02n1\x01i"}, groups, requests, end), "out of order"},
		{"a member without an ID", assemble(1, meta, section{2, "\x01" + "\x00\x00\x01i"}, groups, requests, end), "node ID"},
		{"too many members", assemble(1, meta, section{2, "\xff\xff\x01"}, groups, requests, end), "announced"},
		{"a group without ID", hand("\x00\x00\x01\x01a" + "\x09\x02\x00"), "group ID is empty"},
		{"a group without counters", hand("\x01g\x00\x00" + "\x09"), "0 counters"},
		{"a group of 21", hand("\x01g\x00\x15" + strings.Repeat("\x01a", 21)), "21 counters"},
		{"a key that is none", hand("\x01g\x00\x01\x01\x00" + "\x09\x02\x00"), "control character"},
		{"keys out of order", hand("\x01g\x00\x02\x01b\x01a" + "\x09\x02\x00\x02\x00"), "out of order"},
		{"a key twice", hand("\x01g\x00\x02\x01a\x01a" + "\x09\x02\x00\x02\x00"), "out of order"},
		{"a list of keys that was not given", hand("\x01g\x01" + "\x09\x02\x00"), "list 1 of 0"},
		{"modRevision 0", hand(g + "\x00\x02\x00"), "modRevision 0"},
		{"a modRevision to come", hand(g + "\x0a\x02\x00"), "modRevision 10"},
		{"a counter older than the log", hand(g + "\x09\x02\x09"), "9 revisions before 9"},
		{"a counter that is cut", hand(g + "\x09\x02"), "varint"},
		{"a longer spelling of a value", hand(g + "\x09\x82\x00\x00"), "varint"},
		{"a log time below 0", assemble(1, section{1, "\x09\x01\x01\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"}, section{2, "\x00"}, end), "log time is -1"},
		{"a mark that is no time", assemble(1, section{1, "\x09\x01\x00\x00\x00\x00\x00" + strings.Repeat("\xff", 9) + "\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00"}, section{2, "\x00"}, end), "the mark"},
		{"a request that is cut", handRequests("\x05short"), "5 bytes"},
		{"a request with unknown flags", handRequests(fsm.RequestRecord(1000, 1, 4, 9, "")), "flags 0x4"},
		{"requests out of order of time", handRequests(fsm.RequestRecord(1000, 1, 0, 9, ""), fsm.RequestRecord(999, 2, 0, 9, "")), "out of order"},
		{"requests out of order of keys", handRequests(fsm.RequestRecord(1000, 2, 0, 9, ""), fsm.RequestRecord(1000, 1, 0, 9, "")), "out of order"},
		{"a bare key twice", handRequests(fsm.RequestRecord(999, 1, 1, 9, ""), fsm.RequestRecord(1000, 1, 1, 9, "")), "twice"},
		{"a bare key ahead of time", handRequests(fsm.RequestRecord(1001, 1, 1, 9, "")), "log time is 1000"},
		{"a UUID far ahead of time", handRequests(fsm.RequestRecord(61_001, 1, 0, 9, "")), "log time is 1000"},
		{"a request from before time", handRequests(fsm.RequestRecord(-1, 1, 0, 9, "")), "is of -1"},
		{"a request without a revision", handRequests(fsm.RequestRecord(1000, 1, 0, 0, "")), "revision 0"},
		{"a request with a revision to come", handRequests(fsm.RequestRecord(1000, 1, 0, 10, "")), "revision 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fsm.NewMachine(fsm.Config{})
			err := restore(m, c.data)
			if !errors.Is(err, fsm.ErrSnapshot) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error = %v, want one that says %q", err, c.text)
			}
		})
	}
	// The hand-written states are right but for their hashes.
	for _, data := range [][]byte{hand(g + "\x09\x02\x00"), handRequests(fsm.RequestRecord(1000, 1, 1, 9, ""), fsm.RequestRecord(61_000, 1, 2, 9, ""))} {
		if err := restore(fsm.NewMachine(fsm.Config{}), data); err == nil || !strings.Contains(err.Error(), "state hash") {
			t.Errorf("error = %v, want that the hash is wrong", err)
		}
	}
	tooMany := disassemble(t, persist(t, populated(t).Machine))
	small := fsm.NewMachineWithin(fsm.Config{}, fsm.Limits{Entries: 3, ResultBytes: 1000, AgedPerCommand: 1})
	if err := restore(small, assemble(1, tooMany...)); err == nil || !strings.Contains(err.Error(), "4 requests") {
		t.Errorf("error = %v, want that there are too many requests", err)
	}
}

func TestRestoreFromABrokenReader(t *testing.T) {
	data := persist(t, populated(t).Machine)
	for _, length := range []int{3, len(data) / 2, len(data)} {
		source := io.MultiReader(bytes.NewReader(data[:length]), brokenReader{})
		err := fsm.NewMachine(fsm.Config{}).Restore(io.NopCloser(source))
		if !errors.Is(err, fsm.ErrSnapshot) || !errors.Is(err, errFull) {
			t.Errorf("a reader that breaks after %d bytes: %v", length, err)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errFull }
