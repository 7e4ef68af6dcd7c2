package workload

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"tally/jepsen-lite/history"
)

// appendCounters appends a JSON object in the order of the list, which is the
// order in which the cluster is to apply it.
func appendCounters(out []byte, list []history.Counter) []byte {
	out = append(out, '{')
	for i, c := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(out, c.Key)
		out = append(out, ':')
		out = strconv.AppendInt(out, c.Value, 10)
	}
	return append(out, '}')
}

func appendText(out []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string always has a JSON form
	return append(out, quoted...)
}

func countersBody(list []history.Counter) []byte {
	return append(appendCounters([]byte(`{"counters":`), list), '}')
}

func batchBody(parts []history.Part) []byte {
	out := []byte(`{"operations":[`)
	for i, p := range parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"op":`...)
		out = appendText(out, string(p.Kind))
		out = append(out, `,"group":`...)
		out = appendText(out, p.Group)
		switch {
		case p.All:
			out = append(out, `,"all":true`...)
		case p.Kind == history.Delete:
			keys, _ := json.Marshal(p.Keys) // likewise
			out = append(append(out, `,"keys":`...), keys...)
		default:
			out = appendCounters(append(out, `,"counters":`...), p.Counters)
		}
		out = append(out, '}')
	}
	return append(out, "]}"...)
}

// content is a reply's body: a result, a reading or a problem.
type content struct {
	Group       string           `json:"group"`
	Revision    uint64           `json:"revision"`
	ModRevision uint64           `json:"modRevision"`
	Counters    map[string]int64 `json:"counters"`
	Deleted     []string         `json:"deleted"`
	Results     []content        `json:"results"`
	Code        string           `json:"code"`
	Definite    bool             `json:"definite"`
	Detail      string           `json:"detail"`
}

// readReply reads the body of a reply. An error means that it makes no sense.
func readReply(response *http.Response, body []byte, op *history.Op) (history.Reply, error) {
	var c content
	if err := json.Unmarshal(body, &c); err != nil {
		return history.Reply{}, fmt.Errorf("status %d with a body that is no JSON: %w", response.StatusCode, err)
	}
	reply := history.Reply{
		Status:      response.StatusCode,
		Revision:    c.Revision,
		ModRevision: c.ModRevision,
		Replayed:    response.Header.Get("Idempotent-Replayed") == "true",
	}
	if response.StatusCode >= 300 {
		if c.Code == "" {
			return reply, fmt.Errorf("status %d without a code", response.StatusCode)
		}
		reply.Code, reply.Definite, reply.Error = c.Code, c.Definite, c.Detail
		return reply, nil
	}
	results := []content{c}
	if op.Kind == history.Batch {
		results = c.Results
	}
	// Only a node that has applied nothing yet, and asks nobody, reads at revision 0.
	if len(results) != len(op.Parts) || c.Revision == 0 && op.Kind != history.Stale {
		return reply, fmt.Errorf("%d results for %d operations, revision %d", len(results), len(op.Parts), c.Revision)
	}
	for i := range results {
		reply.Outcomes = append(reply.Outcomes, outcome(&results[i], &op.Parts[i]))
	}
	return reply, nil
}

// outcome puts the counters of a change into the order in which they were sent:
// the order of a JSON object means nothing. What was not asked for comes last.
func outcome(c *content, part *history.Part) history.Outcome {
	o := history.Outcome{Group: c.Group, Deleted: c.Deleted}
	for _, sent := range part.Counters {
		if value, found := c.Counters[sent.Key]; found {
			o.Counters = append(o.Counters, history.Counter{Key: sent.Key, Value: value})
			delete(c.Counters, sent.Key)
		}
	}
	sent := len(o.Counters)
	for key, value := range c.Counters {
		o.Counters = append(o.Counters, history.Counter{Key: key, Value: value})
	}
	rest := slices.Clone(o.Counters[sent:])
	history.SortCounters(rest)
	copy(o.Counters[sent:], rest)
	return o
}
