package httpapi

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"tally/counter"
)

// decodeBoth decodes a body by both decoders of batches.
func decodeBoth(t *testing.T, body string) (usual, list []counter.Operation, err *counter.Error) {
	t.Helper()
	h, problem := New(Config{Backend: noBackend{}})
	if problem != nil {
		t.Fatal(problem)
	}
	c := h.calls.Get().(*call)
	c.body.WriteString(body)
	usual = usualBatch(c.body.Bytes())
	list, err = c.decodeAnyBatch()
	return usual, list, err
}

// These are usual, and those are not.
func TestUsualBatch(t *testing.T) {
	one := `{"op":"increase","group":"g","counters":{"a":1}}`
	many := func(n int) string { return `{"operations":[` + strings.Repeat(one+",", n-1) + one + `]}` }
	for _, test := range []struct {
		body  string
		usual bool
	}{
		{many(1), true},
		{many(1000), true},
		{many(1001), false},
		{" {\t\"operations\" : [ {\"group\": \"g h/\", \"counters\" :{ \"a\" : -0 , \"b\":123456789012345678 } ,\r\n\"op\":\"decrease\"}\n] } ", true},
		{strings.Replace(many(1), "increase", "set", 1), true},
		{`{"operations":[]}`, false},
		{many(1) + "{}", false},
		{strings.Replace(many(2), "},{", "}{", 1), false},
		{strings.Replace(many(1), "increase", "delete", 1), false},
		{strings.Replace(many(1), "increase", "increse", 1), false},
		{strings.Replace(many(1), `"op":"increase"`, `"op":"x","op":"increase"`, 1), false},
		{strings.Replace(many(1), `"group":"g"`, `"group":"","group":"g"`, 1), false},
		{strings.Replace(many(1), `"group":"g"`, `"group":"g","group":"g"`, 1), false},
		{strings.Replace(many(1), `"group":"g"`, `"group":"g","keys":["a"]`, 1), false},
		{strings.Replace(many(1), `"group":"g",`, ``, 1), false},
		{strings.Replace(many(1), `"g"`, `"gr\u00fcn"`, 1), false},
		{strings.Replace(many(1), `"g"`, `"grün"`, 1), false},
		{strings.Replace(many(1), `"g"`, "\"g\x00\"", 1), false},
		{strings.Replace(many(1), `"a":1`, ``, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":1,"a":2`, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":"1"`, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":01`, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":- 1`, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":-`, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":1.0`, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":1e3`, 1), false},
		{strings.Replace(many(1), `"a":1`, `"a":1234567890123456789`, 1), false},
	} {
		usual, list, err := decodeBoth(t, test.body)
		if (usual != nil) != test.usual {
			t.Errorf("%.100s: usual is %v, want %v", test.body, usual != nil, test.usual)
		}
		if usual != nil && (err != nil || !reflect.DeepEqual(usual, list)) {
			t.Errorf("%.100s: got %+v, want %+v, error %v", test.body, usual, list, err)
		}
	}
	// Every beginning of a usual batch is none.
	for i := range many(1) {
		if usual := usualBatch([]byte(many(1)[:i])); usual != nil {
			t.Errorf("%s: got %+v", many(1)[:i], usual)
		}
	}
}

// What the decoder for usual batches accepts, the one for all of them takes alike.
func FuzzUsualBatch(f *testing.F) {
	for _, operation := range []string{
		`{"op":"increase","group":"g","counters":{"a":1}}`, `{ "group":"g" ,"op":"set","counters":{"a":-1,"b":0,"c":-0,"a":2}}`,
		`{"op":"decrease","group":"g","group":"","counters":{"a":00,"b":1e1,"":1}}`, `{"op":"delete","group":"g","all":true}`, `{"op":"","op":"set"}`,
	} {
		f.Add(fmt.Sprintf(`{"operations":[%s]}`, operation))
		f.Add(fmt.Sprintf(`{"operations":[%s,%s]}`, operation, operation))
	}
	f.Fuzz(func(t *testing.T, body string) {
		usual, list, err := decodeBoth(t, body)
		if usual != nil && (err != nil || !reflect.DeepEqual(usual, list)) {
			t.Errorf("got %+v, want %+v, error %v", usual, list, err)
		}
	})
}
