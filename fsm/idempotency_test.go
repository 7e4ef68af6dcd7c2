package fsm_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tally/counter"
	"tally/fsm"
)

const (
	second = 1000 // milliseconds
	minute = 60 * second
)

// uuidv7 spells a UUIDv7 of a time and of some other bits.
func uuidv7(timeMs int64, random uint32) string {
	return fmt.Sprintf("%08x-%04x-7000-8000-%012x", timeMs>>16, timeMs&0xffff, random)
}

// under gives a mutation an idempotency key.
func under(key string, c fsm.Command) fsm.Command {
	c.Mutation.IdempotencyKey = key
	return c
}

// at gives a command a time.
func at(timeMs int64, c fsm.Command) fsm.Command {
	c.TimeMs = timeMs
	return c
}

// from gives a mutation a user.
func from(user string, c fsm.Command) fsm.Command {
	c.Mutation.User = user
	return c
}

// replayOf is what a replay of an answer must be.
func replayOf(first *fsm.Applied) *fsm.Applied {
	if first.Err != nil {
		err := *first.Err
		err.Replayed = true
		return &fsm.Applied{Err: &err}
	}
	result := first.Result
	result.Replayed = true
	return &fsm.Applied{Result: result}
}

func wantApplied(t *testing.T, what string, got, want *fsm.Applied) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, %+v\nwant %+v, %+v", what, got.Result, got.Err, want.Result, want.Err)
	}
}

// TestReplay decides all kinds of mutations and repeats them when everything has
// changed: the first answer comes again and nothing else happens.
func TestReplay(t *testing.T) {
	manyKeys := func(count int) (keys []string) {
		for i := range count {
			keys = append(keys, twentyCounters()[i%20].Key+strings.Repeat("x", i/20))
		}
		return keys
	}
	for _, c := range []struct {
		name       string
		operations []counter.Operation
	}{
		{"set", []counter.Operation{set("g", by("z", math.MinInt64), by("a", 2))}},
		{"increase", []counter.Operation{increase("g", by("a", 2), by("new", -3))}},
		{"decrease", []counter.Operation{decrease("g", by("b", math.MinInt64), by("min", math.MinInt64))}},
		{"delete some", []counter.Operation{remove("g", "max", "missing", "a")}},
		{"delete nothing", []counter.Operation{remove("g", "missing")}},
		{"delete 7 and 8 and 9 and 100", []counter.Operation{remove("full", manyKeys(7)...), remove("full", manyKeys(8)...), remove("full", manyKeys(9)...), remove("full", manyKeys(100)...)}},
		{"delete all", []counter.Operation{remove("g")}},
		{"delete all of nothing", []counter.Operation{remove("new")}},
		{"condition", []counter.Operation{onlyIf(1, set("g", by("a", 1)))}},
		{"batch", []counter.Operation{increase("g", by("a", 1)), remove("full", "ka", "kz"), set("new", by("x", 1)), remove("g"), decrease("g", by("a", 5))}},
		{"out of range", []counter.Operation{increase("g", by("a", 1), by("max", 1))}},
		{"out of range in a batch", []counter.Operation{remove("full"), decrease("g", by("max", 1), by("min", 1))}},
		{"a 21st key", []counter.Operation{increase("full", by("ka", 1), by("one more", 1))}},
		{"a 21st key in a batch", []counter.Operation{set("g", by("a", 1)), set("full", by("one more", 1))}},
		{"condition fails", []counter.Operation{onlyIf(2, set("g", by("a", 1)))}},
		{"condition that there is nothing fails", []counter.Operation{onlyIf(0, set("g", by("a", 1)))}},
		{"condition on nothing fails in a batch", []counter.Operation{set("g", by("a", 1)), onlyIf(1, remove("new", "a"))}},
	} {
		for form, key := range map[string]string{"UUIDv7": uuidv7(1_700_000_000_000, 1), "bare": "an arbitrary key"} {
			t.Run(c.name+" "+form, func(t *testing.T) {
				var p published
				n := newNode(t, fsm.Config{Publisher: &p})
				n.mutate(set("g", by("a", 5), by("b", -1), by("max", math.MaxInt64), by("min", math.MinInt64)))
				n.mutate(set("full", twentyCounters()...))
				command := under(key, mutation(c.operations...))
				if applied, known := n.Lookup(&command.Mutation); known {
					t.Fatalf("known before it is applied: %+v", applied)
				}
				first := n.apply(command)
				plain := before(t)
				if without := plain.mutate(c.operations...); !reflect.DeepEqual(first, without) || !sameGroups(n, plain) {
					t.Errorf("with a key: %+v, %+v\nwithout: %+v, %+v", first.Result, first.Err, without.Result, without.Err)
				}
				n.mutate(remove("g"))
				n.mutate(remove("full"))
				n.mutate(remove("new"))
				n.mutate(set("new", by("a", 7)))
				events, groups := len(p.revisions), n.List("", "", 9)
				late := newNode(t, fsm.Config{})
				restoreFrom(t, late, n)
				for range 2 {
					looked, known := n.Lookup(&command.Mutation)
					if !known {
						t.Fatal("Lookup does not know it")
					}
					wantApplied(t, "Lookup", looked, replayOf(first))
					entry := n.entry(command)
					wantApplied(t, "the second attempt", n.Apply(entry).(*fsm.Applied), replayOf(first))
					wantApplied(t, "the second attempt after a restore", late.Apply(entry).(*fsm.Applied), replayOf(first))
				}
				if len(p.revisions) != events || n.AppliedIndex() != n.index || !slices.Equal(n.List("", "", 9), groups) {
					t.Errorf("a replay did something: revisions %d, groups %v", p.revisions, n.List("", "", 9))
				}
				wantEqualMachines(t, late.Machine, n.Machine)
			})
		}
	}
}

