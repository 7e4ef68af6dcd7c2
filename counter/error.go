package counter

import (
	"fmt"
	"time"
)

// Code is one entry of the closed list of errors. It is itself an error so that
// errors.Is(err, counter.OutOfRange) works on both sides of the wire.
type Code string

// Error returns the code's word.
func (c Code) Error() string { return string(c) }

// The closed list of errors. Clients match on these words: never rename one.
const (
	InvalidRequest        Code = "invalid_request"
	InvalidValue          Code = "invalid_value"
	InvalidKey            Code = "invalid_key"
	InvalidGroup          Code = "invalid_group"
	Unauthenticated       Code = "unauthenticated"
	Forbidden             Code = "forbidden"
	UnsupportedGroup      Code = "unsupported_group"
	RouteNotFound         Code = "route_not_found"
	CounterNotFound       Code = "counter_not_found"
	MethodNotAllowed      Code = "method_not_allowed"
	BodyTooLarge          Code = "body_too_large"
	UnsupportedMediaType  Code = "unsupported_media_type"
	OutOfRange            Code = "out_of_range"
	TooManyCounters       Code = "too_many_counters"
	RevisionMismatch      Code = "revision_mismatch"
	IdempotencyKeyReused  Code = "idempotency_key_reused"
	IdempotencyKeyExpired Code = "idempotency_key_expired"
	RateLimited           Code = "rate_limited"
	NoLeader              Code = "no_leader"
	NotLeader             Code = "not_leader"
	Overloaded            Code = "overloaded"
	TooManyWatchers       Code = "too_many_watchers"
	ShuttingDown          Code = "shutting_down"
	OutcomeUnknown        Code = "outcome_unknown"
	DiskFull              Code = "disk_full"
	Internal              Code = "internal"
)

// CodeInfo is what is fixed about a code.
type CodeInfo struct {
	Code Code
	// Title is one sentence for people; it never changes with the occurrence.
	Title string
	// Status is the HTTP status.
	Status int
	// ErrorCode is the number that the original SDK or its server API uses for
	// the same thing; 0 where it has none.
	ErrorCode int
	// Definite: this attempt changed nothing. Not definite: it may have changed
	// something. It speaks of the attempt only, never of an earlier one.
	Definite bool
}

// Codes returns the closed list with all that is fixed about each code, in the
// order of the documentation.
func Codes() []CodeInfo {
	list := codes()
	return list[:]
}

// codes is an array, so that who looks for one code takes no memory.
func codes() [26]CodeInfo {
	return [...]CodeInfo{
		{InvalidRequest, "The request is not understood.", 400, 10004, true},
		{InvalidValue, "A value is not a 64-bit integer.", 400, 10004, true},
		{InvalidKey, "A counter's key is not allowed.", 400, 10004, true},
		{InvalidGroup, "The group ID is not allowed.", 400, 10015, true},
		{Unauthenticated, "The caller is not known.", 401, 0, true},
		{Forbidden, "The caller may not do this.", 403, 10007, true},
		{UnsupportedGroup, "Groups of this kind have no counters.", 403, 10007, true},
		{RouteNotFound, "There is nothing at this path.", 404, 0, true},
		{CounterNotFound, "The counter does not exist.", 404, 0, true},
		{MethodNotAllowed, "The path does not take this method.", 405, 0, true},
		{BodyTooLarge, "The body is too large.", 413, 0, true},
		{UnsupportedMediaType, "The body is not of a type that is understood.", 415, 0, true},
		{OutOfRange, "The result would not fit a 64-bit integer.", 409, 10004, true},
		{TooManyCounters, "The group would hold more than 20 counters.", 409, 10063, true},
		{RevisionMismatch, "The group has changed since.", 412, 0, true},
		{IdempotencyKeyReused, "The idempotency key belongs to another request.", 422, 0, true},
		{IdempotencyKeyExpired, "The idempotency key is too old or from the future.", 422, 0, true},
		{RateLimited, "The caller calls too often.", 429, 2996, true},
		{NoLeader, "The cluster has no leader at the moment.", 503, 10002, true},
		{NotLeader, "The node is not the leader.", 503, 10002, true},
		{Overloaded, "The node has too much to do.", 503, 10002, true},
		{TooManyWatchers, "The node has too many watchers.", 503, 10002, true},
		{ShuttingDown, "The node is shutting down.", 503, 10002, true},
		{OutcomeUnknown, "The change may or may not have been made.", 504, 10002, false},
		{DiskFull, "The disk is nearly full.", 507, 10002, true},
		{Internal, "The server made a mistake.", 500, 10002, false},
	}
}

// Info returns what is fixed about the code. A word that is not on the list is
// treated as Internal, which promises nothing.
func (c Code) Info() CodeInfo {
	list := codes()
	for i := range list {
		if list[i].Code == c {
			return list[i]
		}
	}
	return Internal.Info()
}

// Leader says who leads, for a caller who may want to go there.
type Leader struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

// Error is an error of the closed list with what is particular to this
// occurrence. Errors that the state machine decides carry a Revision and are
// equal on every node.
type Error struct {
	Code Code
	// Detail says what happened and what to do next, for people.
	Detail string
	// Param names the parameter, header or field that is wrong, if one is.
	Param string
	// Operation is the index of the operation in a batch, nil elsewhere.
	Operation *int
	// Revision is the log index at which the state machine refused, 0 if it did not decide.
	Revision uint64
	// Leader is who leads as far as known, nil if not known or not of interest.
	Leader *Leader
	// RetryAfter is how long to wait before another attempt, 0 if that is no question.
	RetryAfter time.Duration
	// ServerTimeMs is the server's time in Unix milliseconds where an
	// idempotency key was refused, for a client to correct its clock by; 0 elsewhere.
	ServerTimeMs int64
	// Replayed says that an earlier attempt with the same idempotency key was
	// refused, and this is its refusal again.
	Replayed bool
	// Quota is what the caller has left of its call limit, nil if the call was not counted.
	Quota *Quota
}

// Errorf makes an error of the given code.
func Errorf(code Code, format string, arguments ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, arguments...)}
}

// WithParam names what is wrong and returns e.
func (e *Error) WithParam(name string) *Error {
	e.Param = name
	return e
}

// Error returns the code and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Detail
}

// Is makes errors.Is(err, counter.OutOfRange) match.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Definite says that this attempt changed nothing.
func (e *Error) Definite() bool { return e.Code.Info().Definite }
