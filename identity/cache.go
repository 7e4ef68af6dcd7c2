package identity

import (
	"crypto/sha256"
	"sync"
)

// cacheTokensMax bounds the tokens that are remembered.
const cacheTokensMax = 1 << 14

// cache remembers tokens that were verified, by their hash: to check an RSA or
// Ed25519 signature again with every request would cost more than the request.
// It has a young and an old half: when the young one is full it becomes the old
// one, and what was old and not asked for is forgotten. Only valid tokens get in,
// so nobody without one can push another out.
type cache struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]Principal
}

func (c *cache) get(sum [sha256.Size]byte) (Principal, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.young[sum]; ok {
		return p, true
	}
	p, ok := c.old[sum]
	if ok {
		c.putLocked(sum, p)
	}
	return p, ok
}

func (c *cache) put(sum [sha256.Size]byte, p Principal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(sum, p)
}

func (c *cache) putLocked(sum [sha256.Size]byte, p Principal) {
	if c.young == nil || len(c.young) >= cacheTokensMax/2 {
		c.young, c.old = make(map[[sha256.Size]byte]Principal), c.young
	}
	c.young[sum] = p
}
