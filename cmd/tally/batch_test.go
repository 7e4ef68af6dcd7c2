package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

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

func TestMistakesInABatchAreToldInItsWords(t *testing.T) {
	for text, want := range map[string]string{
		``:                                    "it is empty",
		" \n":                                 "it is empty",
		`5`:                                   "a number where an object is wanted",
		`"x"`:                                 "a string where an object is wanted",
		`{"op":"increase","group":"g"}`:       "it is one operation; put operations into brackets",
		`{"operations":{"op":"increase"}}`:    "an object where an array is wanted, in /operations",
		`{"operations":[],"more":1}`:          `there is no field "more" beside "operations"`,
		`[1]`:                                 "a number where an object is wanted, in /0",
		`[{"op":5}]`:                          "a number where a string is wanted, in /0/op",
		`[{"op":"delete","keys":"x"}]`:        "a string where an array is wanted, in /0/keys",
		`[{"op":"delete","all":"yes"}]`:       "a string where true or false is wanted, in /0/all",
		`[{"op":"set","grop":"g"}]`:           `an operation has no field "grop"; it has op, group, counters, keys and all, in /0`,
		`[{"op":"set","counters":{"x":1}}`:    "the JSON ends in the middle",
		`[] x`:                                "at byte 3",
		`[{'op':1}]`:                          "at byte 2, in /0",
		`[{"op":"set"},]`:                     "at byte 13",
		`[{"op":"set","op":"set"}]`:           "duplicate object member name, at byte 13, in /0/op",
		`[{"counters":{"x":1,"x":2}}]`:        "duplicate object member name, at byte 20, in /0/counters/x",
		"[{\"group\":\"\xff\"}]":              "invalid UTF-8",
		`[{"op":"add"}]`:                      `there is no "op" "add"`,
		`[{"op":"set","counters":{"x":1.5}}]`: "whole number",
	} {
		_, err := parseBatch([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
			continue
		}
		for _, internal := range []string{"Go ", "main.", "json:", "jsontext", "unmarshal"} {
			if strings.Contains(err.Error(), internal) {
				t.Errorf("%s: %v, which has %q in it", text, err, internal)
			}
		}
	}
}

// TestInputThatDoesNotComeIsNotWaitedForAfterCtrlC: nobody types, and nothing
// was sent.
func TestInputThatDoesNotComeIsNotWaitedForAfterCtrlC(t *testing.T) {
	in, typist := io.Pipe()
	defer func() { _ = typist.Close() }()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var said bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		p := &program{Stdin: in, Stdout: io.Discard, Stderr: &said}
		ended <- p.Run(ctx, []string{"batch", "-e", "127.0.0.1:1"})
	}()
	select {
	case code := <-ended:
		if code != exitInterrupted {
			t.Errorf("exit code %d, want %d: %s", code, exitInterrupted, said.String())
		}
	case <-time.After(10 * time.Second):
		t.Error("it still reads 10 s after Ctrl-C")
	}
}
