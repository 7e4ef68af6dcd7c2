package memdisk

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/raft"

	"tally/storage"
)

// file is one file of the disk as a process writes it and as it would be found
// after a power loss. Guarded by Disk.mu.
type file[T interface{ clone() T }] struct {
	volatile T
	durable  T
	unsynced []func(*T) // the changes that volatile has and durable has not
}

func newFile[T interface{ clone() T }](content T) file[T] {
	return file[T]{volatile: content.clone(), durable: content.clone()}
}

// change changes the file, and makes it durable with all before it if synced.
func (f *file[T]) change(mutate func(*T), synced bool) {
	mutate(&f.volatile)
	f.unsynced = append(f.unsynced, mutate)
	if !synced {
		return
	}
	for _, mutate := range f.unsynced {
		mutate(&f.durable)
	}
	f.unsynced = nil
}

// image is all that is on a disk.
type image struct {
	log       logImage
	stable    stableImage
	identity  identityImage
	snapshots snapshotsImage
}

// logImage holds entries in the order of their indexes, which may have gaps.
type logImage struct {
	entries []*raft.Log // never changed in place, so images share them
}

func (img logImage) clone() logImage { return logImage{slices.Clone(img.entries)} }

// find returns where index is, or would be.
func (img *logImage) find(index uint64) (int, bool) {
	// Gaps are rare: most often an entry is where its index says.
	if n := len(img.entries); n > 0 && index >= img.entries[0].Index {
		if at := index - img.entries[0].Index; at < uint64(n) && img.entries[at].Index == index {
			return int(at), true
		}
	}
	return slices.BinarySearchFunc(img.entries, index, func(entry *raft.Log, index uint64) int {
		return cmp.Compare(entry.Index, index)
	})
}

// continuedBy says that the entries are consecutive and follow the last.
func (img *logImage) continuedBy(entries []*raft.Log) bool {
	for i, entry := range entries {
		switch {
		case i > 0 && entry.Index != entries[i-1].Index+1:
			return false
		case i == 0 && len(img.entries) > 0 && entry.Index != img.entries[len(img.entries)-1].Index+1:
			return false
		}
	}
	return true
}

func (img *logImage) store(entries []*raft.Log) {
	for _, entry := range entries {
		at, found := img.find(entry.Index)
		if found {
			img.entries[at] = entry
		} else {
			img.entries = slices.Insert(img.entries, at, entry)
		}
	}
}

func (img *logImage) deleteRange(minimum, maximum uint64) {
	from, _ := img.find(minimum)
	to, found := img.find(maximum)
	if found {
		to++
	}
	if from < to {
		img.entries = slices.Delete(img.entries, from, to)
	}
}

func cloneEntry(entry *raft.Log) *raft.Log {
	clone := *entry
	clone.Data = bytes.Clone(entry.Data)
	clone.Extensions = bytes.Clone(entry.Extensions)
	return &clone
}

// stableImage holds the stable store's values by key.
type stableImage struct {
	values map[string][]byte // values are never changed in place
}

func (img stableImage) clone() stableImage {
	values := maps.Clone(img.values)
	if values == nil {
		values = map[string][]byte{}
	}
	return stableImage{values}
}

// identityImage holds the identity, nil before the first Save.
type identityImage struct {
	saved *storage.Identity
}

func (img identityImage) clone() identityImage { return img }

// snapshotsImage holds the finished snapshots, newest first.
type snapshotsImage struct {
	list []*snapshot // never changed in place
}

func (img snapshotsImage) clone() snapshotsImage { return snapshotsImage{slices.Clone(img.list)} }

func (img *snapshotsImage) add(s *snapshot) {
	img.list = append(img.list, s)
	slices.SortFunc(img.list, func(a, b *snapshot) int {
		return -cmp.Or(cmp.Compare(a.meta.Term, b.meta.Term), cmp.Compare(a.meta.Index, b.meta.Index), cmp.Compare(a.number, b.number))
	})
	if len(img.list) > snapshotsRetained {
		img.list = img.list[:snapshotsRetained]
	}
}

// snapshotsRetained is how many snapshots are kept, as on a real disk.
const snapshotsRetained = 2

type snapshot struct {
	number  int // in the order of creation
	meta    raft.SnapshotMeta
	content []byte
}
