package client

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"tally/counter"
)

// endpoint is one URL at which a node serves clients.
type endpoint struct {
	url   string // scheme, host and path, without a slash at the end
	given bool   // the caller named it, so it is never forgotten

	// Guarded by endpoints.mu.
	rest     time.Time // it is left alone until then
	reason   *failure  // why
	failures int       // since it last answered
}

// endpoints are the nodes that the client knows, in the order of its caller,
// behind them those that it learned of.
type endpoints struct {
	secure bool // all that were given are https: none else is learned

	mu     sync.Mutex
	list   []*endpoint
	leader string        // the URL of the node that leads, as far as known
	next   int           // where to look for another node than the leader
	news   chan struct{} // closed and replaced when a node has said who there is
}

func newEndpoints(list []string) (*endpoints, error) {
	e := &endpoints{secure: true, next: rand.IntN(len(list)), news: make(chan struct{})}
	for _, text := range list {
		u, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		if e.find(u) == nil {
			e.list = append(e.list, &endpoint{url: u, given: true})
		}
		e.secure = e.secure && strings.HasPrefix(u, "https:")
	}
	return e, nil
}

// parseEndpoint makes a URL of host:port or of a URL.
func parseEndpoint(text string) (string, error) {
	full := text
	if !strings.Contains(text, "://") {
		full = "http://" + text
	}
	u, err := url.Parse(full)
	switch {
	// Without scheme and port it would be port 80, where no node is.
	case err != nil, u.Hostname() == "", u.Scheme != "http" && u.Scheme != "https", u.Port() == "" && full != text:
		return "", fmt.Errorf("client: endpoint %q: want host:port, http://host:port or https://host:port", text)
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("client: endpoint %q: leave out user, query and fragment; tokens go into WithToken", text)
	}
	return u.Scheme + "://" + u.Host + strings.TrimRight(u.EscapedPath(), "/"), nil
}

func (e *endpoints) find(u string) *endpoint {
	if i := slices.IndexFunc(e.list, func(one *endpoint) bool { return one.url == u }); i >= 0 {
		return e.list[i]
	}
	return nil
}

// pick returns the endpoint to try next, and how long to wait before: the
// leader, because it answers without asking another node; else any that has not
// failed just now; else the one whose rest is over first.
func (e *endpoints) pick() (*endpoint, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if leader := e.find(e.leader); leader != nil && !leader.rest.After(now) {
		return leader, 0
	}
	return e.pickLocked(now)
}

// pickAny is pick without regard to who leads. Watches use it: any node has all
// events, and the leader has enough to do.
func (e *endpoints) pickAny() (*endpoint, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pickLocked(time.Now())
}

func (e *endpoints) pickLocked(now time.Time) (*endpoint, time.Duration) {
	var best *endpoint
	for i := range e.list {
		one := e.list[(e.next+i)%len(e.list)]
		if best == nil || later(best.rest, one.rest, now) {
			best = one
		}
	}
	return best, max(0, best.rest.Sub(now))
}

// later says that a's rest is over after b's, where what is over is all the same.
func later(a, b, now time.Time) bool { return a.After(now) && a.After(b) }

// answered takes note that the endpoint works.
func (e *endpoints) answered(one *endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	one.failures, one.rest = 0, time.Time{}
}

// Rests of an endpoint that fails: twice as long each time, with a random part
// so that many clients do not come back at once.
const (
	restMin = 50 * time.Millisecond
	restMax = 2 * time.Second
)

// failed lets the endpoint rest, at least as long as it asked for, so that the
// next attempt goes elsewhere.
func (e *endpoints) failed(one *endpoint, f *failure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	rest := backoff(one.failures, restMin, restMax)
	if f.refusal != nil {
		rest = max(rest, f.refusal.RetryAfter)
	}
	one.failures++
	one.rest, one.reason = time.Now().Add(rest), f
	if i := slices.Index(e.list, one); i >= 0 {
		e.next = (i + 1) % len(e.list)
	}
	if e.leader == one.url {
		e.leader = ""
	}
}

// reason returns why the endpoint rests.
func (e *endpoints) reason(one *endpoint) *failure {
	e.mu.Lock()
	defer e.mu.Unlock()
	return one.reason
}

// backoff returns how long to wait after so many failures before: from half of
// shortest, doubled for each, to longest.
func backoff(failures int, shortest, longest time.Duration) time.Duration {
	limit := longest
	if failures < 16 {
		limit = min(longest, shortest<<failures)
	}
	return limit/2 + rand.N(limit/2)
}

// leads takes note of who leads, as a node said.
func (e *endpoints) leads(leader *counter.Leader) {
	if leader == nil || leader.URL == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leader = e.learnLocked(leader.URL)
}

// learn takes note of the members and the leader, and forgets those that it
// had learned of earlier and that are members no more. While a node does not
// know the URL of a member, nothing is forgotten: it could be of that one.
func (e *endpoints) learn(cluster counter.Cluster) {
	e.mu.Lock()
	defer e.mu.Unlock()
	members := make(map[string]bool)
	for _, m := range cluster.Members {
		members[e.learnLocked(m.URL)] = true
	}
	if !members[""] {
		e.list = slices.DeleteFunc(e.list, func(one *endpoint) bool { return !one.given && !members[one.url] })
	}
	e.leader = ""
	if cluster.Leader != nil && cluster.Leader.URL != "" {
		e.leader = e.learnLocked(cluster.Leader.URL)
	}
	close(e.news)
	e.news = make(chan struct{})
}

// learned returns a channel that is closed when a node has said who there is:
// who waits for an endpoint to have rested may find a better one then.
func (e *endpoints) learned() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.news
}

// learnLocked adds an endpoint that a node advertises and returns its URL, "" if
// it is not to be used: a token that was to go over https does not go over http.
func (e *endpoints) learnLocked(text string) string {
	u, err := parseEndpoint(text)
	if err != nil || e.secure && !strings.HasPrefix(u, "https:") {
		return ""
	}
	if e.find(u) == nil {
		e.list = append(e.list, &endpoint{url: u})
	}
	return u
}

func (e *endpoints) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.list)
}
