package fsm

import (
	"errors"
	"reflect"
	"testing"

	"tally/counter"
)

// FuzzReplay takes anything as the result of some requests. What is accepted is
// packed into the same bytes again.
func FuzzReplay(f *testing.F) {
	by := func(key string, value int64) []counter.Counter { return []counter.Counter{{Key: key, Value: value}} }
	m := counter.Mutation{Batch: true, Operations: []counter.Operation{
		{Kind: counter.Set, Group: "g", Counters: by("a", 1)},
		{Kind: counter.Increase, Group: "g", Counters: append(by("a", 2), by("b", -3)...)},
		{Kind: counter.Delete, Group: "g", Keys: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}},
		{Kind: counter.Delete, Group: "h", All: true, Condition: counter.Condition{Checked: true}},
	}}
	for _, result := range []string{"", "\x06\x05\x01\x01\x01\x01x", "\x06\x05\x01\x02\x00", "\x06\x05\x01\x00\x00", "\x06\x05\x01\x00\xff\xff\x03"} {
		f.Add([]byte(result), false)
	}
	for _, result := range []string{"\x01\x01\x01\x0c", "\x02\x00\x00\x00", "\x03\x03\x00\x0c", "\x03\x04\x00\x0c", "\x04\x00\x00\x00", "\x01\x02\x00\x00", "\x01\x01\x02\x00"} {
		f.Add([]byte(result), true)
	}
	f.Fuzz(func(t *testing.T, result []byte, refused bool) {
		e := entry{revision: 7, refused: refused, result: result}
		applied := e.replay(&m)
		if applied.Err != nil && errors.Is(applied.Err, counter.Internal) {
			return
		}
		if (applied.Err != nil) != refused || !applied.replayed() {
			t.Fatalf("replay = %+v, %+v", applied.Result, applied.Err)
		}
		if refused {
			r := reader{text: string(result)}
			refusal := r.refusal(&m)
			if again := (&entry{revision: 7, refused: true, result: refusal.append(nil)}).replay(&m); !reflect.DeepEqual(again, applied) {
				t.Fatalf("%x: packed again it says %+v, was %+v", result, again.Err, applied.Err)
			}
			return
		}
		if again := appendOutcomes(nil, &m, applied.Result.Outcomes); string(again) != string(result) {
			t.Fatalf("%x is packed again as %x", result, again)
		}
	})
}

// TestUnreadableResult shows that nothing is made up.
func TestUnreadableResult(t *testing.T) {
	m := counter.Mutation{Operations: []counter.Operation{{Kind: counter.Increase, Group: "g", Counters: []counter.Counter{{Key: "a", Value: 1}}}}}
	for name, e := range map[string]entry{
		"a value too few":     {},
		"a value too many":    {result: []byte{2, 2}},
		"an unknown refusal":  {refused: true, result: []byte{4, 0, 0, 0}},
		"another operation":   {refused: true, result: []byte{1, 1, 0, 0}},
		"another counter":     {refused: true, result: []byte{1, 0, 1, 0}},
		"half a refusal":      {refused: true, result: []byte{1, 0}},
		"more than a refusal": {refused: true, result: []byte{1, 0, 0, 0, 0}},
	} {
		e.revision = 7
		if err := e.replay(&m).Err; err == nil || !errors.Is(err, counter.Internal) || err.Definite() || err.Revision != 7 {
			t.Errorf("%s: %+v", name, err)
		}
	}
}
