package client

import (
	"context"
	"net/http"
	"time"
)

// What a client does unless an option says otherwise.
const (
	// DefaultEndpoint is where a node serves clients when it is started without flags.
	DefaultEndpoint = "127.0.0.1:8101"
	// DefaultTimeout bounds a call, with all of its attempts, whose context has no deadline.
	DefaultTimeout = 10 * time.Second
	// DefaultAttemptTimeout bounds one attempt, so that a node that hangs does not
	// use up the time in which another could answer.
	DefaultAttemptTimeout = 3 * time.Second
)

// Option changes what New makes.
type Option func(*config)

type config struct {
	token          func(context.Context) (string, error) // nil for none
	user           string
	timeout        time.Duration
	attemptTimeout time.Duration
	http           *http.Client
	coalescing     time.Duration
	discovery      bool
}

// WithToken sends a bearer token with every request. A client that was given
// https endpoints only never sends it elsewhere.
func WithToken(token string) Option {
	return WithTokenSource(func(context.Context) (string, error) { return token, nil })
}

// WithTokenSource is WithToken for tokens that expire: source is asked before
// every attempt, by many goroutines at once, and should keep what it returns
// until shortly before its end. A watch ends with its token and goes on with the
// next. An error of source counts as an attempt that was not made.
func WithTokenSource(source func(context.Context) (string, error)) Option {
	return func(c *config) { c.token = source }
}

// WithUser names the caller to nodes that take a caller's word for it
// (--identity none).
func WithUser(user string) Option { return func(c *config) { c.user = user } }

// WithTimeout bounds a call, with all of its attempts, whose context has no
// deadline; DefaultTimeout if it is not given. Watches have no such bound.
func WithTimeout(timeout time.Duration) Option { return func(c *config) { c.timeout = timeout } }

// WithAttemptTimeout bounds one attempt of a call; DefaultAttemptTimeout if it is
// not given. Changes of the cluster are sent once and wait as long as the call may take.
func WithAttemptTimeout(timeout time.Duration) Option {
	return func(c *config) { c.attemptTimeout = timeout }
}

// WithHTTPClient sends requests through the given client: for certificates,
// proxies, other transports. Its Timeout should be 0, because it would end
// watches; redirects are never followed.
func WithHTTPClient(client *http.Client) Option { return func(c *config) { c.http = client } }

// WithCoalescing lets additions by [Counter.Add] that come within the given time
// leave as one atomic batch: far more additions a second, each a little later.
// See [Counter.Add]. 0 turns it off, which is the default.
func WithCoalescing(window time.Duration) Option { return func(c *config) { c.coalescing = window } }

// WithoutDiscovery keeps the client to the endpoints it was given: it does not
// call the URLs that nodes advertise, for networks in which those lead nowhere.
func WithoutDiscovery() Option { return func(c *config) { c.discovery = false } }

// CallOption changes one call that changes counters.
type CallOption func(*callOptions)

type callOptions struct {
	conditional bool
	modRevision uint64
	keyed       bool   // the caller gave a key
	key         string // of the caller, or "" for one that the client makes
}

// IfRevision makes Set depend on the group being unchanged since: its
// ModRevision must still be the one of an earlier [counter.Reading]. Else Set
// fails with counter.RevisionMismatch and nothing is changed.
func IfRevision(modRevision uint64) CallOption {
	return func(o *callOptions) { o.conditional, o.modRevision = true, modRevision }
}

// IfAbsent makes Set depend on the group having no counters.
func IfAbsent() CallOption { return IfRevision(0) }

// IdempotencyKey sends the given key instead of one that the client makes: for a
// change that must count once beyond the end of this call or process. Take one
// of [Client.NewIdempotencyKey] and store it before the call; whoever repeats
// the same call with it, here or elsewhere, gets the first result again.
//
// A refusal as idempotency_key_expired then says of this call only that it did
// nothing; an earlier one may have. Read before doing it under a new key.
//
// A key is 1 to 128 characters, and neither begins nor ends with a space, which
// HTTP would take off. Any other is refused.
func IdempotencyKey(key string) CallOption {
	return func(o *callOptions) { o.keyed, o.key = true, key }
}

// WatchOption says what a watch is to begin with. Without one it begins with a
// reset: the state of the group.
type WatchOption func(*watchOptions)

type watchOptions struct {
	position string   // what the node is asked to go on from, "" for the state
	keys     []string // nil for all
}

// After begins with the first change after the revision, which can be that of a
// reading, of a result, or of an earlier event. For a watch of one group.
func After(revision uint64) WatchOption {
	return func(o *watchOptions) { o.position = formatRevision(revision) }
}

// FromNow begins with the first change after the watch has begun. For a watch of one group.
func FromNow() WatchOption { return func(o *watchOptions) { o.position = "now" } }

// From goes on behind the event that had the given [Event.Cursor], in the same
// watch of the same groups, at any time, through any node.
func From(cursor string) WatchOption { return func(o *watchOptions) { o.position = cursor } }

// Keys chooses counters: changes of others are not told, and a reset shows
// these. For a watch of one group.
func Keys(keys ...string) WatchOption { return func(o *watchOptions) { o.keys = keys } }
