//go:build linux

package nemesis

import (
	"testing"

	"tally/counter"
)

// A change of the members counts when the leader that shows it has committed it.
func TestSettled(t *testing.T) {
	const leads, follows = true, false
	view := func(node string, leader bool, term, last, commit uint64) counter.Cluster {
		v := counter.Cluster{Node: node, Term: term, Members: []counter.Member{{ID: node, LastIndex: last, CommitIndex: commit}}}
		if leader {
			v.Leader = &counter.Leader{ID: node}
		}
		return v
	}
	type step struct {
		view  counter.Cluster
		shown bool
	}
	for _, test := range []struct {
		name  string
		steps []step
		want  bool // of the last step; all before are false
	}{
		// The first view may have been taken while the change was appended.
		{"shown once", []step{{view("n1", leads, 1, 9, 9), true}}, false},
		{"nothing is under way", []step{{view("n1", leads, 1, 9, 9), true}, {view("n1", leads, 1, 9, 9), true}}, true},
		{"not committed", []step{{view("n1", leads, 1, 9, 8), true}, {view("n1", leads, 1, 9, 8), true}, {view("n1", leads, 1, 12, 8), true}}, false},
		{"committed later", []step{{view("n1", leads, 1, 9, 8), true}, {view("n1", leads, 1, 10, 8), true}, {view("n1", leads, 1, 14, 10), true}}, true},
		{"another leader", []step{{view("n1", leads, 1, 9, 8), true}, {view("n2", leads, 2, 9, 9), true}}, false},
		{"another term", []step{{view("n1", leads, 1, 9, 8), true}, {view("n1", leads, 3, 9, 9), true}}, false},
		{"gone again", []step{{view("n1", leads, 1, 9, 8), true}, {view("n1", leads, 1, 9, 9), false}, {view("n1", leads, 1, 9, 9), true}}, false},
		{"by the word of a follower", []step{{view("n1", follows, 1, 9, 9), true}, {view("n1", follows, 1, 9, 9), true}}, false},
	} {
		var s settling
		for at, step := range test.steps {
			if got, want := s.settled(step.view, step.shown), test.want && at == len(test.steps)-1; got != want {
				t.Errorf("%s: view %d: settled %v, want %v", test.name, at+1, got, want)
			}
		}
	}
}
