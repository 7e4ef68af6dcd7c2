package counter_test

import (
	"errors"
	"fmt"
	"testing"

	"tally/counter"
)

// TestCodes holds the closed list against the table that clients were given.
func TestCodes(t *testing.T) {
	type row struct {
		status, errorCode int
		definite          bool
	}
	want := map[counter.Code]row{
		"invalid_request":         {400, 10004, true},
		"invalid_value":           {400, 10004, true},
		"invalid_key":             {400, 10004, true},
		"invalid_group":           {400, 10015, true},
		"unauthenticated":         {401, 0, true},
		"forbidden":               {403, 10007, true},
		"unsupported_group":       {403, 10007, true},
		"route_not_found":         {404, 0, true},
		"counter_not_found":       {404, 0, true},
		"method_not_allowed":      {405, 0, true},
		"body_too_large":          {413, 0, true},
		"unsupported_media_type":  {415, 0, true},
		"out_of_range":            {409, 10004, true},
		"too_many_counters":       {409, 10063, true},
		"revision_mismatch":       {412, 0, true},
		"idempotency_key_reused":  {422, 0, true},
		"idempotency_key_expired": {422, 0, true},
		"rate_limited":            {429, 2996, true},
		"no_leader":               {503, 10002, true},
		"not_leader":              {503, 10002, true},
		"overloaded":              {503, 10002, true},
		"too_many_watchers":       {503, 10002, true},
		"shutting_down":           {503, 10002, true},
		"outcome_unknown":         {504, 10002, false},
		"disk_full":               {507, 10002, true},
		"internal":                {500, 10002, false},
	}
	titles := map[string]counter.Code{}
	for _, info := range counter.Codes() {
		expected, listed := want[info.Code]
		if got := (row{info.Status, info.ErrorCode, info.Definite}); !listed || got != expected {
			t.Errorf("%s is %+v, want %+v", info.Code, got, expected)
		}
		delete(want, info.Code) // so that a second entry is not listed any more
		if other, taken := titles[info.Title]; taken || info.Title == "" {
			t.Errorf("%s has the title %q, as has %s", info.Code, info.Title, other)
		}
		titles[info.Title] = info.Code
		if info.Code.Info() != info {
			t.Errorf("%s.Info() = %+v, want %+v", info.Code, info.Code.Info(), info)
		}
	}
	for code := range want {
		t.Errorf("%s is missing", code)
	}
	if got := counter.Code("made up").Info(); got.Code != counter.Internal || got.Definite {
		t.Errorf("an unknown code is %+v, want internal, which promises nothing", got)
	}
}

func TestErrorIs(t *testing.T) {
	var err error = counter.Errorf(counter.OutOfRange, "by %d", 7)
	for _, wrapped := range []error{err, fmt.Errorf("apply: %w", err)} {
		if !errors.Is(wrapped, counter.OutOfRange) || errors.Is(wrapped, counter.Internal) {
			t.Errorf("%v is out_of_range: %t, internal: %t", wrapped, errors.Is(wrapped, counter.OutOfRange), errors.Is(wrapped, counter.Internal))
		}
		var found *counter.Error
		if !errors.As(wrapped, &found) || found.Code != counter.OutOfRange || found.Detail != "by 7" || !found.Definite() {
			t.Errorf("errors.As(%v) = %+v", wrapped, found)
		}
	}
	if got := err.Error(); got != "out_of_range: by 7" {
		t.Errorf("Error() = %q", got)
	}
	if got := (&counter.Error{Code: counter.NoLeader}).Error(); got != "no_leader" {
		t.Errorf("Error() without detail = %q", got)
	}
	if got := counter.Errorf(counter.InvalidKey, "").WithParam("key").Param; got != "key" {
		t.Errorf("Param = %q", got)
	}
	if counter.Errorf(counter.OutcomeUnknown, "").Definite() {
		t.Error("outcome_unknown is definite")
	}
}

func ExampleError() {
	err := fmt.Errorf("increase likes: %w", counter.Errorf(counter.TooManyCounters, "the group has 20 counters"))
	if errors.Is(err, counter.TooManyCounters) {
		fmt.Println("use another group:", err)
	}
	// Output: use another group: increase likes: too_many_counters: the group has 20 counters
}

func ExampleParseValue() {
	value, _ := counter.ParseValue("-9223372036854775808")
	fmt.Println(value)
	_, err := counter.ParseValue("1e3")
	fmt.Println(err)
	// Output:
	// -9223372036854775808
	// invalid_value: "1e3" is not a whole number in plain decimal, such as 7, -7 or "7"
}
