package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"tally/counter"
)

// Reply is what a client hears of one request.
type Reply struct {
	// Status is the HTTP status, 0 if the connection broke or could not be made.
	Status int
	// Code is the error's code, "" after success and for broken connections.
	Code counter.Code
	// Definite says of a failed change that it certainly was not made.
	Definite bool
	// Detail is what the error says.
	Detail string
	// Revision and Counters are what the reply carries, if it does.
	Revision uint64
	Counters map[string]int64
	// Replayed says that an earlier attempt with the same idempotency key had this answer.
	Replayed bool
	// ServerTimeMs is the cluster's time where an idempotency key was refused, Unix milliseconds.
	ServerTimeMs int64
	// Header is what the reply begins with.
	Header http.Header
	// Body is the whole of it.
	Body []byte
}

// OK says that the request succeeded.
func (r Reply) OK() bool { return r.Status >= 200 && r.Status < 300 }

// String describes the reply for the message of a failed test.
func (r Reply) String() string {
	switch {
	case r.OK():
		return strings.TrimSpace(string(r.Body))
	case r.Status == 0 && r.Definite:
		return "connection refused"
	case r.Status == 0:
		return "connection broken"
	}
	return string(r.Code) + ": " + r.Detail
}

// Do sends one request to the node and waits for the reply, or for the crash of
// the node's process, which breaks the connection.
func (n *Node) Do(method, path, body string) Reply { return n.DoWith(nil, method, path, body) }

// DoWith is Do with header fields, which win over those that Do sends; one that
// is "" is left out.
func (n *Node) DoWith(header map[string]string, method, path, body string) Reply {
	p := n.current()
	if p == nil {
		return Reply{Definite: true}
	}
	return p.serve(header, method, path, body)
}

// serve runs the handler on a goroutine of its own, which a crash leaves behind.
func (p *process) serve(header map[string]string, method, path, body string) Reply {
	request := httptest.NewRequestWithContext(p.life, method, path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, fields := range []map[string]string{p.machine.cluster.options.Header, header} {
		for name, value := range fields {
			if request.Header.Del(name); value != "" {
				request.Header.Set(name, value)
			}
		}
	}
	recorded := make(chan *httptest.ResponseRecorder, 1)
	p.requests.Add(1)
	go func() {
		defer p.requests.Done()
		w := httptest.NewRecorder()
		p.node.Handler().ServeHTTP(w, request)
		recorded <- w
	}()
	select {
	case w := <-recorded:
		if p.life.Err() == nil { // a dead process answers nobody
			return readReply(w)
		}
	case <-p.life.Done():
	}
	return Reply{}
}

func readReply(w *httptest.ResponseRecorder) Reply {
	r := Reply{Status: w.Code, Header: w.Header(), Body: bytes.Clone(w.Body.Bytes()), Replayed: w.Header().Get("Idempotent-Replayed") == "true"}
	var content struct {
		Code         counter.Code     `json:"code"`
		Definite     bool             `json:"definite"`
		Detail       string           `json:"detail"`
		Revision     uint64           `json:"revision"`
		Counters     map[string]int64 `json:"counters"`
		ServerTimeMs int64            `json:"serverTimeMs"`
	}
	if json.Unmarshal(r.Body, &content) == nil {
		r.Code, r.Definite, r.Detail = content.Code, content.Definite, content.Detail
		r.Revision, r.Counters = content.Revision, content.Counters
		r.ServerTimeMs = content.ServerTimeMs
	}
	return r
}

// Increase increases one counter.
func (n *Node) Increase(group, key string, by int64) Reply {
	body, _ := json.Marshal(map[string]any{"counters": map[string]int64{key: by}}) // such a map always has a JSON form
	return n.Do(http.MethodPost, "/v1/groups/"+url.PathEscape(group)+"/increase", string(body))
}

// Set sets one counter.
func (n *Node) Set(group, key string, value int64) Reply {
	body, _ := json.Marshal(map[string]any{"counters": map[string]int64{key: value}})
	return n.Do(http.MethodPut, "/v1/groups/"+url.PathEscape(group)+"/counters", string(body))
}

// Read reads all counters of a group, linearizably.
func (n *Node) Read(group string) Reply {
	return n.Do(http.MethodGet, "/v1/groups/"+url.PathEscape(group)+"/counters", "")
}

// ReadStale reads what this node has.
func (n *Node) ReadStale(group string) Reply {
	return n.Do(http.MethodGet, "/v1/groups/"+url.PathEscape(group)+"/counters?consistency=stale", "")
}

// AddMember asks the node to let another in as a voter.
func (n *Node) AddMember(id, peerAddr string) Reply {
	body, _ := json.Marshal(counter.NewMember{ID: id, PeerAddr: peerAddr, Voter: true})
	return n.Do(http.MethodPost, "/v1/cluster/members", string(body))
}

// RemoveMember asks the node to take a member out of the cluster.
func (n *Node) RemoveMember(id string) Reply {
	return n.Do(http.MethodDelete, "/v1/cluster/members/"+url.PathEscape(id), "")
}

// TransferLeadership asks the node to have leadership handed to another, "" for any.
func (n *Node) TransferLeadership(to string) Reply {
	var body []byte
	if to != "" {
		body, _ = json.Marshal(map[string]string{"id": to}) // such a map always has a JSON form
	}
	return n.Do(http.MethodPost, "/v1/cluster/leader", string(body))
}

// Status returns the cluster as the node shows it.
func (n *Node) Status() counter.Cluster {
	p := n.Process()
	if p == nil {
		return counter.Cluster{}
	}
	status, err := p.Cluster().Cluster(context.Background())
	if err != nil {
		return counter.Cluster{}
	}
	return status
}

// Member returns the entry of the given member on the node's status.
func (n *Node) Member(id string) (counter.Member, bool) {
	for _, m := range n.Status().Members {
		if m.ID == id {
			return m, true
		}
	}
	return counter.Member{}, false
}
