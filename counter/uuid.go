package counter

import "encoding/hex"

// UUIDv7 is a UUID of version 7 (RFC 9562, section 5.7): a time, then random
// bits. An idempotency key of this form tells by itself how old it is.
type UUIDv7 [16]byte

// ParseUUIDv7 reads the text form of RFC 9562, section 4: hexadecimal digits,
// of either case, in groups of 8-4-4-4-12. ok is false for everything else:
// another version or variant, braces, a URN's prefix, hyphens elsewhere or none.
// Texts that differ only in case are one UUID.
func ParseUUIDv7(text string) (id UUIDv7, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return UUIDv7{}, false
	}
	at := 0
	for _, digits := range [...]string{text[0:8], text[9:13], text[14:18], text[19:23], text[24:36]} {
		n, err := hex.Decode(id[at:], []byte(digits))
		if err != nil {
			return UUIDv7{}, false
		}
		at += n
	}
	if version, variant := id[6]>>4, id[8]>>6; version != 7 || variant != 0b10 {
		return UUIDv7{}, false
	}
	return id, true
}

// TimeMs returns when the UUID was made by the clock of who made it, in Unix
// milliseconds: 0 to 2^48-1.
func (u UUIDv7) TimeMs() int64 {
	var ms int64
	for _, b := range u[:6] {
		ms = ms<<8 | int64(b)
	}
	return ms
}
