package fsm

import "slices"

// epochs tell a collection that is copied on write which of its parts a frozen
// view holds. Each part notes the epoch in which it was made; a part that is
// shared must be copied before it is changed.
//
// It has no lock: the owner of the collection calls it under its own.
type epochs struct {
	current uint64   // of the parts that are made now
	shared  uint64   // parts of this epoch and of older ones are held by a view
	views   []uint64 // epochs of the views that are out
}

func newEpochs() epochs { return epochs{current: 1} }

// isShared says whether a part that was made in an epoch may be held by a view.
func (e *epochs) isShared(epoch uint64) bool { return epoch <= e.shared }

// freeze marks all parts that exist as held by a view, and returns its epoch.
func (e *epochs) freeze() uint64 {
	epoch := e.current
	e.views = append(e.views, epoch)
	e.shared = epoch
	e.current++
	return epoch
}

// thaw ends the use of a view, exactly once: parts that no other view holds are
// changed in place again.
func (e *epochs) thaw(epoch uint64) {
	at := slices.Index(e.views, epoch)
	e.views = slices.Delete(e.views, at, at+1)
	e.shared = 0
	if len(e.views) > 0 {
		e.shared = slices.Max(e.views)
	}
}
