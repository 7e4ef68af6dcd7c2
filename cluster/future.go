package cluster

import (
	"reflect"

	"github.com/hashicorp/raft"
)

// releaser makes the Error of futures return raft.ErrRaftShutdown once a channel
// is closed, if the library has not answered by then. It belongs to one goroutine.
//
// The library never answers proposals that are still queued when it shuts down
// (hashicorp/raft#498), and the futures of Apply have no way out of Error: the
// field that other futures use for it, ShutdownCh, is left nil. It is exported,
// and only Error reads it, so setting it before the first call of Error is safe.
type releaser struct {
	// of is the type of the last future, field where its ShutdownCh is, nil if it
	// has none. To look for that takes a microsecond, and there is one future for
	// each change.
	of    reflect.Type
	field []int
}

// release reports false for a future without such a field, which is one that is
// answered already.
func (r *releaser) release(future raft.Future, stopped chan struct{}) bool {
	value := reflect.ValueOf(future)
	if value.Type() != r.of {
		r.of, r.field = value.Type(), shutdownField(value.Type())
	}
	if r.field == nil {
		return false
	}
	*value.Elem().FieldByIndex(r.field).Addr().Interface().(*chan struct{}) = stopped
	return true
}

// shutdownField returns where the futures of a type have ShutdownCh, nil for nowhere.
func shutdownField(future reflect.Type) []int {
	if future.Kind() != reflect.Pointer || future.Elem().Kind() != reflect.Struct {
		return nil
	}
	field, found := future.Elem().FieldByName("ShutdownCh")
	if !found || field.Type != reflect.TypeFor[chan struct{}]() {
		return nil
	}
	return field.Index
}
