package httpapi

import (
	"bytes"
	"strconv"

	"tally/counter"
	"tally/watch"
)

// EncodeEvents is what a hub's watch.Config.Encode must be: it writes events as
// they stand in replies, with commas between them and nothing around them. The
// hub keeps the result for all who watch.
func EncodeEvents(events []counter.Event) []byte {
	var scratch [512]byte // so that what is kept is exactly as long as it must be
	return bytes.Clone(appendEvents(scratch[:0], events, false))
}

func appendEvents(out []byte, events []counter.Event, quoted bool) []byte {
	for i := range events {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendEvent(out, &events[i], quoted)
	}
	return out
}

// appendEvent appends {"revision","type","group","key","value","delta","user","timeMs"}:
// value is absent where the counter is gone, delta is there for increases and
// decreases only, and user is absent for the anonymous caller.
func appendEvent(out []byte, e *counter.Event, quoted bool) []byte {
	out = append(out, `{"revision":`...)
	out = strconv.AppendUint(out, e.Revision, 10)
	out = append(out, `,"type":"`...)
	out = append(out, e.Kind.String()...)
	out = append(out, `","group":`...)
	out = appendString(out, e.Group)
	out = append(out, `,"key":`...)
	out = appendString(out, e.Key)
	if e.Kind != counter.Delete {
		out = append(out, `,"value":`...)
		out = appendValue(out, e.Value, quoted)
	}
	if e.Kind == counter.Increase || e.Kind == counter.Decrease {
		out = append(out, `,"delta":`...)
		out = appendValue(out, e.Delta, quoted)
	}
	out = appendStringField(out, "user", e.User)
	out = append(out, `,"timeMs":`...)
	out = strconv.AppendInt(out, e.TimeMs, 10)
	return append(out, '}')
}

// appendReset appends {"type":"reset","group","revision","counters"}.
func appendReset(out []byte, r *counter.Reading, quoted bool) []byte {
	out = append(out, `{"type":"reset","group":`...)
	out = appendString(out, r.Group)
	out = append(out, `,"revision":`...)
	out = strconv.AppendUint(out, r.Revision, 10)
	out = appendCounters(out, r.Counters, quoted)
	return append(out, '}')
}

func appendChanges(out []byte, changes []watch.Change, quoted bool) []byte {
	for i := range changes {
		if i > 0 {
			out = append(out, ',')
		}
		switch change := &changes[i]; {
		case change.Reset != nil:
			out = appendReset(out, change.Reset, quoted)
		case quoted:
			out = appendEvents(out, change.Events, quoted)
		default:
			out = append(out, change.Encoded()...)
		}
	}
	return out
}
