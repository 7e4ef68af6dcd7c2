package httpapi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tally/counter"
)

// Bounds of a listing.
const (
	listLimit    = 100 // groups in one reply, unless the caller says otherwise
	listLimitMax = 1000
)

// query is what the query parameters of a request say.
type query struct {
	keys    []string // key=, in the caller's order, each once; nil if there is none
	stale   bool     // consistency=stale
	quoted  bool     // int64=string
	verbose bool
	prefix  string
	limit   int     // limit=, 0 if there is none
	cursor  *string // cursor= as it came, nil if there is none: each route reads its own kind

	groups []string       // group=, in the caller's order, each once
	start  start          // after=
	wait   *time.Duration // nil if there is none
}

// decode reads a raw query. taken names the parameters that the route takes; any
// other is refused, and all but key and group may be given once.
func (q *query) decode(raw string, taken []string) *counter.Error {
	var seen []string
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, badName := url.QueryUnescape(rawName)
		value, badValue := url.QueryUnescape(rawValue)
		if badName != nil || badValue != nil {
			return counter.Errorf(counter.InvalidRequest, "the query has a %% that is not followed by two hexadecimal digits")
		}
		if !slices.Contains(taken, name) {
			return counter.Errorf(counter.InvalidRequest, "unknown query parameter %s; %s", shorten(name), suggest(name, taken)).WithParam(printable(name))
		}
		if name != "key" && name != "group" && slices.Contains(seen, name) {
			return counter.Errorf(counter.InvalidRequest, "the query parameter %q is given twice; give it once", name).WithParam(name)
		}
		seen = append(seen, name)
		if err := q.set(name, value); err != nil {
			return err.WithParam(name)
		}
	}
	return nil
}

func (q *query) set(name, value string) *counter.Error {
	switch name {
	case "key":
		return q.addKey(value)
	case "consistency":
		return choose(&q.stale, value, "stale", "linearizable")
	case "int64":
		return choose(&q.quoted, value, "string", "number")
	case "verbose":
		return choose(&q.verbose, value, "true", "false", "")
	case "prefix":
		return q.setPrefix(value)
	case "cursor":
		q.cursor = &value
		return nil
	case "limit":
		return q.setLimit(value)
	case "group":
		return q.addGroup(value)
	case "after":
		return q.setAfter(value)
	case "wait":
		return q.setWait(value)
	case "contenttype":
		return choose(new(bool), value, "json", "")
	case "sdkappid", "identifier", "usersig", "random":
		return nil // they say who calls, which was found out before
	}
	panic("httpapi: the route table names a query parameter that no code reads: " + name)
}

// choose sets *chosen if value is yes, clears it if value is no, and takes the
// further words, if any, as yes.
func choose(chosen *bool, value, yes, no string, alsoYes ...string) *counter.Error {
	if value != yes && value != no && !slices.Contains(alsoYes, value) {
		return counter.Errorf(counter.InvalidRequest, "%s is neither %q nor %q", shorten(value), yes, no)
	}
	*chosen = value != no
	return nil
}

func (q *query) addKey(key string) (err *counter.Error) {
	q.keys, err = appendKey(q.keys, key)
	return err
}

// appendKey appends a key that is named in a list, each once.
func appendKey(keys []string, key string) ([]string, *counter.Error) {
	if err := counter.CheckKey(key); err != nil {
		return nil, err
	}
	if slices.Contains(keys, key) {
		return nil, counter.Errorf(counter.InvalidRequest, "the key %s is named twice; name each key once", shorten(key))
	}
	if len(keys) == counter.DeleteKeysMax {
		return nil, counter.Errorf(counter.InvalidRequest, "more than %d keys are named", counter.DeleteKeysMax)
	}
	return append(keys, key), nil
}

func (q *query) setPrefix(prefix string) *counter.Error {
	if len(prefix) > counter.GroupBytesMax || !utf8.ValidString(prefix) {
		return counter.Errorf(counter.InvalidRequest, "no group ID starts so; a prefix has at most %d bytes of UTF-8", counter.GroupBytesMax)
	}
	q.prefix = prefix
	return nil
}

func (q *query) setLimit(text string) *counter.Error {
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > listLimitMax {
		return counter.Errorf(counter.InvalidRequest, "%s is not a number from 1 to %d", shorten(text), listLimitMax)
	}
	q.limit = limit
	return nil
}

// printable makes what a caller sent fit to be shown as the name of a parameter.
func printable(name string) string {
	const bytesMax = 60
	return strings.ToValidUTF8(name[:min(len(name), bytesMax)], "\uFFFD")
}
