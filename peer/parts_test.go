package peer_test

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"tally/peer/pipenet"
)

// TestEntriesGoInMessagesOfBoundedSize: the library bounds a message by the number
// of its entries alone. A node that was away while batches of a megabyte came would
// be sent a gigabyte at once, in two seconds, and have to write it in one go.
func TestEntriesGoInMessagesOfBoundedSize(t *testing.T) {
	const entries, entryBytes, partMax = 40, 256 << 10, 1 << 20
	for _, test := range []struct {
		name     string
		answers  func(last uint64) (success bool, err error)
		want     uint64 // up to which entry the follower is sent
		accepted bool
		failed   bool
	}{
		{"all accepted", func(uint64) (bool, error) { return true, nil }, 10 + entries, true, false},
		{"the end refused", func(last uint64) (bool, error) { return last < 20, nil }, 22, false, false},
		{"an error in the middle", func(last uint64) (bool, error) {
			if last < 20 {
				return true, nil
			}
			return false, errors.New("its disk is gone")
		}, 22, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				n1, n2, end := twoTransports(t, pipenet.New(), false)
				defer end()
				request := raft.AppendEntriesRequest{RPCHeader: header("n1"), Term: 7, PrevLogEntry: 10, PrevLogTerm: 10, LeaderCommitIndex: 100}
				for index := uint64(11); index <= 10+entries; index++ {
					request.Entries = append(request.Entries, &raft.Log{Index: index, Term: index, Data: make([]byte, entryBytes)})
				}
				stop, last := make(chan struct{}), uint64(10)
				follower := make(chan struct{})
				go func() {
					defer close(follower)
					for {
						select {
						case rpc := <-n2.Consumer():
							got := rpc.Command.(*raft.AppendEntriesRequest)
							if got.PrevLogEntry != last || got.PrevLogTerm != last || got.Term != 7 || string(got.ID) != "n1" {
								t.Errorf("after %d comes a message that follows %d of term %d", last, got.PrevLogEntry, got.PrevLogTerm)
							}
							size := 0
							for _, e := range got.Entries {
								size += len(e.Data)
								last = e.Index
							}
							if size > partMax {
								t.Errorf("a message with %d KiB of entries", size>>10)
							}
							if got.LeaderCommitIndex != last {
								t.Errorf("with entries up to %d, up to %d may be committed", last, got.LeaderCommitIndex)
							}
							success, err := test.answers(last)
							rpc.Respond(&raft.AppendEntriesResponse{Term: 7, Success: success, LastLog: last}, err)
						case <-stop:
							return
						}
					}
				}()
				var answer raft.AppendEntriesResponse
				err := n1.AppendEntries("n2", "n2:9101", &request, &answer)
				close(stop)
				<-follower
				switch {
				case (err != nil) != test.failed:
					t.Errorf("error %v", err)
				case err == nil && (answer.Success != test.accepted || answer.LastLog != last):
					t.Errorf("the leader is told %+v", answer)
				case last != test.want:
					t.Errorf("sent up to %d, want %d", last, test.want)
				case len(request.Entries) != entries || request.PrevLogEntry != 10:
					t.Error("the leader's own request was changed")
				}
			})
		})
	}
}