// TestKeysAndRequests tells which attempts are the same and which are not.
func TestKeysAndRequests(t *testing.T) {
	const now = 1_700_000_000_000
	id := uuidv7(now, 0xabcdef)
	single := mutation(increase("g", by("a", 1), by("b", 2)))
	batch := single
	batch.Mutation.Batch = true
	for _, c := range []struct {
		name          string
		first, second fsm.Command
		want          string
	}{
		{"the same", under("k", single), under("k", single), "replayed"},
		{"the same UUID", under(id, single), under(id, single), "replayed"},
		{"the same UUID in capitals", under(id, single), under(strings.ToUpper(id), single), "replayed"},
		{"a bare key in capitals", under("k", single), under("K", single), "executed"},
		{"a UUID without hyphens", under(id, single), under(strings.ReplaceAll(id, "-", ""), single), "executed"},
		{"another key", under("k", single), under("l", single), "executed"},
		{"another UUID of that time", under(id, single), under(uuidv7(now, 1), single), "executed"},
		{"another user", under("k", single), from("bob", under("k", single)), "executed"},
		{"nobody", under("k", single), from("", under("k", single)), "executed"},
		{"nobody twice", from("", under("k", single)), from("", under("k", single)), "replayed"},
		{"user and key that read the same", from("ab", under("c", single)), from("a", under("bc", single)), "executed"},
		{"no key", single, single, "executed"},
		{"another value", under("k", single), under("k", mutation(increase("g", by("a", 1), by("b", 3)))), "reused"},
		{"another value under a UUID", under(id, single), under(id, mutation(increase("g", by("a", 1), by("b", 3)))), "reused"},
		{"another order", under("k", single), under("k", mutation(increase("g", by("b", 2), by("a", 1)))), "reused"},
		{"another group", under("k", single), under("k", mutation(increase("h", by("a", 1), by("b", 2)))), "reused"},
		{"another kind", under("k", single), under("k", mutation(decrease("g", by("a", 1), by("b", 2)))), "reused"},
		{"another condition", under("k", single), under("k", mutation(onlyIf(1, increase("g", by("a", 1), by("b", 2))))), "reused"},
		{"a batch of one", under("k", single), under("k", batch), "reused"},
		{"another value after a refusal", under("k", mutation(onlyIf(9, set("g", by("a", 1))))), under("k", mutation(set("g", by("a", 1)))), "reused"},
		{"what can never be applied", under("k", mutation(set("g", by("", 1)))), under("k", single), "executed"},
		{"what can never be applied under a known key", under("k", single), under("k", mutation(set("g", by("", 1)))), "invalid_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, fsm.Config{})
			first, second := at(now, c.first), at(now+1, c.second)
			first.Mutation.RequestID, second.Mutation.RequestID = "r1", "r2"
			answer := n.apply(first)
			groups := n.Read("g", nil)
			got := n.apply(second)
			kind := "executed"
			switch {
			case got.Err != nil && errors.Is(got.Err, counter.IdempotencyKeyReused):
				kind = "reused"
				if got.Err.Param != "Idempotency-Key" || got.Err.ServerTimeMs != now+1 || got.Err.Revision != 2 || got.Err.Replayed {
					t.Errorf("refusal = %+v", got.Err)
				}
				got = n.apply(first)
				wantApplied(t, "the first request after that", got, replayOf(answer))
			case got.Err != nil && !got.Err.Replayed:
				kind = string(got.Err.Code)
			case got.Result.Replayed || got.Err != nil:
				kind = "replayed"
			}
			if kind != c.want {
				t.Errorf("the second attempt is %s, want %s", kind, c.want)
			}
			if after := n.Read("g", nil); c.want != "executed" && after.ModRevision != groups.ModRevision {
				t.Errorf("the second attempt changed %+v to %+v", groups, after)
			}
		})
	}
}

