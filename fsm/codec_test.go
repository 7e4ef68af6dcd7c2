package fsm_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"tally/counter"
	"tally/fsm"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/*.hex anew; only for a new version of a format")

// commands are one command of each type, with every field that goes with the
// type set. They are what the golden files hold.
func commands() map[string]fsm.Command {
	return map[string]fsm.Command{
		"mutation": {Type: fsm.TypeMutation, TimeMs: 1_764_000_000_123, Mutation: counter.Mutation{
			Batch: true, Caller: counter.Caller{User: "ada"}, RequestID: "r-1", IdempotencyKey: "0198c5f0-0000-7000-8000-000000000001",
			Operations: []counter.Operation{
				{Kind: counter.Set, Group: "room:1", Counters: []counter.Counter{by("likes", math.MaxInt64), by("emoji 😀", -1)},
					Condition: counter.Condition{Checked: true, ModRevision: 1 << 40}},
				{Kind: counter.Increase, Group: "room:1", Counters: []counter.Counter{by("likes", 0)}},
				{Kind: counter.Decrease, Group: "room:2", Counters: []counter.Counter{by("a/b", math.MinInt64)}},
				{Kind: counter.Delete, Group: "room:3", Keys: []string{"x", "y"}},
				{Kind: counter.Delete, Group: "room:4", All: true},
			}}},
		"increase": {Type: fsm.TypeMutation, TimeMs: 1, Mutation: counter.Mutation{
			Operations: []counter.Operation{{Kind: counter.Increase, Group: "g", Counters: []counter.Counter{by("a", 1)}}}}},
		"limited": {Type: fsm.TypeMutation, TimeMs: 1, Mutation: counter.Mutation{Caller: counter.Caller{User: "ada", Limited: true},
			Operations: []counter.Operation{{Kind: counter.Increase, Group: "g", Counters: []counter.Counter{by("a", 1)}}}}},
		"term":    {Type: fsm.TypeTerm, TimeMs: -1, ClusterID: "c-1"},
		"member":  {Type: fsm.TypeMember, TimeMs: math.MaxInt64, Member: fsm.Member{ID: "n1", Incarnation: "i-1"}},
		"removed": {Type: fsm.TypeMember, TimeMs: math.MinInt64, Member: fsm.Member{ID: "n1", Incarnation: "i-1", Removed: true}},
	}
}

// TestCommandBytes holds the encoding against bytes that were written once and
// for all: what is in a log must be readable for ever.
func TestCommandBytes(t *testing.T) {
	for name, command := range commands() {
		t.Run(name, func(t *testing.T) {
			golden(t, "command-v1-"+name, command.Append(nil))
			decoded, err := fsm.DecodeCommand(command.Append(nil))
			if err != nil || !reflect.DeepEqual(decoded, command) {
				t.Errorf("decoded = %+v, %v\nwant %+v", decoded, err, command)
			}
			if got := command.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), command.Append(nil)...)) {
				t.Errorf("Append does not append")
			}
		})
	}
}

// golden compares data with testdata/name.hex.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".hex")
	if *rewrite {
		if err := os.WriteFile(path, []byte(dump(data)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(data); got != string(want) {
		t.Errorf("the bytes differ from %s:\n%s\nwant\n%s", path, got, want)
	}
}

// dump writes data in lines of 32 bytes.
func dump(data []byte) string {
	var text strings.Builder
	for len(data) > 0 {
		line := data[:min(32, len(data))]
		data = data[len(line):]
		text.WriteString(hex.EncodeToString(line) + "\n")
	}
	return text.String()
}

// TestNoFieldIsForgotten sets one field after the other to something and checks
// that it comes back: a field that is added to a command without a thought for
// the codec fails here.
func TestNoFieldIsForgotten(t *testing.T) {
	full := commands()["mutation"]
	full.Mutation.Limited = true
	full.Mutation.Operations = full.Mutation.Operations[:1]
	operation := &full.Mutation.Operations[0]
	operation.Keys, operation.All = []string{"x"}, true
	wantFieldsSet(t, reflect.ValueOf(full.Mutation), "Mutation")
	wantDecoded(t, full)

	member := commands()["removed"]
	wantFieldsSet(t, reflect.ValueOf(member.Member), "Member")
	wantDecoded(t, member)

	// Each field of a command is in one of its types.
	all := fsm.Command{Type: member.Type, TimeMs: member.TimeMs, Mutation: full.Mutation, ClusterID: commands()["term"].ClusterID, Member: member.Member}
	wantFieldsSet(t, reflect.ValueOf(all), "Command")
}

func wantDecoded(t *testing.T, want fsm.Command) {
	t.Helper()
	if got, err := fsm.DecodeCommand(want.Append(nil)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("decoded = %+v, %v\nwant %+v", got, err, want)
	}
}

// wantFieldsSet fails for every field, however deep, that has its zero value.
func wantFieldsSet(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			wantFieldsSet(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		if v.Len() == 0 {
			t.Errorf("%s is empty", path)
			return
		}
		wantFieldsSet(t, v.Index(0), path+"[0]")
	default:
		if v.IsZero() {
			t.Errorf("%s is not set: does the codec know it?", path)
		}
	}
}

func TestStamp(t *testing.T) {
	for name, command := range commands() {
		encoded := command.Append(nil)
		if err := fsm.Stamp(encoded, 42); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		command.TimeMs = 42
		if !bytes.Equal(encoded, command.Append(nil)) {
			t.Errorf("%s: a stamped command differs from one encoded with the time", name)
		}
		encoded[len(encoded)-1]++
		damaged := bytes.Clone(encoded)
		if err := fsm.Stamp(encoded, 43); !errors.Is(err, fsm.ErrCorrupt) || !bytes.Equal(encoded, damaged) {
			t.Errorf("%s: Stamp of a damaged command gives %v", name, err)
		}
	}
	for length := range 14 {
		if err := fsm.Stamp(make([]byte, length), 1); !errors.Is(err, fsm.ErrCorrupt) {
			t.Errorf("Stamp of %d bytes gives %v", length, err)
		}
	}
}

func TestDamagedCommands(t *testing.T) {
	for name, command := range commands() {
		encoded := command.Append(nil)
		for i := range encoded {
			for bit := range 8 {
				encoded[i] ^= 1 << bit
				if _, err := fsm.DecodeCommand(encoded); !errors.Is(err, fsm.ErrCorrupt) {
					t.Errorf("%s with bit %d of byte %d flipped: %v", name, bit, i, err)
				}
				encoded[i] ^= 1 << bit
			}
			if _, err := fsm.DecodeCommand(encoded[:i]); !errors.Is(err, fsm.ErrCorrupt) {
				t.Errorf("%s cut to %d bytes: %v", name, i, err)
			}
		}
	}
}

// TestMalformedCommands are bytes with a right checksum that Append never makes.
func TestMalformedCommands(t *testing.T) {
	const noTime = "\x00\x00\x00\x00\x00\x00\x00\x00"
	many := "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"good", "\x01\x02" + noTime + "\x01c", nil},
		{"version 0", "\x00\x02" + noTime + "\x01c", fsm.ErrUnknownVersion},
		{"a newer version", "\x02\x02" + noTime + "\x01c", fsm.ErrUnknownVersion},
		{"type 0", "\x01\x00" + noTime, fsm.ErrUnknownType},
		{"type 4", "\x01\x04" + noTime, fsm.ErrUnknownType},
		{"no body", "\x01\x01" + noTime, fsm.ErrCorrupt},
		{"something left over", "\x01\x02" + noTime + "\x01cc", fsm.ErrCorrupt},
		{"a text that is too long", "\x01\x02" + noTime + "\x02c", fsm.ErrCorrupt},
		{"a text of 2^64-1 bytes", "\x01\x02" + noTime + many, fsm.ErrCorrupt},
		{"a longer spelling of a number", "\x01\x02" + noTime + "\x81\x00c", fsm.ErrCorrupt},
		{"a number over 64 bits", "\x01\x02" + noTime + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", fsm.ErrCorrupt},
		{"a number without end", "\x01\x02" + noTime + strings.Repeat("\x80", 11), fsm.ErrCorrupt},
		{"an unknown flag of a member", "\x01\x03" + noTime + "\x02\x01n\x01i", fsm.ErrCorrupt},
		{"an unknown flag of a mutation", "\x01\x01" + noTime + "\x04\x00\x00\x00\x00", fsm.ErrCorrupt},
		{"an unknown flag of an operation", "\x01\x01" + noTime + "\x00\x00\x00\x00\x01" + "\x01\x04\x00\x00\x00\x00", fsm.ErrCorrupt},
		{"an unknown kind of operation", "\x01\x01" + noTime + "\x00\x00\x00\x00\x01" + "\x05\x00\x00\x00\x00\x00", fsm.ErrUnknownType},
		{"2^64-1 operations", "\x01\x01" + noTime + "\x00\x00\x00\x00" + many, fsm.ErrCorrupt},
		{"2^64-1 counters", "\x01\x01" + noTime + "\x00\x00\x00\x00\x01" + "\x01\x00\x00\x00" + many + "\x00", fsm.ErrCorrupt},
		{"2^64-1 keys", "\x01\x01" + noTime + "\x00\x00\x00\x00\x01" + "\x04\x00\x00\x00\x00" + many, fsm.ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := fsm.DecodeCommand(checksummed([]byte(c.body))); !errors.Is(err, c.want) {
				t.Errorf("error = %v, want %v", err, c.want)
			}
		})
	}
}

// TestDecodeAllocatesInProportion gives the decoder commands whose counts are as
// high as it can believe.
func TestDecodeAllocatesInProportion(t *testing.T) {
	body := []byte("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x80\x80\x04" + strings.Repeat("\x00", 6<<16))
	encoded := checksummed(body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := fsm.DecodeCommand(encoded); err == nil {
		t.Error("operations of kind 0 are accepted")
	}
	runtime.ReadMemStats(&after)
	if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(40*len(encoded)); got > limit {
		t.Errorf("%d bytes allocated for a command of %d", got, len(encoded))
	}
}

func TestDecodedCommandSharesNothing(t *testing.T) {
	command := commands()["mutation"]
	encoded := command.Append(nil)
	decoded, err := fsm.DecodeCommand(encoded)
	if err != nil {
		t.Fatal(err)
	}
	clear(encoded)
	if !reflect.DeepEqual(decoded, command) {
		t.Error("the command changed with the bytes that it was decoded from")
	}
}

// FuzzDecodeCommand takes anything, with its checksum put right every other
// time, since no mutation of the fuzzer would hit it.
func FuzzDecodeCommand(f *testing.F) {
	for _, command := range commands() {
		encoded := command.Append(nil)
		f.Add(encoded, false)
		f.Add(encoded[:len(encoded)-4], true)
	}
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal {
			data = checksummed(bytes.Clone(data))
		}
		command, err := fsm.DecodeCommand(data)
		if err != nil {
			if !errors.Is(err, fsm.ErrCorrupt) && !errors.Is(err, fsm.ErrUnknownVersion) && !errors.Is(err, fsm.ErrUnknownType) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if got := command.Append(nil); !bytes.Equal(got, data) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", data, command, got)
		}
		if err := fsm.Stamp(data, command.TimeMs); err != nil {
			t.Fatal(err)
		}
	})
}
