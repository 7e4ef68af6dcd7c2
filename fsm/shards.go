package fsm

import (
	"maps"
	"slices"

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
	count  int      // of groups
	epoch  uint64   // of the maps that are made now
	shared uint64   // maps of this epoch and of older ones are held by a view
	views  []uint64 // epochs of the views that are out
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

func newShards() *shards { return &shards{epoch: 1} }

func (s *shards) get(name groupName) group { return s.shards[name.shard()].groups[name.id] }

// put stores g, or removes the group when g does not exist. The ID must not be
// part of a longer string that deserves to be forgotten.
func (s *shards) put(name groupName, g group) {
	sh := &s.shards[name.shard()]
	switch {
	case sh.groups == nil:
		sh.groups, sh.epoch = make(map[string]group), s.epoch
	case sh.epoch <= s.shared:
		sh.groups, sh.epoch = maps.Clone(sh.groups), s.epoch
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
	v := &view{epoch: s.epoch, count: s.count}
	for i := range s.shards {
		v.groups[i] = s.shards[i].groups
	}
	s.views = append(s.views, s.epoch)
	s.shared = s.epoch
	s.epoch++
	return v
}

// thaw ends the use of a view, exactly once: maps that no other view holds are
// changed in place again.
func (s *shards) thaw(v *view) {
	at := slices.Index(s.views, v.epoch)
	s.views = slices.Delete(s.views, at, at+1)
	s.shared = 0
	if len(s.views) > 0 {
		s.shared = slices.Max(s.views)
	}
}
