package counter_test

import (
	"fmt"
	"strings"
	"testing"

	"tally/counter"
)

// counters returns that many counters with different keys.
func counters(count int) []counter.Counter {
	list := make([]counter.Counter, count)
	for i := range list {
		list[i].Key = fmt.Sprint("k", i)
	}
	return list
}

// keys returns that many different keys.
func keys(count int) []string {
	list := make([]string, count)
	for i := range list {
		list[i] = fmt.Sprint("k", i)
	}
	return list
}

func TestMutationCheck(t *testing.T) {
	good := counter.Operation{Kind: counter.Increase, Group: "g", Counters: counters(1)}
	for _, c := range []struct {
		name      string
		operation counter.Operation
		code      counter.Code // "" when the mutation is good
	}{
		{"set", counter.Operation{Kind: counter.Set, Group: "g", Counters: counters(20)}, ""},
		{"increase", good, ""},
		{"decrease", counter.Operation{Kind: counter.Decrease, Group: "g", Counters: counters(1)}, ""},
		{"delete keys", counter.Operation{Kind: counter.Delete, Group: "g", Keys: keys(100)}, ""},
		{"delete all", counter.Operation{Kind: counter.Delete, Group: "g", All: true}, ""},
		{"condition", counter.Operation{Kind: counter.Delete, Group: "g", All: true, Condition: counter.Condition{Checked: true, ModRevision: 7}}, ""},
		{"no kind", counter.Operation{Group: "g", Counters: counters(1)}, counter.InvalidRequest},
		{"an unknown kind", counter.Operation{Kind: 5, Group: "g", Counters: counters(1)}, counter.InvalidRequest},
		{"no group", counter.Operation{Kind: counter.Set, Counters: counters(1)}, counter.InvalidGroup},
		{"a bad group", counter.Operation{Kind: counter.Delete, Group: "..", All: true}, counter.InvalidGroup},
		{"no counters", counter.Operation{Kind: counter.Set, Group: "g"}, counter.InvalidRequest},
		{"21 counters", counter.Operation{Kind: counter.Set, Group: "g", Counters: counters(21)}, counter.TooManyCounters},
		{"a bad key", counter.Operation{Kind: counter.Set, Group: "g", Counters: []counter.Counter{{Key: "\x00"}}}, counter.InvalidKey},
		{"a key twice", counter.Operation{Kind: counter.Set, Group: "g", Counters: append(counters(3), counters(1)...)}, counter.InvalidRequest},
		{"set with keys", counter.Operation{Kind: counter.Set, Group: "g", Counters: counters(1), Keys: keys(1)}, counter.InvalidRequest},
		{"increase of all", counter.Operation{Kind: counter.Increase, Group: "g", Counters: counters(1), All: true}, counter.InvalidRequest},
		{"delete of counters", counter.Operation{Kind: counter.Delete, Group: "g", Counters: counters(1)}, counter.InvalidRequest},
		{"delete nothing", counter.Operation{Kind: counter.Delete, Group: "g"}, counter.InvalidRequest},
		{"delete keys and all", counter.Operation{Kind: counter.Delete, Group: "g", Keys: keys(1), All: true}, counter.InvalidRequest},
		{"delete 101 keys", counter.Operation{Kind: counter.Delete, Group: "g", Keys: keys(101)}, counter.InvalidRequest},
		{"delete a bad key", counter.Operation{Kind: counter.Delete, Group: "g", Keys: []string{""}}, counter.InvalidKey},
		{"delete a key twice", counter.Operation{Kind: counter.Delete, Group: "g", Keys: []string{"a", "b", "a"}}, counter.InvalidRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			single := counter.Mutation{Operations: []counter.Operation{c.operation}}
			err := single.Check()
			wantCode(t, "single", err, c.code)
			if err != nil && err.Operation != nil {
				t.Errorf("the error of a single operation names operation %d", *err.Operation)
			}
			batch := counter.Mutation{Operations: []counter.Operation{good, good, c.operation}, Batch: true}
			err = batch.Check()
			wantCode(t, "batch", err, c.code)
			if err != nil && (err.Operation == nil || *err.Operation != 2) {
				t.Errorf("the error of a batch names operation %v, want 2", err.Operation)
			}
		})
	}
}

func TestMutationCheckAsAWhole(t *testing.T) {
	operations := make([]counter.Operation, counter.BatchOperationsMax+1)
	for i := range operations {
		operations[i] = counter.Operation{Kind: counter.Increase, Group: "g", Counters: counters(1)}
	}
	one := operations[:1]
	for _, c := range []struct {
		name     string
		mutation counter.Mutation
		code     counter.Code
	}{
		{"as many operations as can be", counter.Mutation{Operations: operations[:counter.BatchOperationsMax], Batch: true}, ""},
		{"one more", counter.Mutation{Operations: operations, Batch: true}, counter.InvalidRequest},
		{"none", counter.Mutation{}, counter.InvalidRequest},
		{"an empty batch", counter.Mutation{Batch: true}, counter.InvalidRequest},
		{"all that goes with it", counter.Mutation{Operations: one, Caller: counter.Caller{User: "ada", Limited: true}, RequestID: "r", IdempotencyKey: "i"}, ""},
		{"a long user", counter.Mutation{Operations: one, Caller: counter.Caller{User: strings.Repeat("a", 129)}}, counter.InvalidRequest},
		{"a long request ID", counter.Mutation{Operations: one, RequestID: strings.Repeat("a", 129)}, counter.InvalidRequest},
		{"a long idempotency key", counter.Mutation{Operations: one, IdempotencyKey: strings.Repeat("a", 129)}, counter.InvalidRequest},
	} {
		wantCode(t, c.name, c.mutation.Check(), c.code)
	}
}

// TestKinds holds the numbers, which are on disk, and the words, which are on the wire.
func TestKinds(t *testing.T) {
	for number, word := range map[counter.Kind]string{1: "set", 2: "increase", 3: "decrease", 4: "delete"} {
		kind, ok := counter.ParseKind(word)
		if !ok || kind != number || kind.String() != word {
			t.Errorf("ParseKind(%q) = %d, %t, whose word is %q; want %d", word, kind, ok, kind, number)
		}
	}
	for _, word := range []string{"", "Set", "SET", "get", "set "} {
		if kind, ok := counter.ParseKind(word); ok {
			t.Errorf("ParseKind(%q) = %v", word, kind)
		}
	}
	for _, number := range []counter.Kind{0, 5, 255} {
		if number.String() != "" {
			t.Errorf("kind %d has the word %q", number, number)
		}
	}
}
