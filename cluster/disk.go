package cluster

import (
	"context"
	"time"
)

// diskInterval is how often the free space of the disk is looked at.
const diskInterval = time.Second

// diskHandOverPause is how long a node with a full disk keeps an office that it
// is given back: when all disks are full, leadership goes around and changes
// nothing.
const diskHandOverPause = 10 * time.Second

// watchDisk turns mutations away, and hands over leadership, before the disk is
// so full that the log cannot be written: a node that cannot store ends itself,
// and with the same disk everywhere all would end at once.
func (n *Node) watchDisk() {
	if n.config.DiskReserveBytes == 0 {
		return
	}
	var handedOver time.Time
	for {
		// Every time and not only when the disk fills up: a node can be elected
		// when it is full, and a hand-over can fail.
		if n.lookAtDisk() && n.ready() && time.Since(handedOver) >= diskHandOverPause && n.handOverOffice() {
			handedOver = time.Now()
		}
		if !pause(n.life, diskInterval) {
			return
		}
	}
}

// lookAtDisk notes how much room there is and reports whether it is too little.
func (n *Node) lookAtDisk() bool {
	free, err := n.config.Storage.FreeBytes()
	if err != nil {
		n.logger.Warn("cannot tell how full the disk is", "error", err)
		return false
	}
	n.freeBytes.Store(free)
	full := free < n.config.DiskReserveBytes
	switch was := n.proposer.diskFull.Swap(full); {
	case full && !was:
		n.logger.Error("disk is nearly full; mutations are refused", "free_bytes", free, "reserve_bytes", n.config.DiskReserveBytes)
	case was && !full:
		n.logger.Info("disk has room again", "free_bytes", free)
	}
	return full
}

// handOverOffice gives leadership to whoever can take it, and reports whether
// somebody did. It takes no longer than the disk may be left unwatched: room on it
// must be noticed.
func (n *Node) handOverOffice() bool {
	if len(n.voters()) < 2 {
		return false
	}
	ctx, cancel := context.WithTimeout(n.life, diskInterval)
	defer cancel()
	if err := n.serveMembers(ctx, membersRequest{Action: actionTransfer}); err != nil {
		n.logger.Warn("cannot hand over leadership", "error", err)
		return false
	}
	return true
}
