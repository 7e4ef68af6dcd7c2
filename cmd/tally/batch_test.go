package main

import (
	"testing"

	"tally/counter"
)

// FuzzBatch: what is accepted has operations of known kinds and no name twice.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		`[]`, `{"operations":[]}`, `[{"op":"set","group":"g","counters":{"a":1,"b":"-2"}}]`,
		`{"operations":[{"op":"delete","group":"g","all":true},{"op":"delete","group":"g","keys":["a"]}]}`,
		`[{"op":"increase","group":"g","counters":{"a":1e3}}]`, `[{"op":"set","group":"g","counters":[1]}]`,
		`[{"op":"set","group":"g","counters":null}]`, `[] []`, `{"operations":[{}]}`, "\xff", `"operations"`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		operations, err := parseBatch(text)
		if err != nil {
			return
		}
		for _, o := range operations {
			if o.Kind.String() == "" {
				t.Fatalf("%q: kind %d", text, o.Kind)
			}
			seen := map[string]bool{}
			for _, c := range o.Counters {
				if seen[c.Key] {
					t.Fatalf("%q: %q is named twice", text, c.Key)
				}
				seen[c.Key] = true
			}
		}
	})
}

func TestBatchIsReadAsItIsWritten(t *testing.T) {
	operations, err := parseBatch([]byte(`[{"op":"decrease","group":"g","counters":{"z":"9223372036854775807","a":-1}},{"op":"delete","group":"h","keys":["k"]}]`))
	if err != nil || len(operations) != 2 {
		t.Fatalf("got %v, %v", operations, err)
	}
	first, second := operations[0], operations[1]
	if first.Kind != counter.Decrease || first.Counters[0] != (counter.Counter{Key: "z", Value: 9223372036854775807}) || first.Counters[1] != (counter.Counter{Key: "a", Value: -1}) {
		t.Errorf("got %+v", first)
	}
	if second.Kind != counter.Delete || second.Group != "h" || len(second.Keys) != 1 || second.Keys[0] != "k" || second.Counters != nil {
		t.Errorf("got %+v", second)
	}
}
