package identity

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"tally/counter"
)

// Role is what a caller is to the cluster. The words are those of the token's claim.
type Role string

// The roles.
const (
	RoleUser    Role = "user"
	RoleService Role = "service"
	RoleAdmin   Role = "admin"
)

// Roles returns every role.
func Roles() [3]Role { return [...]Role{RoleUser, RoleService, RoleAdmin} }

// known tells whether r is one of the roles.
func (r Role) known() bool { return r == RoleUser || r == RoleService || r == RoleAdmin }

// Action is a class of calls that are allowed together. The words complete the
// sentence "you may ...".
type Action string

// The actions. Each route belongs to one, or needs no identity.
const (
	ReadCounters  Action = "read counters"
	WriteCounters Action = "change counters"
	WatchCounters Action = "watch counters"
	ListGroups    Action = "list groups"
	SeeCluster    Action = "see the cluster"
	ChangeCluster Action = "change the cluster"
	Backup        Action = "take a backup"
	Restore       Action = "restore a backup"
	CallOriginal  Action = "call the server API of the original"
)

// Permission is one line of the table.
type Permission struct {
	Action               Action
	User, Service, Admin bool
}

// Permissions is the table of what each role may do. What is not in it nobody may.
func Permissions() [9]Permission {
	return [...]Permission{
		//               user   service admin
		{ReadCounters, true, true, true},
		{WriteCounters, true, true, true},
		{WatchCounters, true, true, true},
		{ListGroups, false, true, true},
		{SeeCluster, false, false, true},
		{ChangeCluster, false, false, true},
		{Backup, false, false, true},
		{Restore, false, false, true},
		{CallOriginal, false, true, true},
	}
}

// grants tells whether the line allows its action to role.
func (p Permission) grants(role Role) bool {
	switch role {
	case RoleUser:
		return p.User
	case RoleService:
		return p.Service
	case RoleAdmin:
		return p.Admin
	}
	return false
}

// Principal is who a request speaks for.
type Principal struct {
	// User is the caller's name; "" is the anonymous caller, whom only None knows.
	User string
	Role Role
	// Limited: the call limit of User applies.
	Limited bool
	// Expires is when the caller's word ends to count, zero for never. What goes
	// on for longer, a watch, must end then.
	Expires time.Time
}

// Check says why the caller may not do this, with counter.Forbidden, or returns nil.
func (p Principal) Check(action Action) *counter.Error {
	var allowed []string
	for _, permission := range Permissions() {
		if permission.Action != action {
			continue
		}
		if permission.grants(p.Role) {
			return nil
		}
		for _, role := range Roles() {
			if permission.grants(role) {
				allowed = append(allowed, string(role))
			}
		}
	}
	return counter.Errorf(counter.Forbidden, "role %s may not %s; use a token with role %s", p.Role, action, strings.Join(allowed, " or "))
}

// UserHeader names the caller where callers are trusted to name themselves.
const UserHeader = "X-Tally-User"

// None takes the caller's word: whoever X-Tally-User names, else the anonymous
// caller. Everybody has the rights of an admin, because nothing stops a caller
// from claiming to be one; who gives a name is limited under that name, so that
// an application can be tried with the limits it will meet.
func None(header http.Header) (Principal, error) {
	names := header.Values(UserHeader)
	if len(names) == 0 {
		return Principal{Role: RoleAdmin}, nil
	}
	if len(names) > 1 {
		return Principal{}, counter.Errorf(counter.InvalidRequest, "%s is given %d times; give it once", UserHeader, len(names)).WithParam(UserHeader)
	}
	if err := counter.CheckUser(names[0]); err != nil {
		return Principal{}, err.WithParam(UserHeader)
	}
	return Principal{User: names[0], Role: RoleAdmin, Limited: names[0] != ""}, nil
}

// Challenge is the value of the header field WWW-Authenticate for the answer to
// a request with this header that a Verifier refused (RFC 6750, section 3): who
// sent no credentials is not told of an error.
func Challenge(header http.Header) string {
	const realm = `Bearer realm="tally"`
	if len(header.Values("Authorization")) == 0 {
		return realm
	}
	return fmt.Sprintf(`%s, error="invalid_token"`, realm)
}
