package storage_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"tally/storage"
	"tally/storage/memdisk"
)

var (
	voteTermKey      = []byte("LastVoteTerm")
	voteCandidateKey = []byte("LastVoteCand")
)

// plain gives the disk's stores to Raft without the wrappers.
func plain(_ testing.TB, disk *memdisk.Disk) (raft.LogStore, raft.StableStore, raft.SnapshotStore) {
	backing := disk.Open()
	return backing.Log, backing.Stable, backing.Snapshots
}

// wrapped gives them with the wrappers.
func wrapped(tb testing.TB, disk *memdisk.Disk) (raft.LogStore, raft.StableStore, raft.SnapshotStore) {
	store, _ := mustAssemble(tb, disk)
	return store.Log, store.Stable, store.Snapshots
}

type opener func(testing.TB, *memdisk.Disk) (raft.LogStore, raft.StableStore, raft.SnapshotStore)

// saveVote saves one as Raft does.
func saveVote(tb testing.TB, stable raft.StableStore, term uint64, candidate string) {
	tb.Helper()
	if err := errors.Join(stable.SetUint64(voteTermKey, term), stable.Set(voteCandidateKey, []byte(candidate))); err != nil {
		tb.Fatal(err)
	}
}

// lastVote reads it as Raft does.
func lastVote(tb testing.TB, stable raft.StableStore) (uint64, string) {
	tb.Helper()
	term, err := stable.GetUint64(voteTermKey)
	if err != nil && err.Error() != "not found" {
		tb.Fatal(err)
	}
	candidate, err := stable.Get(voteCandidateKey)
	if err != nil && err.Error() != "not found" {
		tb.Fatal(err)
	}
	return term, string(candidate)
}

func TestVoteAfterCrash(t *testing.T) {
	tests := []struct {
		name          string
		open          opener
		crashAfter    storage.Operation // of the second vote
		wantTerm      uint64
		wantCandidate string
	}{
		{"plain store, between the writes", plain, storage.OpSetUint64, 6, "n1"}, // a vote that nobody gave
		{"plain store, after both", plain, storage.OpSet, 6, "n3"},
		{"vote record, between the writes", wrapped, storage.OpSetUint64, 5, "n1"},
		{"vote record, after both", wrapped, storage.OpSet, 6, "n3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk := memdisk.New()
			_, stable, _ := tt.open(t, disk)
			saveVote(t, stable, 5, "n1")
			if err := stable.SetUint64(voteTermKey, 6); err != nil {
				t.Fatal(err)
			}
			if tt.crashAfter == storage.OpSet {
				if err := stable.Set(voteCandidateKey, []byte("n3")); err != nil {
					t.Fatal(err)
				}
			}
			disk.Crash()
			_, stable, _ = tt.open(t, disk)
			if term, candidate := lastVote(t, stable); term != tt.wantTerm || candidate != tt.wantCandidate {
				t.Errorf("voted for %q in term %d, want %q in %d", candidate, term, tt.wantCandidate, tt.wantTerm)
			}
		})
	}
}

func TestVoteBetweenTheWrites(t *testing.T) {
	_, stable, _ := wrapped(t, memdisk.New())
	if term, candidate := lastVote(t, stable); term != 0 || candidate != "" {
		t.Errorf("before any vote: %q in term %d", candidate, term)
	}
	saveVote(t, stable, 5, "n1")
	if err := stable.SetUint64(voteTermKey, 6); err != nil {
		t.Fatal(err)
	}
	if term, candidate := lastVote(t, stable); term != 5 || candidate != "n1" {
		t.Errorf("between the writes: %q in term %d, want the last vote whole", candidate, term)
	}
}

func TestVoteWithoutTermStops(t *testing.T) {
	store, fatals := mustAssemble(t, memdisk.New())
	if err := store.Stable.Set(voteCandidateKey, []byte("n1")); err == nil || fatals.first() == nil {
		t.Errorf("got %v, %v", err, fatals.first())
	}
}

