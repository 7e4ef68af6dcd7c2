package identity

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// The cache is bounded, and keeps what is asked for.
func TestCacheIsBounded(t *testing.T) {
	sum := func(i int) (s [sha256.Size]byte) {
		binary.BigEndian.PutUint64(s[:], uint64(i))
		return s
	}
	var c cache
	for i := range 3 * cacheTokensMax {
		c.put(sum(i), Principal{User: "ann"})
		if p, ok := c.get(sum(0)); !ok || p.User != "ann" {
			t.Fatalf("a token that is in use is forgotten after %d others", i)
		}
		if n := len(c.young) + len(c.old); n > cacheTokensMax {
			t.Fatalf("%d tokens are remembered, at most %d may be", n, cacheTokensMax)
		}
	}
	if _, ok := c.get(sum(1)); ok {
		t.Fatal("a token that nobody uses is remembered for ever")
	}
}

// forgetTokens makes the verifier check every signature again, for benchmarks.
func (v *Verifier) forgetTokens() { v.verified = cache{} }
