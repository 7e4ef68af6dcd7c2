package cluster

import (
	"context"
	"time"
)

// diskInterval is how often the free space of the disk is looked at.
const diskInterval = time.Second

// watchDisk turns mutations away, and hands over leadership, before the disk is
// so full that the log cannot be written: a node that cannot store ends itself,
// and with the same disk everywhere all would end at once.
func (n *Node) watchDisk() {
	if n.config.DiskReserveBytes == 0 {
		return
	}
	for {
		n.lookAtDisk()
		if !pause(n.life, diskInterval) {
			return
		}
	}
}

func (n *Node) lookAtDisk() {
	free, err := n.config.Storage.FreeBytes()
	if err != nil {
		n.logger.Warn("cannot tell how full the disk is", "error", err)
		return
	}
	n.freeBytes.Store(free)
	full := free < n.config.DiskReserveBytes
	if was := n.proposer.diskFull.Swap(full); was == full {
		return
	}
	if !full {
		n.logger.Info("disk has room again", "free_bytes", free)
		return
	}
	n.logger.Error("disk is nearly full; mutations are refused", "free_bytes", free, "reserve_bytes", n.config.DiskReserveBytes)
	if n.ready() && len(n.voters()) > 1 {
		ctx, cancel := context.WithTimeout(n.life, n.config.RequestTimeout)
		defer cancel()
		if err := n.serveMembers(ctx, membersRequest{Action: actionTransfer}); err != nil {
			n.logger.Warn("cannot hand over leadership", "error", err)
		}
	}
}
