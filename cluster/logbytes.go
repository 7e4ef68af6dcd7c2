package cluster

import (
	"errors"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// logLook is how often a node looks how much its log has grown.
	logLook = time.Second
	// logMarks is how many marks lie within Config.LogBytesMax: what is kept behind
	// a snapshot is a multiple of what lies between two.
	logMarks = 64
)

// logBytes bounds the log in bytes. The library counts entries only, and one may
// have a few bytes or a megabyte: kept by their number, large ones fill the disk.
// What was applied before the process began does not count. It belongs to boundLog.
type logBytes struct {
	max uint64
	// marks say how much had been applied when, the oldest first; from the second
	// on they are within max of the newest.
	marks []logMark
	// compacted is how much had been applied when the log was last cut because of its bytes.
	compacted uint64
}

type logMark struct{ index, bytes uint64 }

// note takes what has been applied by now.
func (b *logBytes) note(now logMark) {
	if n := len(b.marks); n > 0 && now.bytes-b.marks[n-1].bytes < b.max/logMarks {
		return
	}
	b.marks = append(b.marks, now)
	for len(b.marks) > 1 && now.bytes-b.marks[1].bytes > b.max {
		b.marks = b.marks[1:]
	}
}

// due says that the log has grown by its bound since it was cut, or since a
// snapshot that was taken for another reason.
func (b *logBytes) due(now logMark, snapshotIndex uint64) bool {
	since := b.compacted
	for _, mark := range b.marks {
		if mark.index <= snapshotIndex {
			since = max(since, mark.bytes)
		}
	}
	return now.bytes-since >= b.max
}

// trailing returns how many of the newest entries have no more bytes than the
// bound, at least 1 and at most most.
func (b *logBytes) trailing(now logMark, most uint64) uint64 {
	if now.bytes <= b.max {
		return most
	}
	oldest := now
	for _, mark := range b.marks {
		if now.bytes-mark.bytes <= b.max {
			oldest = mark
			break
		}
	}
	return max(1, min(most, now.index-oldest.index))
}

// boundLog takes a snapshot when the log has grown by Config.LogBytesMax, and
// keeps no more than that behind it.
func (n *Node) boundLog() {
	if n.config.LogBytesMax == 0 {
		return
	}
	bound := logBytes{max: n.config.LogBytesMax}
	for pause(n.life, logLook) {
		index, bytes := n.machine.AppliedBytes()
		now := logMark{index, bytes}
		bound.note(now)
		if bytes-bound.compacted < bound.max || !bound.due(now, n.snapshotIndex()) {
			continue
		}
		trailing := bound.trailing(now, n.config.TrailingLogs)
		n.logger.Info("the log has grown by its bound, a snapshot is taken", "node", n.config.NodeID, "index", index, "log_bytes_max", bound.max, "trailing_logs", trailing)
		if err := n.cutLog(trailing); err != nil {
			n.logger.Warn("the log cannot be cut", "error", err)
			pause(n.life, n.config.SnapshotInterval)
			continue
		}
		bound.compacted = bytes
	}
}

// snapshotIndex is where the newest snapshot ends, 0 without one.
func (n *Node) snapshotIndex() uint64 {
	index, _ := strconv.ParseUint(n.raft.Stats()["last_snapshot_index"], 10, 64)
	return index
}

// cutLog takes a snapshot and keeps so many entries behind it, this once.
func (n *Node) cutLog(trailing uint64) error {
	if err := n.keepTrailing(trailing); err != nil {
		return err
	}
	err := n.await(n.life, n.raft.Snapshot())
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		err = nil
	}
	return errors.Join(err, n.keepTrailing(n.config.TrailingLogs))
}

func (n *Node) keepTrailing(entries uint64) error {
	reloaded := n.raft.ReloadableConfig()
	reloaded.TrailingLogs = entries
	return n.raft.ReloadConfig(reloaded)
}
