package httpapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tally/counter"
	"tally/httpapi"
	"tally/identity"
	"tally/internal/clustertest"
	"tally/node"
)

// TestEveryRouteAsksForItsRole sends every request of the route table as every
// kind of caller to the leader and to a follower, which forwards to the leader
// what it lets pass. Who may not do it is told so, and nothing reaches the log.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	callers := kindsOfCallers(t)
	options := clustertest.Options{
		Configure: func(c *node.Config) {
			c.Identity, c.JWTSecretFile = node.IdentityJWT, secretFile(t)
			c.MetricsFor = node.MetricsForAdmins
			c.UserMutationsMax, c.UserReadsMax = 0, 0 // the limit is another test's
		},
		Header: map[string]string{"Authorization": callers["admin"].authorization},
	}
	clustertest.Run(t, options, func(t *testing.T, c *clustertest.Cluster) {
		leader := c.WaitLeader()
		follower := c.Others(leader)[0]
		tried := 0
		for _, n := range []*clustertest.Node{leader, follower} {
			for _, rt := range append(httpapi.Routes(), headRoutes()...) {
				for name, who := range callers {
					m := matrixCall{leader: leader, node: n, route: rt, caller: who, member: follower.ID}
					if !m.holds(t) {
						t.Errorf("on %s, as %s: %s %s", n.ID, name, rt.Method, rt.Path)
					}
					tried++
				}
			}
		}
		if want := 2 * len(callers) * len(httpapi.Routes()); tried < want {
			t.Errorf("%d calls, want %d or more", tried, want)
		}
		if now := c.WaitLeader(); now != leader {
			t.Errorf("%s led, and now %s does", leader.ID, now.ID)
		}
		c.WaitAgree()
	})
}

// virtualDay is the day on which every bubble begins.
var virtualDay = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// kind is a kind of caller.
type kind struct {
	authorization string        // "" for no such header
	role          identity.Role // "" for callers whom nobody knows
}

func kindsOfCallers(t *testing.T) map[string]kind {
	t.Helper()
	token := func(key identity.Key, role identity.Role, issued time.Time) string {
		text, err := identity.Mint(key, identity.Claims{User: string(role), Role: role, Issued: issued, Expires: issued.Add(24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	forger, err := identity.NewSecret([]byte(strings.Repeat("forged", 10)))
	if err != nil {
		t.Fatal(err)
	}
	callers := map[string]kind{
		"nobody":            {},
		"an expired admin":  {authorization: token(tokenKey(t), identity.RoleAdmin, virtualDay.AddDate(0, 0, -2))},
		"an admin to be":    {authorization: token(tokenKey(t), identity.RoleAdmin, virtualDay.AddDate(0, 0, 2))},
		"a forged admin":    {authorization: token(forger, identity.RoleAdmin, virtualDay)},
		"an admin by Basic": {authorization: "Basic " + strings.TrimPrefix(token(tokenKey(t), identity.RoleAdmin, virtualDay), "Bearer ")},
	}
	for _, role := range identity.Roles() {
		callers[string(role)] = kind{authorization: token(tokenKey(t), role, virtualDay), role: role}
	}
	return callers
}

func secretFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(tokenSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func headRoutes() (lines []httpapi.Route) {
	for _, rt := range httpapi.Routes() {
		if rt.Method == http.MethodGet {
			rt.Method = http.MethodHead
			lines = append(lines, rt)
		}
	}
	return lines
}

// matrixCall is one cell of the matrix.
type matrixCall struct {
	leader *clustertest.Node
	node   *clustertest.Node // who is called
	route  httpapi.Route
	caller kind
	member string // whom calls on members are about
}

// holds makes the call and says whether it was let pass or refused as it should.
func (m matrixCall) holds(t *testing.T) bool {
	t.Helper()
	header := map[string]string{"Authorization": m.caller.authorization, "X-Tally-User": "admin"}
	before := m.state()
	action := m.route.Action
	if m.route.Name == "metrics" {
		action = identity.SeeCluster // as it is configured
	}
	known := m.caller.role != ""
	mayDo := action == httpapi.Anyone || known && identity.Principal{Role: m.caller.role}.Check(action) == nil
	method, target, body := m.request(mayDo)
	got := m.node.DoWith(header, method, target, body)

	want := 0
	switch {
	case !mayDo && !known:
		want = http.StatusUnauthorized
	case !mayDo:
		want = http.StatusForbidden
	}
	if mayDo {
		refused := got.Status == 0 || got.Status == http.StatusUnauthorized || got.Status == http.StatusForbidden
		if refused || m.route.Original && !strings.Contains(string(got.Body), `"ActionStatus":"OK"`) {
			t.Errorf("it may, and was answered %d %v", got.Status, got)
			return false
		}
		return true
	}
	if after := m.state(); before != after {
		t.Errorf("a refused call changed the state from %v to %v", before, after)
		return false
	}
	if !m.refused(got, want) {
		t.Errorf("it may not, and was answered %d %v", got.Status, got)
		return false
	}
	return true
}

// state is what the leader has applied, once nothing is under way any more.
func (m matrixCall) state() counter.StateHash {
	synctest.Wait()
	return m.leader.Machine().StateHash()
}

// refused says that a reply is the refusal with the status, in the form in which
// the route tells of it.
func (m matrixCall) refused(got clustertest.Reply, status int) bool {
	switch {
	case m.route.Original:
		code := map[int]string{http.StatusUnauthorized: `"ErrorCode":60004`, http.StatusForbidden: `"ErrorCode":60010`}[status]
		return got.Status == http.StatusOK && strings.Contains(string(got.Body), `"ActionStatus":"FAIL"`) && strings.Contains(string(got.Body), code)
	case m.route.Method == http.MethodHead:
		return got.Status == status && len(got.Body) == 0
	case status == http.StatusForbidden:
		return got.Status == status && got.Code == counter.Forbidden && got.Definite && strings.Contains(got.Detail, "admin")
	}
	return got.Status == status && got.Code == counter.Unauthenticated && got.Definite
}

// request returns a request of the route that is good, but for those that would
// change the cluster under the test if they were let pass.
func (m matrixCall) request(mayDo bool) (method, target, body string) {
	member := m.member
	if mayDo {
		member = "nobody"
	}
	target = strings.NewReplacer("{group}", "g", "{key}", "a", "{id}", member).Replace(m.route.Path)
	const (
		several  = `{"counters":{"a":1}}`
		original = `{"GroupId":"g"}`
	)
	body = map[string]string{
		"setCounters": several, "increaseCounters": several, "decreaseCounters": several,
		"setCounter": `{"value":5}`, "increaseCounter": `{"value":5}`,
		"batch":              `{"operations":[{"op":"increase","group":"g","counters":{"a":1}}]}`,
		"watchGroupsByBody":  `{"groups":[{"group":"g"}]}`,
		"addMember":          `{"id":"` + member + `","peerAddr":"` + member + `:9101"}`,
		"transferLeadership": `{"id":"` + member + `"}`,
		"originalUpdate":     `{"GroupId":"g","GroupCounter":[{"Key":"a","Value":1}],"Mode":"Set"}`,
		"originalGet":        original, "originalDelete": original,
	}[m.route.Name]
	switch m.route.Name {
	case "addMember":
		if mayDo {
			body = "{}"
		}
	case "watchGroups":
		target += "?group=g"
	}
	return m.route.Method, target, body
}
