package client_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tally/client"
	"tally/counter"
)

// gathering is a client whose additions gather.
func gathering(t *testing.T, window time.Duration, urls ...string) *client.Client {
	t.Helper()
	c, err := client.New(urls, client.WithCoalescing(window), client.WithTimeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// addition is one call of Add and what came of it.
type addition struct {
	key   string
	delta int64
	value int64
	err   error
}

// addAll makes the additions at the same time.
func addAll(c *client.Client, group string, list []addition) {
	var callers sync.WaitGroup
	for i := range list {
		one := &list[i]
		callers.Go(func() { one.value, one.err = c.Counter(group, one.key).Add(context.Background(), one.delta) })
	}
	callers.Wait()
}

// inSomeOrder says whether the answers to the additions to one counter are those
// of one order of the additions, beginning with the value start, and what the
// value is in the end. Those that were refused must be out of range.
func inSomeOrder(list []addition, start int64) (end int64, err error) {
	after := make(map[int64][]addition) // by the value before them
	left := 0
	for _, one := range list {
		if one.err != nil {
			if !errors.Is(one.err, counter.OutOfRange) {
				return 0, one.err
			}
			continue
		}
		left++
		after[one.value-one.delta] = append(after[one.value-one.delta], one)
	}
	// All move the value the same way, so no two begin at the same value.
	for end = start; left > 0; left-- {
		next := after[end]
		if len(next) == 0 {
			return 0, fmt.Errorf("nobody was told what follows %d; %d are left", end, left)
		}
		after[end] = next[1:]
		end = next[0].value
	}
	return end, nil
}

// TestAdditionsLeaveTogether: as one request, and each caller has its own answer.
func TestAdditionsLeaveTogether(t *testing.T) {
	url, stop := startNode()
	defer stop()
	c := gathering(t, 50*time.Millisecond, url)
	var list []addition
	for i := range 3000 {
		list = append(list, addition{key: fmt.Sprintf("k%d", i%3), delta: int64(i % 7)})
	}
	before, err := c.Get(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	addAll(c, "g", list)
	after, err := c.Get(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		key := fmt.Sprintf("k%d", i)
		of := slices.DeleteFunc(slices.Clone(list), func(one addition) bool { return one.key != key })
		// Zeros stand still: they are told a value that is there.
		of = slices.DeleteFunc(of, func(one addition) bool { return one.delta == 0 && one.err == nil })
		end, err := inSomeOrder(of, 0)
		if err != nil || end != after.Counters[i].Value {
			t.Errorf("%s is %d, and its callers were told up to %d: %v", key, after.Counters[i].Value, end, err)
		}
	}
	if entries := after.Revision - before.Revision; entries > 20 {
		t.Errorf("3000 additions took %d log entries", entries)
	}
}

// TestUpAndDown: additions of both signs at once; the sum is exact, and nobody is
// told a value that was not there.
func TestUpAndDown(t *testing.T) {
	url, stop := startNode()
	defer stop()
	c := gathering(t, 20*time.Millisecond, url)
	if err := c.Counter("g", "k").Set(t.Context(), math.MaxInt64-1); err != nil {
		t.Fatal(err)
	}
	// All of the increases come before all of the decreases or behind them; either way some fit.
	list := []addition{{key: "k", delta: 1}, {key: "k", delta: 1}, {key: "k", delta: 1}, {key: "k", delta: -5}, {key: "k", delta: -4}}
	addAll(c, "g", list)
	sum := int64(math.MaxInt64 - 1)
	for _, one := range list {
		if one.err == nil {
			sum += one.delta
		} else if !errors.Is(one.err, counter.OutOfRange) {
			t.Error(one.err)
		}
	}
	if value, err := c.Counter("g", "k").Get(t.Context()); err != nil || value != sum {
		t.Errorf("the value is %d, and the callers' additions make %d: %v", value, sum, err)
	}
}

// TestOneThatDoesNotFitFailsAlone: others of its counter go as far as they fit,
// the smallest first, and other counters are not concerned.
func TestOneThatDoesNotFitFailsAlone(t *testing.T) {
	url, stop := startNode()
	defer stop()
	for _, test := range []struct {
		start  int64
		sign   int64
		deltas []int64
		fit    int
	}{
		{math.MaxInt64 - 10, 1, []int64{1, 2, 3, 4, 5, 6}, 4},
		{math.MaxInt64 - 10, 1, []int64{math.MaxInt64, 1}, 1},
		{math.MaxInt64, 1, []int64{1, 1, 1, 0}, 1},
		{math.MinInt64 + 10, -1, []int64{6, 5, 4, 3, 2, 1}, 4},
		{0, 1, []int64{math.MaxInt64, math.MaxInt64}, 1},
		{math.MaxInt64 - 300, 1, slices.Repeat([]int64{1}, 1000), 300},
	} {
		c := gathering(t, 30*time.Millisecond, url)
		if err := c.Counter("g", "tight").Set(t.Context(), test.start); err != nil {
			t.Fatal(err)
		}
		list := []addition{{key: "free", delta: 1}}
		for _, delta := range test.deltas {
			list = append(list, addition{key: "tight", delta: test.sign * delta})
		}
		addAll(c, "g", list)
		if list[0].err != nil {
			t.Errorf("the other counter: %v", list[0].err)
		}
		fitted := 0
		sum := test.start
		for _, one := range list[1:] {
			if one.err == nil {
				fitted++
				sum += one.delta
			} else if !errors.Is(one.err, counter.OutOfRange) {
				t.Error(one.err)
			}
		}
		value, err := c.Counter("g", "tight").Get(t.Context())
		if err != nil || value != sum || fitted != test.fit {
			t.Errorf("%+v: %d fitted; the value is %d, and theirs make %d: %v", test, fitted, value, sum, err)
		}
	}
}

// TestRefusedCounterFailsAlone: a group that is full, one that may have no
// counters, and a name that is none concern nobody else.
func TestRefusedCounterFailsAlone(t *testing.T) {
	url, stop := startNode()
	defer stop()
	c := gathering(t, 30*time.Millisecond, url)
	full := make(map[string]int64)
	for i := range counter.GroupCountersMax {
		full[fmt.Sprint(i)] = 0
	}
	if _, err := c.Set(t.Context(), "full", full); err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for _, test := range []struct {
		group, key string
		want       error
	}{
		{"full", "another", counter.TooManyCounters}, {"full", "7", nil}, {"x@TOPIC#y", "k", counter.UnsupportedGroup},
		{"g", "", counter.InvalidKey}, {"..", "k", counter.InvalidGroup}, {"g", "k", nil},
	} {
		callers.Go(func() {
			value, err := c.Counter(test.group, test.key).Add(t.Context(), 1)
			if !errors.Is(err, test.want) || test.want == nil && value != 1 {
				t.Errorf("%s/%s: %d, %v", test.group, test.key, value, err)
			}
			if refusal, ok := errors.AsType[*counter.Error](err); ok && refusal.Operation != nil {
				t.Errorf("%s/%s: the error names an operation, and the caller sent none", test.group, test.key)
			}
		})
	}
	callers.Wait()
}

// TestMoreCountersThanABatchHolds leave in several, each of them full at most.
func TestMoreCountersThanABatchHolds(t *testing.T) {
	url, stop := startNode()
	defer stop()
	c := gathering(t, 50*time.Millisecond, url)
	var callers sync.WaitGroup
	for i := range 2*counter.BatchOperationsMax + 1 {
		callers.Go(func() {
			if value, err := c.Counter(fmt.Sprintf("g%d", i), "k").Add(t.Context(), 3); err != nil || value != 3 {
				t.Errorf("%d, %v", value, err)
			}
		})
	}
	callers.Wait()
}

// TestWithdrawnAddition: one whose caller goes before it has left is not made;
// one whose caller goes later may be.
func TestWithdrawnAddition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &script{steps: steps(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(300 * time.Millisecond) // longer than the second caller waits
			increased(7, 2)(w, r)
		})}
		c := virtually(t, server, client.WithCoalescing(100*time.Millisecond))
		expired := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
		var callers sync.WaitGroup
		for patience, check := range map[time.Duration]func(int64, error) bool{
			time.Millisecond:       func(_ int64, err error) bool { return expired(err) && !errors.Is(err, counter.OutcomeUnknown) },
			200 * time.Millisecond: func(_ int64, err error) bool { return expired(err) && errors.Is(err, counter.OutcomeUnknown) },
			10 * time.Second:       func(value int64, err error) bool { return err == nil && (value == 1 || value == 2) },
		} {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if value, err := c.Counter("room", "likes").Add(ctx, 1); !check(value, err) {
					t.Errorf("who waited %v was told %d, %v", patience, value, err)
				}
			})
		}
		callers.Wait()
		if body := server.requests()[0].body; !strings.Contains(body, `{"likes":2}`) {
			t.Errorf("sent %s", body)
		}
	})
}

