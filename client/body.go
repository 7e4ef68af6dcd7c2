package client

import (
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"tally/counter"
)

// sorted returns the counters by key, so that equal calls make equal requests:
// a node compares them when a key is repeated.
func sorted(values map[string]int64) []counter.Counter {
	list := make([]counter.Counter, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		list = append(list, counter.Counter{Key: key, Value: values[key]})
	}
	return list
}

// appendBatch appends {"operations": [...]}. The operations have passed
// counter.Mutation.Check, so their words are valid UTF-8.
func appendBatch(out []byte, operations []counter.Operation) []byte {
	out = append(out, `{"operations":[`...)
	for i := range operations {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendOperation(out, &operations[i])
	}
	return append(out, "]}"...)
}

func appendOperation(out []byte, o *counter.Operation) []byte {
	out = append(out, `{"op":"`...)
	out = append(out, o.Kind.String()...)
	out = append(out, `","group":`...)
	out = appendString(out, o.Group)
	switch {
	case o.All:
		out = append(out, `,"all":true`...)
	case o.Kind == counter.Delete:
		out = append(out, `,"keys":`...)
		out = appendStrings(out, o.Keys)
	default:
		out = append(out, `,"counters":`...)
		out = appendCounters(out, o.Counters)
	}
	return append(out, '}')
}

func appendCounters(out []byte, list []counter.Counter) []byte {
	out = append(out, '{')
	for i, one := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, one.Key)
		out = append(out, ':')
		out = strconv.AppendInt(out, one.Value, 10)
	}
	return append(out, '}')
}

func appendStrings(out []byte, list []string) []byte {
	out = append(out, '[')
	for i, text := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, text)
	}
	return append(out, ']')
}

// appendString appends a JSON string of text that is known to be valid UTF-8.
func appendString(out []byte, text string) []byte {
	out, _ = jsontext.AppendQuote(out, text)
	return out
}
