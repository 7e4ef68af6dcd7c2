package identity_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"tally/counter"
	"tally/identity"
)

// The table spelled out a second time, by role, so that no line of it changes by
// a slip of the pen.
func TestWhatEachRoleMayDo(t *testing.T) {
	allowed := map[identity.Role]string{
		identity.RoleUser:    "read counters, change counters, watch counters",
		identity.RoleService: "read counters, change counters, watch counters, list groups, call the server API of the original",
		identity.RoleAdmin:   "read counters, change counters, watch counters, list groups, see the cluster, change the cluster, take a backup, restore a backup, call the server API of the original",
		"":                   "",
		"root":               "",
	}
	for role, want := range allowed {
		var got []string
		for _, permission := range identity.Permissions() {
			switch err := (identity.Principal{Role: role}).Check(permission.Action); {
			case err == nil:
				got = append(got, string(permission.Action))
			case err.Code != counter.Forbidden:
				t.Errorf("role %q may not %s: %v", role, permission.Action, err)
			}
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("role %q may %s; want %s", role, got, want)
		}
	}
}

func TestUnknownActionsAreForbidden(t *testing.T) {
	if (identity.Principal{Role: identity.RoleAdmin}).Check("fly") == nil {
		t.Error("an admin may do what is not in the table")
	}
}

func TestForbiddenSaysWhoMay(t *testing.T) {
	err := identity.Principal{User: "ann", Role: identity.RoleUser}.Check(identity.ListGroups)
	if want := "role user may not list groups; use a token with role service or admin"; err == nil || err.Detail != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNone(t *testing.T) {
	for _, c := range []struct {
		name  string
		names []string
		want  identity.Principal
		code  counter.Code
	}{
		{"anonymous", nil, identity.Principal{Role: identity.RoleAdmin}, ""},
		{"empty name", []string{""}, identity.Principal{Role: identity.RoleAdmin}, ""},
		{"name", []string{"zoë"}, identity.Principal{User: "zoë", Role: identity.RoleAdmin, Limited: true}, ""},
		{"two names", []string{"a", "b"}, identity.Principal{}, counter.InvalidRequest},
		{"control character", []string{"a\x01"}, identity.Principal{}, counter.InvalidRequest},
		{"too long", []string{strings.Repeat("a", 129)}, identity.Principal{}, counter.InvalidRequest},
	} {
		got, err := identity.None(http.Header{identity.UserHeader: c.names})
		if got != c.want || (c.code == "" && err != nil) || (c.code != "" && !errors.Is(err, c.code)) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

func TestChallenge(t *testing.T) {
	if got, want := identity.Challenge(http.Header{}), `Bearer realm="tally"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := identity.Challenge(http.Header{"Authorization": {"Bearer x"}}), `Bearer realm="tally", error="invalid_token"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
