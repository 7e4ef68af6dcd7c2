package storage

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The bytes of a vote on the disk never change without a new version.
func TestVoteBytes(t *testing.T) {
	const golden = "01" + "0000000000000007" + "6e323a39313032" + "39c8a235"
	got := hex.EncodeToString(vote{term: 7, candidate: []byte("n2:9102")}.append(nil))
	if got != golden {
		t.Errorf("got %s, want %s", got, golden)
	}
}

func FuzzDecodeVote(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(vote{term: 7, candidate: []byte("n2:9102")}.append(nil))
	f.Add(vote{}.append(nil))
	f.Fuzz(func(t *testing.T, record []byte) {
		v, err := decodeVote(record)
		if err != nil {
			return
		}
		if v.candidate == nil {
			t.Error("the candidate is nil, which Raft takes for no vote")
		}
		if again := v.append(nil); !bytes.Equal(again, record) {
			t.Errorf("%x decodes to %+v, which encodes to %x", record, v, again)
		}
	})
}
