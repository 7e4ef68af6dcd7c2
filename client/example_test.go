package client_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tally/client"
	"tally/counter"
)

// The examples run against a node of their own; yours would be somewhere else.
func Example() {
	url, stop := startNode()
	defer stop()

	c, err := client.New([]string{url})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()

	ctx := context.Background()
	result, err := c.Increase(ctx, "room", map[string]int64{"likes": 2, "views": 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Outcomes[0].Counters)

	reading, err := c.Get(ctx, "room", "likes")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(reading.Counters)
	// Output:
	// [{likes 2} {views 10}]
	// [{likes 2}]
}

// A change that depends on nobody else having changed the group meanwhile.
func ExampleIfRevision() {
	url, stop := startNode()
	defer stop()
	c, _ := client.New([]string{url})
	defer func() { _ = c.Close() }()
	ctx := context.Background()

	_, _ = c.Set(ctx, "seats", map[string]int64{"free": 100}, client.IfAbsent())
	reading, _ := c.Get(ctx, "seats")
	_, _ = c.Decrease(ctx, "seats", map[string]int64{"free": 1}) // somebody else is quicker

	_, err := c.Set(ctx, "seats", map[string]int64{"free": 90}, client.IfRevision(reading.ModRevision))
	if errors.Is(err, counter.RevisionMismatch) {
		fmt.Println("somebody was quicker: read again")
	}
	// Output: somebody was quicker: read again
}

// Several changes of several groups, all or none.
func ExampleClient_Batch() {
	url, stop := startNode()
	defer stop()
	c, _ := client.New([]string{url})
	defer func() { _ = c.Close() }()

	result, err := c.Batch(context.Background(), []counter.Operation{
		{Kind: counter.Set, Group: "room", Counters: []counter.Counter{{Key: "seats", Value: 40}}},
		{Kind: counter.Decrease, Group: "room", Counters: []counter.Counter{{Key: "seats", Value: 2}}},
		{Kind: counter.Increase, Group: "house", Counters: []counter.Counter{{Key: "guests", Value: 2}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, outcome := range result.Outcomes {
		fmt.Println(outcome.Group, outcome.Counters)
	}
	// Output:
	// room [{seats 40}]
	// room [{seats 38}]
	// house [{guests 2}]
}

// A watch begins with the state and goes on with every change, until the loop ends.
func ExampleClient_Watch() {
	url, stop := startNode()
	defer stop()
	c, _ := client.New([]string{url})
	defer func() { _ = c.Close() }()
	ctx := context.Background()

	_, _ = c.Set(ctx, "room", map[string]int64{"likes": 1})
	for event, err := range c.Watch(ctx, "room") {
		if err != nil {
			fmt.Println(err)
			return
		}
		if event.Reset != nil {
			fmt.Println("the state:", event.Reset.Counters)
			_, _ = c.Increase(ctx, "room", map[string]int64{"likes": 5})
			continue
		}
		fmt.Println(event.Kind, event.Key, "by", event.Delta, "to", event.Value)
		break
	}
	// Output:
	// the state: [{likes 1}]
	// increase likes by 5 to 6
}

// Many goroutines count at once; what they add leaves together.
func ExampleCounter_Add() {
	url, stop := startNode()
	defer stop()
	c, _ := client.New([]string{url}, client.WithCoalescing(10*time.Millisecond))
	defer func() { _ = c.Close() }()
	ctx := context.Background()

	views := c.Counter("room", "views")
	var viewers sync.WaitGroup
	for range 1000 {
		viewers.Go(func() {
			// Each is told the value after its own view, when that is durable.
			if _, err := views.Add(ctx, 1); err != nil {
				fmt.Println(err)
			}
		})
	}
	viewers.Wait()
	fmt.Println(views.Get(ctx))
	// Output: 1000 <nil>
}

// A watch that goes on where an earlier one was, in another process perhaps.
func ExampleFrom() {
	url, stop := startNode()
	defer stop()
	c, _ := client.New([]string{url})
	defer func() { _ = c.Close() }()
	ctx := context.Background()

	_, _ = c.Set(ctx, "room", map[string]int64{"likes": 1})
	cursor := "" // to be stored together with what was made of the events
	for event, err := range c.Watch(ctx, "room") {
		if err != nil {
			fmt.Println(err)
			return
		}
		cursor = event.Cursor
		break
	}
	_, _ = c.Increase(ctx, "room", map[string]int64{"likes": 1}) // nobody watches

	for event, err := range c.Watch(ctx, "room", client.From(cursor)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Kind, event.Key, "to", event.Value)
		break
	}
	// Output: increase likes to 2
}

// A change that must count once even if this process dies in the middle of it.
func ExampleIdempotencyKey() {
	url, stop := startNode()
	defer stop()
	c, _ := client.New([]string{url})
	defer func() { _ = c.Close() }()
	ctx := context.Background()

	key := c.NewIdempotencyKey() // to be stored with the order it belongs to
	for range 2 {                // the second time, say, after a restart
		result, err := c.Decrease(ctx, "stock", map[string]int64{"shirts": 1}, client.IdempotencyKey(key))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(result.Outcomes[0].Counters, result.Replayed)
	}
	// Output:
	// [{shirts -1}] false
	// [{shirts -1}] true
}
