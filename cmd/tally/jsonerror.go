package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// describeJSONError says in the words of a batch why the library did not take
// it. The library's own words are Go types.
func describeJSONError(text []byte, err error) string {
	shape, syntax := new(json.SemanticError), new(jsontext.SyntacticError)
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return "it is empty"
	case errors.As(err, &shape):
		return describeShape(shape)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON ends in the middle"
	case errors.As(err, &syntax):
		return fmt.Sprintf("%s, at byte %d%s", syntax.Err, syntax.ByteOffset, within(syntax.JSONPointer))
	}
	return err.Error()
}

// describeShape is for JSON that is something else than a batch.
func describeShape(e *json.SemanticError) string {
	name := e.JSONPointer.LastToken()
	switch {
	case errors.Is(e.Err, json.ErrUnknownName) && e.JSONPointer.Parent() == "" && name == "op":
		return "it is one operation; put operations into brackets: [{...}, {...}]"
	case errors.Is(e.Err, json.ErrUnknownName) && e.JSONPointer.Parent() == "":
		return fmt.Sprintf("there is no field %q beside \"operations\"", name)
	case errors.Is(e.Err, json.ErrUnknownName):
		return fmt.Sprintf("an operation has no field %q; it has op, group, counters, keys and all%s", name, within(e.JSONPointer.Parent()))
	case e.GoType == nil:
		return e.Error()
	}
	return fmt.Sprintf("%s where %s is wanted%s", kindWord(e.JSONKind), wantedWord(e.GoType), within(e.JSONPointer))
}

// within says where in the JSON something is, nothing for the whole.
func within(place jsontext.Pointer) string {
	if place == "" {
		return ""
	}
	return fmt.Sprintf(", in %s", place)
}

// kindWord is what JSON calls a value.
func kindWord(kind jsontext.Kind) string {
	switch kind {
	case 'n':
		return "null"
	case 't', 'f':
		return "true or false"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	}
	return "an array"
}

// wantedWord is what JSON calls the values of a Go type.
func wantedWord(of reflect.Type) string {
	switch of.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}