// TestKeyTimes looks at one request with a UUIDv7 at the borders of time.
func TestKeyTimes(t *testing.T) {
	const now = 1_700_000_000_000
	for _, c := range []struct {
		name     string
		offset   int64 // of the key, from log time
		expired  bool
		lookedUp bool // and Lookup knows it
	}{
		{"now", 0, false, false},
		{"just within 10 minutes", 1 - 10*minute, false, false},
		{"10 minutes ago", -10 * minute, true, true},
		{"long ago", -now, true, true},
		{"60 seconds ahead", 60 * second, false, false},
		{"just over 60 seconds ahead", 60*second + 1, true, false},
		{"far ahead", 1<<48 - 1 - now, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, fsm.Config{})
			n.apply(at(now, fsm.Command{Type: fsm.TypeTerm}))
			command := at(now, under(uuidv7(now+c.offset, 7), mutation(increase("g", by("a", 1)))))
			looked, known := n.Lookup(&command.Mutation)
			if known != c.lookedUp || known && (!errors.Is(looked.Err, counter.IdempotencyKeyExpired) || looked.Err.Revision != 1) {
				t.Errorf("Lookup = %+v, %t", looked, known)
			}
			for range 2 {
				got := n.apply(command)
				if c.expired {
					wantExpired(t, got, now)
				} else if got.Err != nil {
					t.Errorf("refused: %v", got.Err)
				}
			}
			if changed := n.Read("g", nil).ModRevision != 0; changed == c.expired {
				t.Errorf("executed: %t", changed)
			}
		})
	}
}

func wantExpired(t *testing.T, got *fsm.Applied, nowMs int64) {
	t.Helper()
	if got.Err == nil || !errors.Is(got.Err, counter.IdempotencyKeyExpired) {
		t.Errorf("answer = %+v, %v, want expired", got.Result, got.Err)
		return
	}
	if e := got.Err; e.ServerTimeMs != nowMs || e.Param != "Idempotency-Key" || e.Revision == 0 || e.Replayed || !e.Definite() {
		t.Errorf("refusal = %+v, want the server's time %d", e, nowMs)
	}
}

