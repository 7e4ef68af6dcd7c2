package counter

// Result is the state machine's answer to a mutation that was applied.
type Result struct {
	// Revision is the Raft log index of the change.
	Revision uint64
	// Outcomes has one element for each operation, in order.
	Outcomes []Outcome
	// Replayed says that an earlier attempt with the same idempotency key was
	// applied and this is its result again, with the revision of that time.
	Replayed bool
	// Quota is what the caller has left of its call limit, nil if the call was
	// not counted. It is the leader's word, not the state machine's.
	Quota *Quota
}

// Outcome is what one operation did.
type Outcome struct {
	Group string
	// Counters are the named keys with their new values, in the caller's order. Nil for Delete.
	Counters []Counter
	// Deleted are the keys that existed and are gone: in the caller's order, or
	// sorted for "all". Nil unless the operation was Delete.
	Deleted []string
}

// Reading is one consistent cut of a group: the counters are exactly what the
// log says up to Revision.
type Reading struct {
	Group string
	// Revision is the log index up to which this node had applied when it read.
	Revision uint64
	// ModRevision is the revision of the group's last change, 0 for a group without counters.
	ModRevision uint64
	// Counters are sorted by key; keys that do not exist are absent.
	Counters []Counter
	// Quota is what the reader has left of its call limit, nil if the call was not counted.
	Quota *Quota
}

// GroupSummary is one line of a listing of groups.
type GroupSummary struct {
	Group       string
	Size        int // how many counters the group has
	ModRevision uint64
}

// Event tells of one key that a committed mutation named, also where the value
// stayed what it was. A delete gives one for each key that existed.
type Event struct {
	Revision uint64
	Kind     Kind
	Group    string
	Key      string
	Value    int64 // the new value; meaningless for Delete
	Delta    int64 // the operand as given; only for Increase and Decrease
	User     string
	TimeMs   int64 // log time of the mutation, Unix milliseconds
}
