package ratelimit_test

import (
	"fmt"
	"time"

	"tally/ratelimit"
)

func ExampleLimiter() {
	limiter, err := ratelimit.New(ratelimit.Config{CallsMax: 2, Window: 5 * time.Second})
	if err != nil {
		panic(err)
	}
	for _, nowMs := range []int64{1000, 1500, 3200, 6000} {
		verdict := limiter.Admit("ann", nowMs)
		fmt.Println(verdict.OK, verdict.Remaining, verdict.RetryAfter)
		if verdict.OK {
			limiter.Note("ann", verdict.AtMs) // when the log holds the call: counted once
		}
	}
	// Output:
	// true 1 5s
	// true 0 4.5s
	// false 0 2.8s
	// true 0 500ms
}
