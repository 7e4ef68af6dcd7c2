package cluster

import (
	"reflect"

	"github.com/hashicorp/raft"
)

// releaseOnShutdown makes future.Error return raft.ErrRaftShutdown once stopped
// is closed, if the library has not answered by then.
//
// The library never answers proposals that are still queued when it shuts down
// (hashicorp/raft#498), and the futures of Apply have no way out of Error: the
// field that other futures use for it, ShutdownCh, is left nil. It is exported,
// and only Error reads it, so setting it before the first call of Error is safe.
// It reports false for a future without such a field, which is one that is
// answered already.
func releaseOnShutdown(future raft.Future, stopped chan struct{}) bool {
	value := reflect.ValueOf(future)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		return false
	}
	field := value.Elem().FieldByName("ShutdownCh")
	if !field.IsValid() || !field.CanSet() || field.Type() != reflect.TypeOf(stopped) {
		return false
	}
	field.Set(reflect.ValueOf(stopped))
	return true
}
