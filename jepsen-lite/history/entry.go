package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Type says what a line of a history is.
type Type string

// The types of line.
const (
	TypeRun     Type = "run"
	TypeInvoke  Type = "invoke"
	TypeOK      Type = "ok"
	TypeFail    Type = "fail"
	TypeInfo    Type = "info"
	TypeMessage Type = "message"
	TypeFault   Type = "fault"
	TypeHash    Type = "hash"
	TypeEnd     Type = "end"
)

// Entry is one line. Type decides which of the pointers is set.
type Entry struct {
	Type Type          `json:"type"`
	Time time.Duration `json:"time"` // nanoseconds since the run began

	// Of invoke, ok, fail and info: the client process and the number of the
	// invocation, which counts from 1.
	Process int    `json:"process,omitempty"`
	ID      uint64 `json:"id,omitempty"`

	Op      *Op       `json:"op,omitempty"`    // of invoke
	Reply   *Reply    `json:"reply,omitempty"` // of ok, fail and info
	Message *Message  `json:"message,omitempty"`
	Fault   *Fault    `json:"fault,omitempty"`
	Hash    *NodeHash `json:"hash,omitempty"`
	Run     *Run      `json:"run,omitempty"`
}

// Run says what was run, so that it can be run again.
type Run struct {
	Seed    uint64   `json:"seed"`
	Command []string `json:"command,omitempty"` // the command line
	Nodes   []string `json:"nodes,omitempty"`   // the IDs of the founders
	Version string   `json:"version,omitempty"` // of the binary under test
	Started string   `json:"started,omitempty"` // wall clock, RFC 3339
}

// Kind says what a request asks for.
type Kind string

// The kinds of request. All but the first two are changes.
const (
	Read     Kind = "read"  // linearizable
	Stale    Kind = "stale" // consistency=stale
	Set      Kind = "set"
	Increase Kind = "increase"
	Decrease Kind = "decrease"
	Delete   Kind = "delete"
	Batch    Kind = "batch"
)

// IsRead says that the kind changes nothing.
func (k Kind) IsRead() bool { return k == Read || k == Stale }

// Op is a request as it is invoked.
type Op struct {
	Workload string `json:"workload"`
	Node     string `json:"node"` // the node that the client is pinned to
	Kind     Kind   `json:"kind"`
	// User is who asks, "" the anonymous caller, who is not limited.
	User string `json:"user,omitempty"`
	// Key is the idempotency key, "" for none.
	Key string `json:"key,omitempty"`
	// Parts are what the request is made of: one, but for a batch.
	Parts []Part `json:"parts"`
	// Final says that it was invoked after all faults were healed.
	Final bool `json:"final,omitempty"`
}

// Part is one operation on one group.
type Part struct {
	Kind     Kind      `json:"kind"` // of a read: read or stale
	Group    string    `json:"group"`
	Counters []Counter `json:"counters,omitempty"` // new values, or operands, in the order sent
	Keys     []string  `json:"keys,omitempty"`     // of a read: none means all
	All      bool      `json:"all,omitempty"`      // of a delete
	// IfRevision makes a set conditional on the group's modRevision; 0 means
	// that the group must have no counters.
	IfRevision *uint64 `json:"ifRevision,omitempty"`
}

// Equal says that two parts ask for the same.
func (p Part) Equal(q Part) bool {
	sameCondition := p.IfRevision == q.IfRevision || p.IfRevision != nil && q.IfRevision != nil && *p.IfRevision == *q.IfRevision
	return p.Kind == q.Kind && p.Group == q.Group && p.All == q.All && sameCondition &&
		slices.Equal(p.Counters, q.Counters) && slices.Equal(p.Keys, q.Keys)
}

// String tells what is asked for, as short as can be.
func (p Part) String() string {
	text := string(p.Kind) + " " + p.Group
	for _, c := range p.Counters {
		text += fmt.Sprintf(" %s:%d", c.Key, c.Value)
	}
	for _, key := range p.Keys {
		text += " " + key
	}
	if p.All {
		text += " all"
	}
	if p.IfRevision != nil {
		text += fmt.Sprintf(" if at %d", *p.IfRevision)
	}
	return text
}

// Counter is a key with its value, or with an operand.
type Counter struct {
	Key   string `json:"k"`
	Value int64  `json:"v"`
}

// SortCounters puts counters in the order of their keys.
func SortCounters(list []Counter) {
	slices.SortFunc(list, func(a, b Counter) int { return strings.Compare(a.Key, b.Key) })
}

