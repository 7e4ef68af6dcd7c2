package client

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tally/counter"
)

// Replies are decoded strictly: names given twice, invalid UTF-8, anything after
// the object, and numbers that are not whole or do not fit are errors, and so is
// a reply to another question. Fields that are not known are passed over: a
// newer node may send them.

// outcome is what one operation of a batch did, as it is sent.
type outcome struct {
	Group    string            `json:"group"`
	Counters *map[string]int64 `json:"counters"`
	Deleted  *[]string         `json:"deleted"`
}

// decodeBatch reads {"revision","results"}, the answer to the given operations.
func decodeBatch(body []byte, operations []counter.Operation) (counter.Result, error) {
	var content struct {
		Revision uint64    `json:"revision"`
		Results  []outcome `json:"results"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return counter.Result{}, err
	}
	if content.Revision == 0 || len(content.Results) != len(operations) {
		return counter.Result{}, fmt.Errorf("revision %d and %d results for %d operations", content.Revision, len(content.Results), len(operations))
	}
	result := counter.Result{Revision: content.Revision, Outcomes: make([]counter.Outcome, len(operations))}
	for i := range operations {
		decoded, err := content.Results[i].of(&operations[i])
		if err != nil {
			return counter.Result{}, fmt.Errorf("result %d: %w", i, err)
		}
		result.Outcomes[i] = decoded
	}
	return result, nil
}

// decodeChange reads {"group","revision","counters"}, the answer to one operation.
func decodeChange(body []byte, operation *counter.Operation) (counter.Result, error) {
	var content struct {
		outcome  `json:",inline"`
		Revision uint64 `json:"revision"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return counter.Result{}, err
	}
	decoded, err := content.of(operation)
	if err == nil && content.Revision == 0 {
		err = fmt.Errorf("it has no revision")
	}
	return counter.Result{Revision: content.Revision, Outcomes: []counter.Outcome{decoded}}, err
}

// of returns the outcome of the operation, with its counters in the caller's order.
func (o *outcome) of(operation *counter.Operation) (counter.Outcome, error) {
	decoded := counter.Outcome{Group: o.Group}
	if o.Group != operation.Group {
		return decoded, fmt.Errorf("it is of group %q, not %q", o.Group, operation.Group)
	}
	if operation.Kind == counter.Delete {
		if o.Deleted == nil {
			return decoded, fmt.Errorf("it does not say what was deleted")
		}
		decoded.Deleted = *o.Deleted
		return decoded, nil
	}
	if o.Counters == nil || len(*o.Counters) != len(operation.Counters) {
		return decoded, fmt.Errorf("it does not have the %d counters that were named", len(operation.Counters))
	}
	decoded.Counters = make([]counter.Counter, len(operation.Counters))
	for i, named := range operation.Counters {
		value, ok := (*o.Counters)[named.Key]
		if !ok {
			return decoded, fmt.Errorf("the counter %q is missing", named.Key)
		}
		decoded.Counters[i] = counter.Counter{Key: named.Key, Value: value}
	}
	return decoded, nil
}

// decodeReading reads {"group","revision","modRevision","counters"}.
func decodeReading(body []byte, group string) (counter.Reading, error) {
	var content struct {
		Group       string            `json:"group"`
		Revision    *uint64           `json:"revision"`
		ModRevision uint64            `json:"modRevision"`
		Counters    *map[string]int64 `json:"counters"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return counter.Reading{}, err
	}
	if content.Group != group || content.Revision == nil || content.Counters == nil {
		return counter.Reading{}, fmt.Errorf("it is no reading of the group %q", group)
	}
	return counter.Reading{
		Group: group, Revision: *content.Revision, ModRevision: content.ModRevision,
		Counters: sorted(*content.Counters),
	}, nil
}

// decodeGroups reads {"groups","next"}.
func decodeGroups(body []byte) (groups []counter.GroupSummary, next string, err error) {
	var content struct {
		Groups *[]struct {
			Group       string `json:"group"`
			Size        int    `json:"size"`
			ModRevision uint64 `json:"modRevision"`
		} `json:"groups"`
		Next string `json:"next"`
	}
	if err := json.Unmarshal(body, &content); err != nil {
		return nil, "", err
	}
	if content.Groups == nil {
		return nil, "", fmt.Errorf("it lists no groups")
	}
	for _, g := range *content.Groups {
		groups = append(groups, counter.GroupSummary{Group: g.Group, Size: g.Size, ModRevision: g.ModRevision})
	}
	return groups, content.Next, nil
}

// decodeCluster reads what a node says of the cluster.
func decodeCluster(body []byte) (counter.Cluster, error) {
	var cluster counter.Cluster
	if err := json.Unmarshal(body, &cluster); err != nil {
		return counter.Cluster{}, err
	}
	if cluster.Node == "" || len(cluster.Members) == 0 {
		return counter.Cluster{}, fmt.Errorf("it names no node or no members")
	}
	return cluster, nil
}

// decodeEvents reads the events of one message of a watch. cursor is where the
// watch goes on behind them.
func decodeEvents(data []byte, cursor string) ([]Event, error) {
	var content struct {
		Events *[]jsontext.Value `json:"events"`
	}
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, err
	}
	if content.Events == nil {
		return nil, fmt.Errorf("it has no events")
	}
	events := make([]Event, len(*content.Events))
	for i, raw := range *content.Events {
		if err := events[i].decode(raw); err != nil {
			return nil, err
		}
	}
	if len(events) > 0 {
		events[len(events)-1].Cursor = cursor
	}
	return events, nil
}

// decode reads one event.
func (e *Event) decode(raw jsontext.Value) error {
	var content struct {
		Type     string            `json:"type"`
		Revision uint64            `json:"revision"`
		Group    string            `json:"group"`
		Key      string            `json:"key"`
		Value    *int64            `json:"value"`
		Delta    *int64            `json:"delta"`
		User     string            `json:"user"`
		TimeMs   int64             `json:"timeMs"`
		Counters *map[string]int64 `json:"counters"`
	}
	if err := json.Unmarshal(raw, &content); err != nil {
		return err
	}
	e.Group, e.Revision = content.Group, content.Revision
	if content.Type == "reset" {
		if content.Group == "" || content.Counters == nil {
			return fmt.Errorf("a reset has no group or no counters")
		}
		e.Reset = &counter.Reading{Group: content.Group, Revision: content.Revision, Counters: sorted(*content.Counters)}
		return nil
	}
	kind, known := counter.ParseKind(content.Type)
	moves := kind == counter.Increase || kind == counter.Decrease
	switch {
	case !known:
		return fmt.Errorf("an event is of the unknown type %q", content.Type)
	case content.Group == "" || content.Key == "" || content.Revision == 0:
		return fmt.Errorf("an event has no group, key or revision")
	case (kind != counter.Delete) != (content.Value != nil) || moves != (content.Delta != nil):
		return fmt.Errorf("an event of type %q has not the value and delta that it must have", kind)
	}
	e.Kind, e.Key, e.User, e.TimeMs = kind, content.Key, content.User, content.TimeMs
	if content.Value != nil {
		e.Value = *content.Value
	}
	if content.Delta != nil {
		e.Delta = *content.Delta
	}
	return nil
}
