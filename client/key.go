package client

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync/atomic"
	"time"
)

// clock is the cluster's time as far as known: that of this machine, until a
// node says that a key which was made by it is of the wrong time.
type clock struct {
	offset atomic.Int64 // what to add to this machine's clock, in nanoseconds
}

// set takes the cluster's time, in Unix milliseconds.
func (c *clock) set(serverTimeMs int64) {
	c.offset.Store(int64(time.Until(time.UnixMilli(serverTimeMs))))
}

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// NewIdempotencyKey makes a key for [IdempotencyKey]: a UUIDv7, with the
// cluster's time as far as the client knows it.
func (c *Client) NewIdempotencyKey() string { return newUUIDv7(c.clock.now()) }

// newUUIDv7 makes a UUID of version 7 (RFC 9562, section 5.7):
//
//	 0             5 6             7 8             9          15
//	+---------------+---------------+---------------+-----------+
//	| Unix time, ms | 0111 | random | 10 | random   |  random   |
//	+---------------+---------------+---------------+-----------+
func newUUIDv7(now time.Time) string {
	var id [16]byte
	_, _ = rand.Read(id[6:]) // it never fails: see package crypto/rand
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, now.UnixMilli())))
	copy(id[:6], ms[2:])
	id[6] = 0x70 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	text := make([]byte, 0, 36)
	for i, end := range []int{4, 6, 8, 10, 16} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, id[(len(text)-i)/2:end])
	}
	return string(text)
}
