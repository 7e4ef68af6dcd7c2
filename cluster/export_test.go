package cluster

import (
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/hashicorp/raft"

	"tally/counter"
	"tally/peer"
)

// Raft is the library's node, for tests that show what it would do by itself.
func (n *Node) Raft() *raft.Raft { return n.raft }

// Port is the node's peer port, for tests that speak to other nodes as it would.
func (n *Node) Port() *peer.Port { return n.port }

// MethodPropose is the method of forwarded commands.
const MethodPropose = methodPropose

// DecodeReply reads the reply to a forwarded command.
func DecodeReply(data []byte) (counter.Result, *counter.Error, error) { return decodeReply(data) }

// LeaveTransferFlag sets what the library leaves set when a leader steps down
// in the wrong moment of a transfer (hashicorp/raft#696), and says whether there
// is such a flag. The goroutine that the library leaves behind as well would
// outlive every bubble, so tests set the flag instead of provoking it.
func (n *Node) LeaveTransferFlag() bool {
	flag := reflect.ValueOf(n.raft).Elem().FieldByName("leaderState").FieldByName("leadershipTransferInProgress")
	if !flag.IsValid() || flag.Kind() != reflect.Int32 {
		return false
	}
	atomic.StoreInt32((*int32)(unsafe.Pointer(flag.UnsafeAddr())), 1)
	return true
}
