package counter

// Kind says what an operation does. The numbers are on disk and on the wire:
// never reorder or reuse them.
type Kind uint8

// The kinds of operation.
const (
	Set      Kind = 1 // given keys are overwritten or added, other keys stay
	Increase Kind = 2 // new value = old value + operand; a missing key starts at 0
	Decrease Kind = 3 // new value = old value - operand; never computed as an increase by -operand
	Delete   Kind = 4 // keys are removed; missing keys are not an error
)

// String returns the word of the kind in API and events, or "" for a number that is no kind.
func (k Kind) String() string {
	switch k {
	case Set:
		return "set"
	case Increase:
		return "increase"
	case Decrease:
		return "decrease"
	case Delete:
		return "delete"
	}
	return ""
}

// ParseKind is the inverse of Kind.String; ok is false for any other word.
func ParseKind(word string) (kind Kind, ok bool) {
	for _, k := range []Kind{Set, Increase, Decrease, Delete} {
		if k.String() == word {
			return k, true
		}
	}
	return 0, false
}

// Counter is a key with its value or, in an increase or decrease, with its operand.
type Counter struct {
	Key   string
	Value int64
}

// Operation changes one group.
type Operation struct {
	Kind  Kind
	Group string
	// Counters are the keys with new values (Set) or operands (Increase,
	// Decrease), in the caller's order, no key twice. Nil for Delete.
	Counters []Counter
	// Keys are the keys to delete, no key twice. Only for Delete, and empty when All is set.
	Keys []string
	// All deletes every counter of the group. Only for Delete.
	All bool
	// Condition must hold or the whole mutation is refused with RevisionMismatch.
	Condition Condition
}

// Condition makes an operation depend on the group's modRevision. The zero
// value always holds.
type Condition struct {
	// Checked turns the condition on.
	Checked bool
	// ModRevision is what the group's modRevision must be; 0 means that the
	// group has no counters.
	ModRevision uint64
}

// Caller is who asks for something, as far as the cluster has to know.
type Caller struct {
	// User is the caller's name; "" is the anonymous caller.
	User string
	// Limited says that the call limit of User applies.
	Limited bool
}

// UnderLimit says that calls of the caller are counted: no limit applies to
// those who have no name.
func (c Caller) UnderLimit() bool { return c.Limited && c.User != "" }

// Mutation is what one request asks for: all of its operations are applied, in
// order, or none. It becomes one Raft log entry.
type Mutation struct {
	Operations []Operation
	// Batch tells a batch from the request for a single operation, so that an
	// error names the operation's index only where the caller sent a list.
	Batch bool
	// Caller is who asks.
	Caller
	// RequestID is for logs and traces; it decides nothing.
	RequestID string
	// IdempotencyKey makes attempts of the same request count once; "" means none.
	IdempotencyKey string
}

// Check says why the mutation can never be applied, whatever the state is, or
// returns nil. The leader checks what a follower sent it with the same function.
func (m *Mutation) Check() *Error {
	if len(m.Operations) == 0 {
		return Errorf(InvalidRequest, "there is no operation; send at least one")
	}
	if len(m.Operations) > BatchOperationsMax {
		return Errorf(InvalidRequest, "the batch has %d operations; at most %d are allowed", len(m.Operations), BatchOperationsMax)
	}
	if err := CheckUser(m.User); err != nil {
		return err
	}
	if len(m.RequestID) > RequestIDBytesMax {
		return Errorf(InvalidRequest, "the request ID has %d bytes; at most %d are allowed", len(m.RequestID), RequestIDBytesMax)
	}
	if err := CheckIdempotencyKey(m.IdempotencyKey); err != nil {
		return err
	}
	for i := range m.Operations {
		if err := m.Operations[i].check(); err != nil {
			return m.at(i, err)
		}
	}
	return nil
}

// at names the operation that an error is about, where the caller sent a list.
func (m *Mutation) at(index int, err *Error) *Error {
	if m.Batch {
		err.Operation = &index
	}
	return err
}

func (o *Operation) check() *Error {
	if o.Kind.String() == "" {
		return Errorf(InvalidRequest, "operation kind %d is unknown; use set, increase, decrease or delete", o.Kind)
	}
	if err := CheckGroup(o.Group); err != nil {
		return err
	}
	if o.Kind == Delete {
		return o.checkDelete()
	}
	switch {
	case o.Keys != nil || o.All:
		return Errorf(InvalidRequest, "\"keys\" and \"all\" belong to delete; give \"counters\" to %s", o.Kind)
	case len(o.Counters) == 0:
		return Errorf(InvalidRequest, "\"counters\" is empty; name at least one counter to %s", o.Kind)
	case len(o.Counters) > GroupCountersMax:
		return Errorf(TooManyCounters, "%d counters are named; a group holds at most %d", len(o.Counters), GroupCountersMax)
	}
	for i, c := range o.Counters {
		if err := CheckKey(c.Key); err != nil {
			return err
		}
		for _, before := range o.Counters[:i] {
			if before.Key == c.Key {
				return Errorf(InvalidRequest, "the key %s is named twice; name each key once", quote(c.Key))
			}
		}
	}
	return nil
}

func (o *Operation) checkDelete() *Error {
	switch {
	case o.Counters != nil:
		return Errorf(InvalidRequest, "delete takes \"keys\" or \"all\", not \"counters\"")
	case o.All && len(o.Keys) > 0:
		return Errorf(InvalidRequest, "delete takes either \"keys\" or \"all\", not both")
	case !o.All && len(o.Keys) == 0:
		return Errorf(InvalidRequest, "delete needs \"keys\", or \"all\": true to delete every counter of the group")
	case len(o.Keys) > DeleteKeysMax:
		return Errorf(InvalidRequest, "%d keys are named; at most %d are allowed", len(o.Keys), DeleteKeysMax)
	}
	seen := make(map[string]bool, len(o.Keys))
	for _, key := range o.Keys {
		if err := CheckKey(key); err != nil {
			return err
		}
		if seen[key] {
			return Errorf(InvalidRequest, "the key %s is named twice; name each key once", quote(key))
		}
		seen[key] = true
	}
	return nil
}
