package httpapi

import (
	"encoding/base64"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"tally/counter"
)

// Replies are appended to the call's buffer, field by field in the order of the
// documentation. Revisions are always JSON numbers: they are log indexes, which
// stay below 2^53 for longer than any cluster lives, so JavaScript reads them
// exactly. Values can be any int64; quoted makes them decimal strings.

// appendReading appends {"group","revision","modRevision","counters"}.
func appendReading(out []byte, r *counter.Reading, quoted bool) []byte {
	out = appendCut(out, r)
	out = appendCounters(out, r.Counters, quoted)
	return append(out, "}\n"...)
}

// appendCounterReading appends {"group","revision","modRevision","key","value"}.
func appendCounterReading(out []byte, r *counter.Reading, quoted bool) []byte {
	out = appendCut(out, r)
	out = appendKeyValue(out, r.Counters[0], quoted)
	return append(out, "}\n"...)
}

// appendCut appends what every reading begins with.
func appendCut(out []byte, r *counter.Reading) []byte {
	out = append(out, `{"group":`...)
	out = appendString(out, r.Group)
	out = append(out, `,"revision":`...)
	out = strconv.AppendUint(out, r.Revision, 10)
	out = append(out, `,"modRevision":`...)
	return strconv.AppendUint(out, r.ModRevision, 10)
}

// appendChange appends {"group","revision","counters"}.
func appendChange(out []byte, r *counter.Result, quoted bool) []byte {
	out = appendGroupRevision(out, r)
	out = appendCounters(out, r.Outcomes[0].Counters, quoted)
	return append(out, "}\n"...)
}

// appendCounterChange appends {"group","revision","key","value","counters"}.
func appendCounterChange(out []byte, r *counter.Result, quoted bool) []byte {
	out = appendGroupRevision(out, r)
	for _, one := range r.Outcomes[0].Counters {
		out = appendKeyValue(out, one, quoted)
	}
	out = appendCounters(out, r.Outcomes[0].Counters, quoted)
	return append(out, "}\n"...)
}

// appendRemoval appends {"group","revision","deleted"}.
func appendRemoval(out []byte, r *counter.Result) []byte {
	out = appendGroupRevision(out, r)
	out = appendDeleted(out, r.Outcomes[0].Deleted)
	return append(out, "}\n"...)
}

func appendGroupRevision(out []byte, r *counter.Result) []byte {
	out = append(out, `{"group":`...)
	out = appendString(out, r.Outcomes[0].Group)
	out = append(out, `,"revision":`...)
	return strconv.AppendUint(out, r.Revision, 10)
}

// appendBatch appends {"revision","results"}: an operation that deleted has
// "deleted", every other one "counters".
func appendBatch(out []byte, r *counter.Result, quoted bool) []byte {
	out = append(out, `{"revision":`...)
	out = strconv.AppendUint(out, r.Revision, 10)
	out = append(out, `,"results":[`...)
	for i, outcome := range r.Outcomes {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"group":`...)
		out = appendString(out, outcome.Group)
		if outcome.Counters != nil {
			out = appendCounters(out, outcome.Counters, quoted)
		} else {
			out = appendDeleted(out, outcome.Deleted)
		}
		out = append(out, '}')
	}
	return append(out, "]}\n"...)
}

// appendGroups appends {"groups","next"}, without next if there are no more.
func appendGroups(out []byte, groups []counter.GroupSummary, more bool) []byte {
	out = append(out, `{"groups":[`...)
	for i, g := range groups {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"group":`...)
		out = appendString(out, g.Group)
		out = append(out, `,"size":`...)
		out = strconv.AppendInt(out, int64(g.Size), 10)
		out = append(out, `,"modRevision":`...)
		out = strconv.AppendUint(out, g.ModRevision, 10)
		out = append(out, '}')
	}
	out = append(out, ']')
	if more && len(groups) > 0 {
		out = append(out, `,"next":"`...)
		out = append(out, encodeCursor(groups[len(groups)-1].Group)...)
		out = append(out, '"')
	}
	return append(out, "}\n"...)
}

func appendCounters(out []byte, list []counter.Counter, quoted bool) []byte {
	out = append(out, `,"counters":{`...)
	for i, one := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, one.Key)
		out = append(out, ':')
		out = appendValue(out, one.Value, quoted)
	}
	return append(out, '}')
}

func appendKeyValue(out []byte, one counter.Counter, quoted bool) []byte {
	out = append(out, `,"key":`...)
	out = appendString(out, one.Key)
	out = append(out, `,"value":`...)
	return appendValue(out, one.Value, quoted)
}

func appendDeleted(out []byte, keys []string) []byte {
	out = append(out, `,"deleted":[`...)
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, key)
	}
	return append(out, ']')
}

func appendValue(out []byte, value int64, quoted bool) []byte {
	if !quoted {
		return strconv.AppendInt(out, value, 10)
	}
	out = append(out, '"')
	out = strconv.AppendInt(out, value, 10)
	return append(out, '"')
}

// appendString appends a JSON string. Invalid UTF-8, which only texts of errors
// could hold, becomes U+FFFD; the error that tells of it is of no use here.
func appendString(out []byte, text string) []byte {
	out, _ = jsontext.AppendQuote(out, text)
	return out
}

// A cursor is the group ID after which a listing goes on, in base64 so that
// nobody takes it for anything but what it is: opaque.

func encodeCursor(group string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(group))
}

func decodeCursor(cursor string) (group string, ok bool) {
	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	group = string(decoded)
	return group, err == nil && counter.CheckGroup(group) == nil
}