func TestDamagedVoteStops(t *testing.T) {
	disk := memdisk.New()
	store, fatals := mustAssemble(t, disk)
	saveVote(t, store.Stable, 5, "n1")
	if !disk.Corrupt("Vote") {
		t.Fatal("there is no vote to damage")
	}
	if _, err := store.Stable.GetUint64(voteTermKey); !errors.Is(err, storage.ErrDamaged) || !errors.Is(fatals.first(), storage.ErrDamaged) {
		t.Errorf("got %v, %v", err, fatals.first())
	}
}

// The voter n2 has an entry that n1 lacks. It voted for n1 in term 5 and loses
// power while it saves its vote for n3 in term 6. Then n1, which must not
// lead, asks for a vote in term 6 (hashicorp/raft#661).
func TestVoterAfterCrash(t *testing.T) {
	tests := []struct {
		name        string
		open        opener
		wantGranted bool
	}{
		{"plain store", plain, true}, // a leader without a committed entry
		{"vote record", wrapped, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := memdisk.New()
				prepareVoter(t, disk, tt.open)

				disk.Inject(storage.OpSet, memdisk.Fault{Call: disk.Crash, Times: 1})
				askForVote(t, disk, tt.open, "n3", 6, 3)
				if n := disk.Calls(storage.OpSet); n == 0 {
					t.Fatal("the crash did not hit the vote")
				}
				granted := askForVote(t, disk, tt.open, "n1", 6, 1)
				if granted != tt.wantGranted {
					t.Errorf("n2 grants its vote to n1: %v, want %v", granted, tt.wantGranted)
				}
			})
		})
	}
}

// prepareVoter leaves n2 with the entries 1 (the configuration) to 3 in term 4
// and a vote for n1 in term 5.
func prepareVoter(t *testing.T, disk *memdisk.Disk, open opener) {
	log, stable, _ := open(t, disk)
	configuration := raft.Configuration{}
	for _, id := range []string{"n1", "n2", "n3"} {
		configuration.Servers = append(configuration.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
	}
	logs := entries(1, 3)
	logs[0].Type = raft.LogConfiguration
	logs[0].Data = raft.EncodeConfiguration(configuration)
	for _, entry := range logs {
		entry.Term = 4
	}
	mustStore(t, log, logs)
	if err := stable.SetUint64([]byte("CurrentTerm"), 5); err != nil {
		t.Fatal(err)
	}
	saveVote(t, stable, 5, "n1")
}

// askForVote starts n2 from the disk, asks it for a vote, and stops it.
func askForVote(t *testing.T, disk *memdisk.Disk, open opener, candidate string, term, lastIndex uint64) bool {
	t.Helper()
	log, stable, snapshots := open(t, disk)
	_, voterTransport := raft.NewInmemTransport("n2")
	_, candidateTransport := raft.NewInmemTransport(raft.ServerAddress(candidate))
	candidateTransport.Connect("n2", voterTransport)

	config := raft.DefaultConfig()
	config.LocalID = "n2"
	config.Logger = hclog.NewNullLogger()
	config.HeartbeatTimeout, config.ElectionTimeout = time.Hour, time.Hour // it never stands for election itself
	voter, err := raft.NewRaft(config, &raft.MockFSM{}, log, stable, snapshots, voterTransport)
	if err != nil {
		t.Fatal(err)
	}
	request := &raft.RequestVoteRequest{
		RPCHeader:    raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(candidate), Addr: []byte(candidate)},
		Term:         term,
		LastLogIndex: lastIndex,
		LastLogTerm:  4,
	}
	var response raft.RequestVoteResponse
	if err := candidateTransport.RequestVote("n2", "n2", request, &response); err != nil {
		t.Fatal(err)
	}
	if err := voter.Shutdown().Error(); err != nil {
		t.Fatal(err)
	}
	return response.Granted
}
