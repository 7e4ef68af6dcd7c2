package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"go.yaml.in/yaml/v3"
)

// The forms of output. Tables are for people and may change; what a script
// reads, plain, json or yaml, does not.
const (
	formTable = "table"
	formPlain = "plain" // no heading, columns separated by tabs
	formJSON  = "json"
	formYAML  = "yaml"
)

func outputForms() []string { return []string{formTable, formPlain, formJSON, formYAML} }

// form is how this command answers.
func (p *program) form() string {
	switch {
	case p.settings.Output != "":
		return p.settings.Output
	case isTerminal(p.Stdout):
		return formTable
	}
	return formPlain
}

// document is an answer in all its forms.
type document struct {
	// value is encoded as JSON or YAML; its names are those of the HTTP API.
	value any
	// header and rows are the table, rows alone the plain form.
	header []string
	rows   [][]string
	// plain replaces rows in the plain form, if it is not nil.
	plain [][]string
	// note is a line under the table.
	note string
}

func (p *program) print(d document) error {
	switch p.form() {
	case formJSON:
		return writeJSON(p.Stdout, d.value)
	case formYAML:
		return writeYAML(p.Stdout, d.value)
	case formPlain:
		if d.plain != nil {
			return writePlain(p.Stdout, d.plain)
		}
		return writePlain(p.Stdout, d.rows)
	}
	if err := writeTable(p.Stdout, d.header, d.rows); err != nil {
		return err
	}
	if d.note != "" {
		_, err := fmt.Fprintln(p.Stdout, d.note)
		return err
	}
	return nil
}

func writeJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeYAML goes through JSON, which is YAML too, so that both have the same
// names in the same order.
func writeYAML(out io.Writer, value any) error {
	var text bytes.Buffer
	if err := writeJSON(&text, value); err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &node); err != nil {
		return err
	}
	unquote(&node)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
}

// unquote lets the encoder choose how each part is written.
func unquote(node *yaml.Node) {
	node.Style = 0
	if node.ShortTag() == "!!str" && readOtherwise(node.Value) {
		node.Style = yaml.DoubleQuotedStyle
	}
	for _, part := range node.Content {
		unquote(part)
	}
}

// readOtherwise says that readers of YAML 1.1 take a bare text for something else:
// yes for true, 12:30 for 750. The encoder asks that of strings, but not of nodes.
func readOtherwise(text string) bool {
	written, err := yaml.Marshal(text)
	return err != nil || bytes.HasPrefix(written, []byte{'"'})
}

func writePlain(out io.Writer, rows [][]string) error {
	var text strings.Builder
	for _, row := range rows {
		text.WriteString(strings.Join(row, "\t") + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

func writeTable(out io.Writer, header []string, rows [][]string) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		if len(row) > 0 {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
	}
	return table.Flush()
}

// quoted is a text as JSON has it.
func quoted(text string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string always encodes, and a buffer takes it
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
