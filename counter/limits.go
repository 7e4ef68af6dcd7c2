package counter

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of the state machine. They are constants because every node must
// decide alike: changing one is a change of the command format.
const (
	// GroupCountersMax is how many counters one group can hold.
	GroupCountersMax = 20
	// KeyCharactersMax is the longest key, in Unicode code points.
	KeyCharactersMax = 128
	// GroupBytesMax is the longest group ID, in bytes of UTF-8.
	GroupBytesMax = 128
	// BatchOperationsMax is how many operations one batch can hold.
	BatchOperationsMax = 1000
	// DeleteKeysMax is how many keys one delete can name: more than a group can
	// hold makes sense, because missing keys are not an error.
	DeleteKeysMax = 100
	// IdempotencyKeyCharactersMax is the longest idempotency key, in Unicode code points.
	IdempotencyKeyCharactersMax = 128
	// UserBytesMax is the longest user name, in bytes of UTF-8.
	UserBytesMax = 128
	// NodeIDBytesMax is the longest node ID.
	NodeIDBytesMax = 64
	// RequestIDBytesMax is the longest request ID, in bytes.
	RequestIDBytesMax = 128
)

// CheckKey says why key cannot name a counter, or returns nil. A key has 1 to
// KeyCharactersMax code points of valid UTF-8 and no control character.
func CheckKey(key string) *Error {
	switch {
	case isPlain(key) && 0 < len(key) && len(key) <= KeyCharactersMax:
		return nil
	case key == "":
		return Errorf(InvalidKey, "the key is empty; give it 1 to %d characters", KeyCharactersMax)
	case !utf8.ValidString(key):
		return Errorf(InvalidKey, "the key is not valid UTF-8; encode it as UTF-8")
	case strings.ContainsFunc(key, unicode.IsControl):
		return Errorf(InvalidKey, "the key %s has a control character; take it out", quote(key))
	case len(key) > KeyCharactersMax && utf8.RuneCountInString(key) > KeyCharactersMax:
		return Errorf(InvalidKey, "the key has %d characters; at most %d are allowed", utf8.RuneCountInString(key), KeyCharactersMax)
	}
	return nil
}

// CheckGroup says why group cannot name a group, or returns nil. A group ID has
// 1 to GroupBytesMax bytes of valid UTF-8, no control character, and is neither
// "." nor "..", which proxies and URL parsers would swallow.
func CheckGroup(group string) *Error {
	switch {
	case isPlain(group) && 0 < len(group) && len(group) <= GroupBytesMax && group[0] != '.':
		return nil
	case group == "":
		return Errorf(InvalidGroup, "the group ID is empty; give it 1 to %d bytes", GroupBytesMax)
	case len(group) > GroupBytesMax:
		return Errorf(InvalidGroup, "the group ID has %d bytes; at most %d are allowed", len(group), GroupBytesMax)
	case !utf8.ValidString(group):
		return Errorf(InvalidGroup, "the group ID is not valid UTF-8; encode it as UTF-8")
	case strings.ContainsFunc(group, unicode.IsControl):
		return Errorf(InvalidGroup, "the group ID %s has a control character; take it out", quote(group))
	case group == "." || group == "..":
		return Errorf(InvalidGroup, "the group ID %q is a path segment that proxies remove; choose another name", group)
	}
	return nil
}

// isPlain says that text is printable ASCII, so that there is nothing else to
// say about its characters. Nearly all names are, and each is checked by every node.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// CheckUser says why user cannot name a caller, or returns nil. The empty name
// is the anonymous caller.
func CheckUser(user string) *Error {
	if len(user) > UserBytesMax || !utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl) {
		return Errorf(InvalidRequest, "the user name must be at most %d bytes of UTF-8 without control characters", UserBytesMax)
	}
	return nil
}

// CheckNodeID says why id cannot name a node, or returns nil.
func CheckNodeID(id string) *Error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if id == "" || len(id) > NodeIDBytesMax || strings.Trim(id, allowed) != "" {
		return Errorf(InvalidRequest, "the node ID %s is not 1 to %d letters, digits, '.', '_' or '-'", quote(id), NodeIDBytesMax).WithParam("id")
	}
	return nil
}

// CheckIdempotencyKey says why key cannot mark the attempts of a request, or
// returns nil. The empty key means that there is none.
func CheckIdempotencyKey(key string) *Error {
	if utf8.RuneCountInString(key) > IdempotencyKeyCharactersMax || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
		return Errorf(InvalidRequest, "the idempotency key must be at most %d characters of UTF-8 without control characters; make a UUID", IdempotencyKeyCharactersMax)
	}
	return nil
}

// ParseValue reads an int64 in plain decimal: -?(0|[1-9][0-9]*). Signs, spaces,
// leading zeros, fractions and exponents are refused, so that a value has one
// spelling and none is rounded on the way.
func ParseValue(text string) (int64, *Error) {
	digits := strings.TrimPrefix(text, "-")
	plain := digits != "" && (digits == "0" || digits[0] != '0')
	for _, c := range []byte(digits) {
		plain = plain && '0' <= c && c <= '9'
	}
	if !plain {
		return 0, Errorf(InvalidValue, "%s is not a whole number in plain decimal, such as 7, -7 or \"7\"", quote(text))
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, Errorf(InvalidValue, "%s does not fit a signed 64-bit integer (-9223372036854775808 to 9223372036854775807)", quote(text))
	}
	return value, nil
}

// quote shortens what a caller sent so that an error never repeats a whole body.
func quote(text string) string {
	const charactersMax = 40
	if utf8.RuneCountInString(text) <= charactersMax {
		return strconv.QuoteToASCII(text)
	}
	return fmt.Sprintf("%s...", strconv.QuoteToASCII(string([]rune(text)[:charactersMax])))
}
