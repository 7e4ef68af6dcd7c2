package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"tally/client"
	"tally/counter"
)

func (p *program) batchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "batch",
		Short: "Carry out many changes of many groups at once, all or none",
		Long: `Read changes from standard input, or from --file, and carry them out as one: all or none of them.
The JSON is that of POST /v1/batch: {"operations": [...]}, or the array alone.`,
		Example: `  echo '[{"op":"decrease","group":"stock","counters":{"shirts":1}},
         {"op":"increase","group":"sold","counters":{"shirts":1}}]' | tally batch
  tally batch --file changes.json -o json`,
		Args: arguments(0, 0, "< changes.json"),
	}
	file := c.Flags().StringP("file", "f", "-", "`file` to read, - for standard input")
	once := idempotencyFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		operations, err := p.readBatch(c.Context(), *file)
		if err != nil {
			return usageError{err}
		}
		return p.with(func(calls *client.Client) error {
			result, err := calls.Batch(c.Context(), operations, once.options()...)
			if err != nil {
				return withOperation(err)
			}
			return p.print(batchDocument(result, operations))
		})
	}
	return c
}

// withOperation says which operation of a batch was refused.
func withOperation(err error) error {
	refusal := new(counter.Error)
	if errors.As(err, &refusal) && refusal.Operation != nil {
		return fmt.Errorf("%w\nIt is operation %d of the batch, counted from 0; none was carried out", err, *refusal.Operation)
	}
	return err
}

// batchBytesMax is more than nodes accept.
const batchBytesMax = 4 << 20

func (p *program) readBatch(ctx context.Context, name string) ([]counter.Operation, error) {
	in := p.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	} else if isTerminal(in) {
		fmt.Fprintln(p.Stderr, "Reading changes from the terminal; end them with Ctrl-D.")
	}
	text, err := readAll(ctx, io.LimitReader(in, batchBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > batchBytesMax {
		return nil, fmt.Errorf("the batch has more than %d bytes, and nodes take %d; make several", batchBytesMax, 1<<20)
	}
	return parseBatch(text)
}

// readAll reads to the end, unless ctx ends first. A read of a terminal or a pipe
// cannot be broken off: it is left behind, and ends with the process.
func readAll(ctx context.Context, in io.Reader) ([]byte, error) {
	type input struct {
		text []byte
		err  error
	}
	read := make(chan input, 1)
	go func() {
		text, err := io.ReadAll(in)
		read <- input{text, err}
	}()
	select {
	case all := <-read:
		return all.text, all.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// parseBatch reads {"operations": [...]} or [...].
func parseBatch(text []byte) ([]counter.Operation, error) {
	var parsed struct {
		Operations []batchOperation `json:"operations"`
	}
	var into any = &parsed
	if value := jsontext.Value(text); value.Kind() == '[' {
		into = &parsed.Operations
	}
	if err := json.Unmarshal(text, into, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("the batch is not understood: %s\nAn example: tally batch --help", describeJSONError(text, err))
	}
	operations := make([]counter.Operation, len(parsed.Operations))
	for i, o := range parsed.Operations {
		var err error
		if operations[i], err = o.operation(); err != nil {
			return nil, fmt.Errorf("operation %d of the batch, counted from 0: %w", i, err)
		}
	}
	return operations, nil
}

// batchOperation is one operation as it is written.
type batchOperation struct {
	Op       string         `json:"op"`
	Group    string         `json:"group"`
	Counters jsontext.Value `json:"counters"`
	Keys     []string       `json:"keys"`
	All      bool           `json:"all"`
}

func (o batchOperation) operation() (counter.Operation, error) {
	kind, ok := counter.ParseKind(o.Op)
	if !ok {
		return counter.Operation{}, fmt.Errorf("there is no \"op\" %q; use set, increase, decrease or delete", o.Op)
	}
	all, err := parseCounters(o.Counters)
	return counter.Operation{Kind: kind, Group: o.Group, Counters: all, Keys: o.Keys, All: o.All}, err
}

// parseCounters reads an object of counters in its own order. Values are whole
// numbers or strings that hold one, as everywhere in the API.
func parseCounters(text jsontext.Value) ([]counter.Counter, error) {
	if text == nil {
		return nil, nil
	}
	if text.Kind() != '{' {
		return nil, errors.New("\"counters\" is an object, such as {\"likes\": 1}")
	}
	var all []counter.Counter
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := parseValue(decoder)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		all = append(all, counter.Counter{Key: key, Value: value})
	}
	return all, nil
}

func parseValue(decoder *jsontext.Decoder) (int64, error) {
	token, err := decoder.ReadToken()
	if err != nil {
		return 0, err
	}
	if kind := token.Kind(); kind != '0' && kind != '"' {
		return 0, errors.New("a value is a whole number, or a string that holds one")
	}
	value, refusal := counter.ParseValue(token.String())
	if refusal != nil {
		return 0, errors.New(refusal.Detail)
	}
	return value, nil
}

func batchDocument(result counter.Result, operations []counter.Operation) document {
	type element struct {
		Group string `json:"group"`
		outcome
	}
	elements := make([]element, len(result.Outcomes))
	d := document{header: []string{"OP", "GROUP", "KEY", "VALUE"}}
	for i, o := range result.Outcomes {
		elements[i] = element{o.Group, asOutcome(o)}
		op := operations[i].Kind.String()
		for _, row := range counterRows(o.Counters) {
			d.rows = append(d.rows, append([]string{op, o.Group}, row...))
		}
		for _, key := range o.Deleted {
			d.rows = append(d.rows, []string{op, o.Group, key, ""})
		}
	}
	d.value = struct {
		Revision uint64    `json:"revision"`
		Results  []element `json:"results"`
		Replayed bool      `json:"replayed,omitempty"`
	}{result.Revision, elements, result.Replayed}
	return d
}
