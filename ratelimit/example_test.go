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
	fmt.Println(limiter.Policy("mutations"))
	for _, nowMs := range []int64{1000, 1500, 3200, 6000} {
		verdict := limiter.Admit("ann", nowMs)
		fmt.Println(verdict.OK, verdict.Field("mutations"))
		if verdict.OK {
			limiter.Note("ann", verdict.AtMs) // when the log holds the call: counted once
		}
	}
	// Output:
	// "mutations";q=2;w=5
	// true "mutations";r=1;t=5
	// true "mutations";r=0;t=5
	// false "mutations";r=0;t=3
	// true "mutations";r=0;t=1
}