// TestForgetting lets entries go, by age and for want of room.
func TestForgetting(t *testing.T) {
	const now = 1_700_000_000_000
	plus := func(key string) fsm.Command { return under(key, mutation(increase("g", by("a", 1)))) }
	value := func(n *node) int64 { return n.Read("g", nil).Counters[0].Value }
	wantValue := func(t *testing.T, n *node, want int64) {
		t.Helper()
		if got := value(n); got != want {
			t.Errorf("executed %d times, want %d", got, want)
		}
	}
	limits := fsm.Limits{Entries: 2, ResultBytes: 100, AgedPerCommand: 256}
	small := func(t *testing.T, limits fsm.Limits) *node {
		n := newNode(t, fsm.Config{})
		n.Machine = fsm.NewMachineWithin(fsm.Config{}, limits)
		n.time = now - 10
		return n
	}
	t.Run("by age", func(t *testing.T) {
		n := newNode(t, fsm.Config{})
		uuid, bare := plus(uuidv7(now+30*second, 1)), plus("bare")
		n.apply(at(now, uuid))
		n.apply(at(now, bare))
		n.apply(at(now+10*minute-1, bare))
		wantValue(t, n, 2)
		n.apply(at(now+10*minute, bare)) // from here on it is another request
		wantValue(t, n, 3)
		n.apply(at(now+10*minute, uuid))
		wantValue(t, n, 3)
		wantExpired(t, n.apply(at(now+10*minute+30*second, uuid)), now+10*minute+30*second)
		wantValue(t, n, 3)
		if entries, _ := n.Remembered(); entries != 1 {
			t.Errorf("%d entries, want that of the bare key", entries)
		}
		n.apply(at(now+30*minute, fsm.Command{Type: fsm.TypeTerm}))
		if entries, bytes := n.Remembered(); entries != 0 || bytes != 0 {
			t.Errorf("%d entries, %d bytes after a command of another type", entries, bytes)
		}
	})
	t.Run("by number, the smallest time first", func(t *testing.T) {
		n := small(t, limits)
		late, early := plus(uuidv7(now+9, 1)), plus(uuidv7(now+5, 2))
		n.apply(at(now, late))
		n.apply(at(now, early))
		n.apply(at(now, plus(uuidv7(now+7, 3)))) // early is forgotten
		wantExpired(t, n.apply(at(now, early)), now)
		wantExpired(t, n.apply(at(now, plus(uuidv7(now+4, 4)))), now)
		if got := n.apply(at(now, late)); !got.Result.Replayed {
			t.Errorf("the entry with the greatest time is forgotten: %+v", got)
		}
		wantValue(t, n, 3)
	})
	t.Run("the new entry itself", func(t *testing.T) {
		n := small(t, limits)
		n.apply(at(now, plus(uuidv7(now+8, 1))))
		n.apply(at(now, plus(uuidv7(now+9, 2))))
		early := plus(uuidv7(now+7, 3))
		if got := n.apply(at(now, early)); got.Err != nil {
			t.Errorf("refused although nothing was forgotten: %v", got.Err)
		}
		wantExpired(t, n.apply(at(now, early)), now)
		wantValue(t, n, 3)
	})
	t.Run("a bare key moves the mark as well", func(t *testing.T) {
		n := small(t, limits)
		for i := range 3 {
			n.apply(at(now+int64(i), plus(fmt.Sprint("bare", i))))
		}
		wantExpired(t, n.apply(at(now+5, plus(uuidv7(now, 1)))), now+5)
		if got := n.apply(at(now+5, plus(uuidv7(now+1, 1)))); got.Err != nil {
			t.Errorf("a key above the mark is refused: %v", got.Err)
		}
		n.apply(at(now+5, plus("bare0"))) // forgotten, so that it is executed again
		wantValue(t, n, 5)
	})
	t.Run("by bytes", func(t *testing.T) {
		n := small(t, fsm.Limits{Entries: 100, ResultBytes: 25, AgedPerCommand: 256})
		n.mutate(set("g", by("a", math.MaxInt64-100))) // its values take 10 bytes
		for i := range 3 {
			n.apply(at(now, plus(uuidv7(now+int64(i), 1))))
		}
		if entries, bytes := n.Remembered(); entries != 2 || bytes != 20 {
			t.Errorf("%d entries with %d bytes, want 2 with 20", entries, bytes)
		}
		wantExpired(t, n.apply(at(now, plus(uuidv7(now, 1)))), now)
	})
	t.Run("a result that is too large", func(t *testing.T) {
		n := small(t, fsm.Limits{Entries: 100, ResultBytes: 9, AgedPerCommand: 256})
		n.mutate(set("g", by("a", math.MaxInt64-100)))
		command := plus(uuidv7(now, 1))
		n.apply(at(now, command))
		wantExpired(t, n.apply(at(now, command)), now)
		if got := value(n); got != math.MaxInt64-99 {
			t.Errorf("the value is %d", got)
		}
	})
	t.Run("few for each command", func(t *testing.T) {
		n := small(t, fsm.Limits{Entries: 100, ResultBytes: 100, AgedPerCommand: 2})
		last := plus(uuidv7(now+4, 1))
		for i := range 5 {
			n.apply(at(now, plus(uuidv7(now+int64(i), 1))))
		}
		for i, want := range []int{3, 2, 0} { // the second adds one
			command := fsm.Command{Type: fsm.TypeTerm}
			if i == 1 {
				command = plus("bare")
			}
			n.apply(at(now+20*minute, command))
			if entries, _ := n.Remembered(); i < 2 && entries != want {
				t.Errorf("%d entries after command %d, want %d", entries, i, want)
			}
		}
		wantExpired(t, n.apply(at(now+20*minute, last)), now+20*minute)
		wantValue(t, n, 6)
	})
}

// TestLargestResult takes a snapshot with the largest result that there can be.
func TestLargestResult(t *testing.T) {
	n := newNode(t, fsm.Config{})
	var all []counter.Operation
	for i := range counter.BatchOperationsMax {
		group := fmt.Sprint("g", i)
		var full []counter.Counter
		for k := range counter.GroupCountersMax {
			full = append(full, by(fmt.Sprintf("%s%c%c", strings.Repeat("😀", counter.KeyCharactersMax-2), 'a'+rune(k), '😀'), 1))
		}
		n.mutate(set(group, full...))
		all = append(all, remove(group))
	}
	command := under("k", mutation(all...))
	first := n.apply(command)
	if _, bytes := n.Remembered(); bytes < 10_000_000 {
		t.Errorf("the result takes %d bytes: the test does not test", bytes)
	}
	late := newNode(t, fsm.Config{})
	restoreFrom(t, late, n)
	entry := n.entry(command)
	if got := late.Apply(entry).(*fsm.Applied); !reflect.DeepEqual(got, replayOf(first)) {
		t.Error("the replay differs")
	}
}
