package storage

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// Whatever the bytes, decoding returns an entry that encodes to the same
// content again, or says that it is damaged.
func FuzzDecodeEntry(f *testing.F) {
	for _, entry := range []raft.Log{
		{},
		{Index: 1 << 40, Term: 300, Type: raft.LogConfiguration, Data: []byte("data"), Extensions: []byte{}, AppendedAt: time.Unix(1, 5)},
		{Index: 70000, Term: 200, Data: make([]byte, 300), AppendedAt: time.Unix(-1, 5)},
	} {
		f.Add(appendEntry(nil, &entry))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var entry, again raft.Log
		if err := decodeEntry(data, &entry); err != nil {
			if !errors.Is(err, ErrDamaged) || !reflect.DeepEqual(entry, again) {
				t.Fatalf("got %v and %v", err, entry)
			}
			return
		}
		if err := decodeEntry(appendEntry(nil, &entry), &again); err != nil || !reflect.DeepEqual(entry, again) {
			t.Fatalf("%v became %v: %v", entry, again, err)
		}
	})
}

func TestEncodingEntriesAllocatesNothing(t *testing.T) {
	entry := raft.Log{Index: 1 << 20, Term: 3, Data: make([]byte, 100), AppendedAt: time.Unix(1, 5)}
	buffer := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buffer = appendEntry(buffer[:0], &entry) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEntry(b *testing.B) {
	entry := raft.Log{Index: 1 << 20, Term: 3, Data: make([]byte, 100), AppendedAt: time.Unix(1, 5)}
	encoded := appendEntry(nil, &entry)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		buffer := make([]byte, 0, 1024)
		for b.Loop() {
			buffer = appendEntry(buffer[:0], &entry)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := decodeEntry(encoded, &entry); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A field that a later version of the library adds would be lost without a word.
func TestEntryHasNoOtherFields(t *testing.T) {
	var names []string
	for field := range reflect.TypeFor[raft.Log]().Fields() {
		names = append(names, field.Name)
	}
	if want := []string{"Index", "Term", "Type", "Data", "Extensions", "AppendedAt"}; !slices.Equal(names, want) {
		t.Errorf("raft.Log has %v; appendEntry writes %v", names, want)
	}
}
