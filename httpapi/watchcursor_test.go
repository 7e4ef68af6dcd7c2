package httpapi

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tally/watch"
)

// selectionsOf returns n selections, numbered from first on.
func selectionsOf(first, n int) []watch.Selection {
	list := make([]watch.Selection, n)
	for i := range list {
		list[i].Group = fmt.Sprintf("group:%d", first+i)
	}
	return list
}

// through encodes and decodes.
func through(t *testing.T, c checks, position uint64, ahead ...aheadGroup) (watchCursor, int) {
	t.Helper()
	text := string(c.appendCursor(nil, position, ahead))
	decoded, ok := decodeWatchCursor(text)
	if !ok || decoded.position != position || decoded.checks.groups != c.groups || !slices.Equal(decoded.checks.values, c.values) || len(decoded.ahead) != len(ahead) {
		t.Fatalf("%+v at %d ahead %v became %v %+v", c, position, ahead, ok, decoded)
	}
	for _, g := range ahead {
		if decoded.ahead[g.fingerprint] != g.position {
			t.Errorf("%+v became %+v", ahead, decoded.ahead)
		}
	}
	return decoded, len(text)
}

// TestCursorSize: it goes out with every message.
func TestCursorSize(t *testing.T) {
	for groups, want := range map[int]int{1: 34, 10: 130, 64: 706, 65: 706, 1000: 706} {
		if _, size := through(t, newChecks(selectionsOf(0, groups)), 123456789); size != want {
			t.Errorf("%d groups take %d bytes, want %d", groups, size, want)
		}
	}
	through(t, newChecks(selectionsOf(0, 3)), 7, aheadGroup{1, 8}, aheadGroup{1 << 63, 1<<64 - 1})
}

// TestCursorKnowsItsGroups: never one that is new, and, of up to 64, all that are not.
func TestCursorKnowsItsGroups(t *testing.T) {
	for _, groups := range []int{1, 2, 10, 64, 65, 500, 1000} {
		old := selectionsOf(0, groups)
		cursor, _ := through(t, newChecks(old), 100)
		count := func(now []watch.Selection) (known, wronglyKnown int) {
			for i, k := range cursor.checks.known(now) {
				isOld := slices.ContainsFunc(old, func(s watch.Selection) bool {
					return s.Group == now[i].Group && slices.Equal(s.Keys, now[i].Keys)
				})
				switch {
				case k && isOld:
					known++
				case k:
					wronglyKnown++
				}
			}
			return known, wronglyKnown
		}
		check := func(situation string, now []watch.Selection, knownMin int) {
			t.Helper()
			if known, wrong := count(now); known < knownMin || wrong > 0 {
				t.Errorf("%d groups, %s: %d are known, want %d; %d that are new count as known", groups, situation, known, knownMin, wrong)
			}
		}
		check("as they were", old, groups)
		reversed := slices.Clone(old)
		slices.Reverse(reversed)
		check("in another order", reversed, groups)
		check("one more", append(slices.Clone(old), selectionsOf(5000, 1)...), groups)
		check("all others", selectionsOf(5000, groups), 0)
		otherKeys := slices.Clone(old)
		otherKeys[0].Keys = []string{"x"}
		atLeast := func(n int) int { // with sums, the groups of the sums that have changed are lost
			if groups <= checksMax {
				return n
			}
			return n - 40
		}
		check("other keys", otherKeys, atLeast(groups-1))
		check("one less", old[1:], atLeast(groups-1))
		check("ten others", append(slices.Clone(old), selectionsOf(5000, 10)...), groups/2)
	}
}

// TestFingerprint: what makes groups different ones.
func TestFingerprint(t *testing.T) {
	seen := make(map[uint64]watch.Selection)
	for _, s := range []watch.Selection{
		{Group: "a"}, {Group: "b"}, {Group: "ab"}, {Group: "a", Keys: []string{"b"}}, {Group: "a", Keys: []string{"b", "c"}}, {Group: "a", Keys: []string{"bc"}},
	} {
		f := fingerprint(&s)
		if other, taken := seen[f]; taken {
			t.Errorf("%+v and %+v have one fingerprint", s, other)
		}
		seen[f] = s
	}
	one, other := watch.Selection{Group: "a", Keys: []string{"x", "y"}, After: 1}, watch.Selection{Group: "a", Keys: []string{"y", "x"}}
	if fingerprint(&one) != fingerprint(&other) {
		t.Error("the order of the keys makes a difference")
	}
	// Cursors go from node to node and outlive versions.
	if got := fingerprint(&watch.Selection{Group: "room", Keys: []string{"likes"}}); got != 0x7d7740b7a7b639ce {
		t.Errorf("the fingerprint has changed to %#x, which makes every cursor unknown", got)
	}
}

func FuzzWatchCursor(f *testing.F) {
	for _, groups := range []int{1, 3, 64, 65} {
		f.Add(string(newChecks(selectionsOf(0, groups)).appendCursor(nil, 100, nil)))
	}
	f.Add(string(newChecks(selectionsOf(0, 2)).appendCursor(nil, 100, []aheadGroup{{1, 101}})))
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		cursor, ok := decodeWatchCursor(text)
		if !ok {
			return
		}
		if n := cursor.checks.groups; n < 1 || n > watchGroupsMax || len(cursor.checks.values) != min(n, checksMax) {
			t.Errorf("%q has %d groups and %d checks", text, n, len(cursor.checks.values))
		}
		if len(cursor.ahead) == 0 && string(cursor.checks.appendCursor(nil, cursor.position, nil)) != text {
			t.Errorf("%q is not the only spelling of its cursor", text)
		}
		cursor.checks.known(selectionsOf(0, 70))
	})
}

// TestDamagedCursors: no single bit can change unnoticed.
func TestDamagedCursors(t *testing.T) {
	text := newChecks(selectionsOf(0, 5)).appendCursor(nil, 100, []aheadGroup{{1, 101}})
	for range 2000 {
		damaged := slices.Clone(text)
		damaged[rand.IntN(len(damaged))] ^= 1 << rand.IntN(7)
		if _, ok := decodeWatchCursor(string(damaged)); ok {
			t.Errorf("%s is taken, made of %s", damaged, text)
		}
	}
}