// Reply is what the client heard.
type Reply struct {
	Status int `json:"status,omitempty"` // HTTP, 0 when no whole reply came
	// Revision and ModRevision are as in the reply; 0 where it has none.
	Revision    uint64 `json:"revision,omitempty"`
	ModRevision uint64 `json:"modRevision,omitempty"` // of reads
	// Replayed says that this is the answer to an earlier attempt.
	Replayed bool `json:"replayed,omitempty"`
	// Outcomes has one element for each part, of an ok.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Code and Definite are those of an error.
	Code     string `json:"code,omitempty"`
	Definite bool   `json:"definite,omitempty"`
	// Error tells what went wrong, for people.
	Error string `json:"error,omitempty"`
	// Malformed says that the reply came whole and makes no sense, which no node
	// may do.
	Malformed bool `json:"malformed,omitempty"`
}

// Outcome is what came of one part.
type Outcome struct {
	Group string `json:"group"`
	// Counters are, after a change, the named keys with their new values in the
	// order sent; of a read, what was found, in the order of the keys.
	Counters []Counter `json:"counters,omitempty"`
	Deleted  []string  `json:"deleted,omitempty"`
}

// String tells what came of it, as short as can be.
func (o Outcome) String() string {
	text := o.Group
	for _, c := range o.Counters {
		text += fmt.Sprintf(" %s:%d", c.Key, c.Value)
	}
	for _, key := range o.Deleted {
		text += " -" + key
	}
	return text
}

// Equal says that two outcomes are the same.
func (o Outcome) Equal(p Outcome) bool {
	return o.Group == p.Group && slices.Equal(o.Counters, p.Counters) && slices.Equal(o.Deleted, p.Deleted)
}

// Message is one reply of a long poll or one message of a stream.
type Message struct {
	// Watcher names who was told; one watcher goes on across connections and nodes.
	Watcher string `json:"watcher"`
	Node    string `json:"node"`
	Form    Form   `json:"form"`
	Watch   []Part `json:"watch,omitempty"` // the groups and keys; on a watcher's first message
	// After is the position that the connection began from, where one began:
	// the revision, or the cursor of several groups. It must be the Position of
	// the watcher's message before.
	After string `json:"after,omitempty"`
	// Position is what the watcher is to go on from.
	Position string  `json:"position"`
	Events   []Event `json:"events,omitempty"`
	// Final says that the watcher has all there was, as far as it can tell: a
	// poll after the end of all changes was answered with nothing more.
	Final bool `json:"final,omitempty"`
	// Malformed says what is wrong with a message that came whole and makes no
	// sense. The watcher uses nothing of it, and it has no Position.
	Malformed string `json:"malformed,omitempty"`
}

// Form is how a watcher watches.
type Form string

// The forms of watch.
const (
	Poll        Form = "poll"        // long poll of one group
	Stream      Form = "stream"      // stream of one group
	GroupPoll   Form = "groupPoll"   // long poll of several groups
	GroupStream Form = "groupStream" // stream of several groups
)

// Several says that positions are cursors of several groups, and not revisions.
func (f Form) Several() bool { return f == GroupPoll || f == GroupStream }

// Event is one event as it was received.
type Event struct {
	Revision uint64    `json:"revision"`
	Type     string    `json:"type"` // a Kind, or "reset"
	Group    string    `json:"group"`
	Key      string    `json:"key,omitempty"`
	Value    *int64    `json:"value,omitempty"`
	Delta    *int64    `json:"delta,omitempty"`
	User     string    `json:"user,omitempty"`
	TimeMs   int64     `json:"timeMs,omitempty"`
	Counters []Counter `json:"counters,omitempty"` // of a reset, in the order of the keys
}

// Fault is the begin or the end of one fault.
type Fault struct {
	// Kind names it, such as "kill-leader".
	Kind string `json:"kind"`
	// Phase is Begin or End.
	Phase Phase `json:"phase"`
	// Targets are the IDs of the nodes that it is done to.
	Targets []string `json:"targets,omitempty"`
	// Detail tells what exactly was done.
	Detail string `json:"detail,omitempty"`
	// Proof is what shows that the fault was felt: packets dropped, the leader
	// that changed, bytes that were lost. A fault that ends without one has not
	// bitten, and the run is invalid.
	Proof string `json:"proof,omitempty"`
}

// Phase is the begin or the end of a fault.
type Phase string

// The phases.
const (
	Begin Phase = "begin"
	End   Phase = "end"
)

// NodeHash is what a node said of its state.
type NodeHash struct {
	Node  string `json:"node"`
	Index uint64 `json:"index"`
	Hash  string `json:"hash"`
	// Final says that it was asked for after all changes had come to an end.
	Final bool `json:"final,omitempty"`
}
