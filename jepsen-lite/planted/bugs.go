//go:build jepsen && planted

package planted

import (
	"fmt"

	"tally/fsm"
	"tally/httpapi"
	"tally/jepsen-lite/journal"
	"tally/node"
	"tally/storage"
)

// Bug is one mistake.
type Bug struct {
	Name string
	Does string

	// One of these makes it; none, if it is made inside.
	rule    rule
	backend func(*backend)
	told    func(*told)
	disk    func(s *storage.Store, dir string)
}

// Bugs returns all of them.
func Bugs() []Bug {
	return []Bug{
		{Name: "follower-read", Does: "every node answers from what it has applied, without asking the leader", backend: readsLocally},
		{Name: "deposed-read", Does: "who takes itself for the leader answers without asking a majority", backend: readsAsLeader},
		{Name: "torn-read", Does: "one counter of a reading is of an earlier revision than the others", backend: tearsReadings},
		{Name: "early-ack", Does: "a change that takes longer than 50 ms is acknowledged before it is committed", backend: acknowledgesEarly},
		{Name: "ok-for-nothing", Does: "some increases are acknowledged and not proposed", backend: acknowledgesNothing},
		{Name: "fail-for-unknown", Does: "where nobody knows the outcome, the caller is told that nothing happened", backend: hidesDoubt},
		{Name: "wrong-revision", Does: "some answers have the revision of the entry before", backend: shiftsRevisions},

		{Name: "double-apply", Does: "some increases count twice", rule: applyTwice},
		{Name: "key-ignored", Does: "idempotency keys are not looked at", rule: ignoreKey},
		{Name: "table-in-log-order", Does: "requests are forgotten in the order of the log, whatever their keys' times"},
		{Name: "overflow-wraps", Does: "an increase beyond int64 wraps", rule: wrap},
		{Name: "overflow-clamps", Does: "an increase beyond int64 gives the last number there is", rule: clamp},
		{Name: "decrease-negates", Does: "a decrease by d is an increase by -d, wrong for the smallest int64", rule: negate},
		{Name: "half-batch", Does: "of a batch that is refused, what came before the refused operation stays"},
		{Name: "condition-ignored", Does: "a conditional set is made whatever the revision is", rule: ignoreCondition},
		{Name: "delete-leaves-key", Does: "deleting all counters of a group leaves the last of several", rule: leaveKey},
		{Name: "node-differs", Does: "one node adds one more now and then", rule: differ},

		{Name: "snapshot-without-table", Does: "who restores a snapshot forgets the idempotency table"},
		{Name: "snapshot-without-group", Does: "who restores a snapshot forgets one group"},
		{Name: "late-log", Does: "log entries are acknowledged up to 250 ms before they are written", disk: writeLate},
		{Name: "unsynced-log", Does: "what is written to log and votes is synced up to 250 ms later", disk: syncLate},
		{Name: "term-forgotten", Does: "term and vote are kept in memory", disk: forgetTerms},
		{Name: "wiped-accepted", Does: "a node without its disk comes back as if nothing had happened", disk: keepIncarnation},

		{Name: "event-dropped", Does: "some events are not told", told: dropEvents},
		{Name: "event-twice", Does: "some events are told twice", told: repeatEvents},
		{Name: "event-swapped", Does: "some events are told after the next one", told: swapEvents},
		{Name: "no-reset", Does: "watchers are not told that a snapshot has replaced the state", told: hideRestores},
		{Name: "limit-forgotten", Does: "a new leader does not know what its predecessor has counted", told: forgetCalls},
	}
}

// Plant lets the node of a config make the mistake with a name. The result takes
// the state machine's place under the journal.
func Plant(config *node.Config, name string) (func(*fsm.Machine) journal.Machine, error) {
	honest := func(m *fsm.Machine) journal.Machine { return m }
	if name == "" {
		return honest, nil
	}
	bug, err := find(name)
	if err != nil {
		return nil, err
	}
	id := config.NodeID
	switch {
	case bug.backend != nil:
		config.Between.Backend = func(inner httpapi.Backend) httpapi.Backend {
			b := &backend{Backend: inner, id: id}
			bug.backend(b)
			return b
		}
	case bug.told != nil:
		config.Between.Publisher = func(inner fsm.Publisher) fsm.Publisher {
			t := &told{Publisher: inner}
			bug.told(t)
			return t
		}
		config.Between.Meter = func(inner fsm.Meter) fsm.Meter {
			t := &told{Meter: inner}
			bug.told(t)
			return meter{t}
		}
	case bug.disk != nil:
		config.OpenStorage = func(c storage.Config) (*storage.Store, error) {
			store, err := storage.Open(c)
			if err == nil {
				bug.disk(store, c.Dir)
			}
			return store, err
		}
	case bug.rule != nil:
		return func(m *fsm.Machine) journal.Machine { return &machine{Machine: m, id: id, rule: bug.rule} }, nil
	}
	return honest, nil
}

func find(name string) (Bug, error) {
	for _, bug := range Bugs() {
		if bug.Name == name {
			return bug, nil
		}
	}
	return Bug{}, fmt.Errorf("there is no planted bug %q", name)
}
