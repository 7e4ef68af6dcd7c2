package fsm

import (
	"maps"

	"github.com/cespare/xxhash/v2"
)

// shardCount is into how many maps the groups are divided: as many as make one
// of them quick to copy, and all of them quick to list. The shard of a group is
// the same on every node, so that snapshots are equal to the byte.
const shardCount = 1024

// groupName is the ID of a group with its hash, which decides its shard and is
// part of the state hash.
type groupName struct {
	id   string
	hash uint64
}

func nameOf(id string) groupName { return groupName{id: id, hash: xxhash.Sum64String(id)} }

func (n groupName) shard() int { return int(n.hash % shardCount) }

// shards are all groups, copy on write. freeze hands out all maps as they are
// at the cost of copying shardCount pointers; the first change of a map that a
// frozen view still holds copies that one map.
//
// It has no lock: the owner calls freeze, thaw and put under its own. What a
// view holds never changes and is read without any.
type shards struct {
	shards [shardCount]shard
	count  int // of groups
	epochs epochs
}

type shard struct {
	groups map[string]group
	epoch  uint64 // when the map was made
}

// view is all groups at one moment.
type view struct {
	epoch  uint64
	count  int
	groups [shardCount]map[string]group
}

func newShards() *shards { return &shards{epochs: newEpochs()} }

func (s *shards) get(name groupName) group { return s.shards[name.shard()].groups[name.id] }

// put stores g, or removes the group when g does not exist. The ID must not be
// part of a longer string that deserves to be forgotten.
func (s *shards) put(name groupName, g group) {
	sh := &s.shards[name.shard()]
	switch {
	case sh.groups == nil:
		sh.groups, sh.epoch = make(map[string]group), s.epochs.current
	case s.epochs.isShared(sh.epoch):
		sh.groups, sh.epoch = maps.Clone(sh.groups), s.epochs.current
	}
	sizeBefore := len(sh.groups)
	if g.exists() {
		sh.groups[name.id] = g
	} else {
		delete(sh.groups, name.id)
	}
	s.count += len(sh.groups) - sizeBefore
}

// freeze returns all groups as they are now. Call thaw when done with it.
func (s *shards) freeze() *view {
	v := &view{epoch: s.epochs.freeze(), count: s.count}
	for i := range s.shards {
		v.groups[i] = s.shards[i].groups
	}
	return v
}

// thaw ends the use of a view, exactly once.
func (s *shards) thaw(v *view) { s.epochs.thaw(v.epoch) }
