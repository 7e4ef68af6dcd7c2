package fsm

import "github.com/cespare/xxhash/v2"

// A shape is a list of keys, sorted and without repetition. Groups that have
// the same keys share one shape: most applications use the same few keys in
// every group, and the keys would take more memory than the values.
//
// All but references is immutable, and may be read without a lock.
type shape struct {
	keys  string // the keys one after the other, each as text
	hash  uint64 // of keys
	count int    // of keys

	references int // groups that have it; owned by shapes
}

// find returns the position of key, or -1.
func (s *shape) find(key string) int {
	text := s.keys
	for position := 0; position < s.count; position++ {
		length, at := uvarintAt(text, 0)
		end := at + int(length)
		if text[at:end] == key {
			return position
		}
		text = text[end:]
	}
	return -1
}

// shapes are all the shapes that some group has, each once.
type shapes struct {
	byKeys map[string]*shape
}

func newShapes() shapes { return shapes{byKeys: make(map[string]*shape)} }

// intern returns the shape with these encoded keys. It is nobody's until it is
// acquired: use it in the same change, or forget it.
func (s *shapes) intern(keys []byte, count int) *shape {
	if known := s.byKeys[string(keys)]; known != nil {
		return known
	}
	text := string(keys)
	return &shape{keys: text, hash: xxhash.Sum64String(text), count: count}
}

// acquire counts one more group that has the shape.
func (s *shapes) acquire(sh *shape) {
	if sh.references == 0 {
		s.byKeys[sh.keys] = sh
	}
	sh.references++
}

// release counts one group less and forgets a shape that no group has. A
// snapshot that still holds such a shape keeps it alive for itself.
func (s *shapes) release(sh *shape) {
	sh.references--
	if sh.references == 0 {
		delete(s.byKeys, sh.keys)
	}
}
