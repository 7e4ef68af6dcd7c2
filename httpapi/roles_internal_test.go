package httpapi

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"tally/identity"
)

// TestRouteWithoutActionIsRefused: who forgets to say who may call a route cannot
// have it served.
func TestRouteWithoutActionIsRefused(t *testing.T) {
	h, err := New(Config{Backend: noBackend{}})
	if err != nil {
		t.Fatal(err)
	}
	forgotten := route{name: "forgotten", method: "GET", path: "/v1/forgotten", class: reads, handle: (*call).livez}
	if err := h.register([]route{forgotten}); err == nil || !strings.Contains(err.Error(), "forgotten") {
		t.Errorf("got %v", err)
	}
}

// noBackend is never called.
type noBackend struct{ Backend }

// TestRolesAreDescribed compares the table of who may call what with
// docs/openapi.yaml, route by route, so that a route whose action is changed by
// mistake fails here.
func TestRolesAreDescribed(t *testing.T) {
	doc := loadDescription(t)
	for _, rt := range routes() {
		item := doc.Paths.Value(template(rt.path))
		if item == nil || item.GetOperation(rt.method) == nil {
			t.Errorf("%s is not described", rt.name)
			continue
		}
		operation := item.GetOperation(rt.method)
		described, _ := operation.Extensions["x-tally-role"].(string)
		if open := operation.Security != nil && len(*operation.Security) == 0; open {
			described = "anyone"
		}
		if needed := leastRole(rt.action); described != needed {
			t.Errorf("%s may be called by %s, described is %q", rt.name, needed, described)
		}
	}
}

// leastRole returns the least of the roles that may do it; who has a later one
// must be allowed too.
func leastRole(action identity.Action) string {
	if action == anyone {
		return "anyone"
	}
	least := "nobody"
	for _, role := range identity.Roles() {
		allowed := identity.Principal{Role: role}.Check(action) == nil
		switch {
		case allowed && least == "nobody":
			least = string(role)
		case !allowed && least != "nobody":
			return "no order"
		}
	}
	return least
}

func TestRoleTableIsDocumented(t *testing.T) {
	data, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "<!-- roles:")
	text, _, _ = strings.Cut(text, "<!-- end of roles -->")
	word := map[bool]string{true: "yes", false: "no"}
	lines := 0
	for _, p := range identity.Permissions() {
		line := fmt.Sprintf("| %s | %s | %s | %s |\n", p.Action, word[p.User], word[p.Service], word[p.Admin])
		if !strings.Contains(text, line) {
			t.Errorf("docs/api.md lacks %s", line)
		}
		lines++
	}
	if got := strings.Count(text, "\n| ") - 1; got != lines { // without the heading
		t.Errorf("docs/api.md has %d lines of roles, there are %d", got, lines)
	}
}
