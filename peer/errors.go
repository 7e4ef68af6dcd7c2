package peer

import (
	"errors"
	"fmt"
)

var (
	// ErrNotSent says that the request certainly did not leave this node: no
	// connection could be made, the other side was refused or refused us, the
	// payload is too large, or the call ended while the request was still
	// waiting to be written. Definite.
	ErrNotSent = errors.New("peer: the request was not sent")

	// ErrUnknownMethod says that the remote node received the request, has no
	// handler for its method, and did nothing. Definite.
	ErrUnknownMethod = errors.New("peer: the remote node does not know the method")

	// ErrBusy says that the remote node received the request, had too many
	// unanswered ones from this node, and did nothing. Definite.
	ErrBusy = errors.New("peer: the remote node has too many unanswered calls from this node")

	// ErrBroken says that the connection failed after the request was handed to
	// it and before a reply came. The remote node may or may not have seen it.
	ErrBroken = errors.New("peer: the connection broke before the reply")
)

// Definite reports whether a failed call certainly had no effect on the remote
// node: no handler saw it and none will. Every other error, the context's
// included, leaves that open.
func Definite(err error) bool {
	return errors.Is(err, ErrNotSent) || errors.Is(err, ErrUnknownMethod) || errors.Is(err, ErrBusy)
}

// RefusedError says that one side did not accept the other's hello.
type RefusedError struct {
	// NodeID is what the remote node calls itself, empty if it did not say.
	NodeID string
	// ByRemote: the remote node refused this one. Otherwise it was this node.
	ByRemote bool
	// Reason is the sentence that both sides are told.
	Reason string
}

// Error names the refusing side and its reason.
func (e *RefusedError) Error() string {
	remote := e.NodeID
	if remote == "" {
		remote = "the remote node"
	}
	if e.ByRemote {
		return fmt.Sprintf("peer: %s refuses this node: %s", remote, e.Reason)
	}
	return fmt.Sprintf("peer: this node refuses %s: %s", remote, e.Reason)
}

// notSent marks a failure as one that happened before anything left this node.
func notSent(cause error) error { return fmt.Errorf("%w: %w", ErrNotSent, cause) }

// broken marks a failure as one whose outcome is unknown.
func broken(cause error) error { return fmt.Errorf("%w: %w", ErrBroken, cause) }
