package httpapi

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"tally/counter"
	"tally/docs"
)

// TestRoutesAreDescribed compares the route table with docs/openapi.yaml, both ways.
func TestRoutesAreDescribed(t *testing.T) {
	doc := loadDescription(t)
	described := make(map[string]bool)
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			described[operation.OperationID+" "+method+" "+path] = true
		}
	}
	for _, rt := range routes() {
		line := rt.name + " " + rt.method + " " + template(rt.path)
		if !described[line] {
			t.Errorf("%s is not described", line)
		}
		delete(described, line)
		if rt.name != "" {
			compareParameters(t, doc, rt)
		}
	}
	for line := range described {
		t.Errorf("%s is described but does not exist", line)
	}
}

// compareParameters checks that the description names the route's parameters, no more and no less.
func compareParameters(t *testing.T, doc *openapi3.T, rt route) {
	item := doc.Paths.Value(template(rt.path))
	if item == nil || item.GetOperation(rt.method) == nil {
		return // already said
	}
	operation := item.GetOperation(rt.method)
	got := map[string][]string{}
	for _, parameter := range append(slices.Clone(item.Parameters), operation.Parameters...) {
		got[parameter.Value.In] = append(got[parameter.Value.In], parameter.Value.Name)
	}
	var headers []string
	if rt.conditional {
		headers = append(headers, "If-Match", "If-None-Match")
	}
	if rt.watches {
		headers = append(headers, "Last-Event-ID", "Prefer")
	}
	if rt.class == mutates {
		headers = append(headers, "Idempotency-Key")
	}
	if !sameWords(got["query"], rt.query) || !sameWords(got["header"], headers) {
		t.Errorf("%s takes %v %v, described are %v %v", rt.name, rt.query, headers, got["query"], got["header"])
	}
	body := operation.RequestBody
	if (body == nil) != (rt.body == noBody) || body != nil && body.Value.Required == (rt.body == optionalBody) {
		t.Errorf("%s: the body is not as described", rt.name)
	}
}

func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// template writes a path as the description does.
func template(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if name, found := strings.CutPrefix(segment, ":"); found {
			segments[i] = "{" + name + "}"
		}
	}
	return strings.Join(segments, "/")
}

func TestCodesAreDescribed(t *testing.T) {
	var want, got []string
	for _, info := range counter.Codes() {
		want = append(want, string(info.Code))
	}
	for _, word := range loadDescription(t).Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		got = append(got, word.(string))
	}
	if !slices.Equal(got, want) {
		t.Errorf("described %v\nexist %v", got, want)
	}
}

func loadDescription(t *testing.T) *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(docs.OpenAPI))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"vlaue", "value", 2}, {"kitten", "sitting", 3}, {"key", "keys", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