// TestNobodyIsLeft: when all have withdrawn, nothing is sent.
func TestNobodyIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &script{steps: steps(reset)}
		c := virtually(t, server, client.WithCoalescing(time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Counter("room", "likes").Add(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if n := len(server.requests()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// TestAdditionsShareTheirFate when nobody knows it.
func TestAdditionsShareTheirFate(t *testing.T) {
	c := dial(t, []client.Option{client.WithCoalescing(10 * time.Millisecond), client.WithTimeout(300 * time.Millisecond)}, serve(t, reset))
	list := slices.Repeat([]addition{{key: "k", delta: 1}}, 10)
	addAll(c, "g", list)
	for _, one := range list {
		if !errors.Is(one.err, counter.OutcomeUnknown) {
			t.Errorf("got %v", one.err)
		}
	}
}

// TestCloseSendsWhatHasGathered and waits for the answer.
func TestCloseSendsWhatHasGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtually(t, &script{steps: steps(increased(7, 5))}, client.WithCoalescing(time.Hour))
		var callers sync.WaitGroup
		callers.Go(func() {
			if value, err := c.Counter("room", "likes").Add(t.Context(), 5); err != nil || value != 5 {
				t.Errorf("%d, %v", value, err)
			}
		})
		synctest.Wait() // it has joined
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		callers.Wait()
	})
}

// TestFlightsAreFew: while the cluster is slow, additions gather instead of
// leaving in more and more batches, and none waits longer than its timeout.
func TestFlightsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &script{steps: steps(hang)}
		c := virtually(t, server, client.WithCoalescing(10*time.Millisecond), client.WithTimeout(2*time.Second))
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				time.Sleep(time.Duration(i) * 15 * time.Millisecond)
				started := time.Now()
				_, err := c.Counter("room", "likes").Add(t.Context(), 1)
				if took := time.Since(started); err == nil || took > 2*time.Second {
					t.Errorf("addition %d: %v after %v", i, err, took)
				}
			})
		}
		time.Sleep(1900 * time.Millisecond)
		if n := len(server.requests()); n != 4 {
			t.Errorf("%d batches are on their way", n)
		}
		callers.Wait()
	})
}
