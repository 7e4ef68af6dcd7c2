package httpapi

import (
	"net/http"

	"tally/counter"
)

// class says what a route is for: who may call it, and what its failures mean.
type class int

const (
	observes    class = iota // looks at this process; needs no identity
	reads                    // changes nothing
	mutates                  // is one mutation of counters; may carry an idempotency key
	administers              // changes the cluster
)

// content says what body a route takes.
type content int

const (
	noBody       content = iota // a body is refused: whoever sends one expects it to matter
	jsonBody                    // a JSON object
	optionalBody                // a JSON object or no body at all
	batchBody                   // a JSON object that may be as long as a batch
)

// route is one line of the API.
type route struct {
	// name is the route's label in metrics and its operationId in docs/openapi.yaml.
	name   string
	method string
	path   string
	class  class
	body   content
	// query names the query parameters that the route takes.
	query []string
	// conditional routes take If-Match and If-None-Match.
	conditional bool
	// watches routes wait for events. They exist where there is a hub.
	watches bool
	handle  func(*call) *counter.Error

	// allow is the Allow header of the route's path.
	allow string
}

// routes returns the whole API. GET routes answer HEAD too, and every path
// answers OPTIONS.
func routes() []route {
	const (
		GET, PUT, POST, DELETE = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete

		group    = "/v1/groups/:group"
		counters = group + "/counters"
		one      = counters + "/:key"
	)
	q := func(parameters ...string) []string { return parameters }
	return []route{
		{name: "readCounters", method: GET, path: counters, class: reads, query: q("key", "consistency", "int64"), handle: (*call).readCounters},
		{name: "setCounters", method: PUT, path: counters, class: mutates, body: jsonBody, query: q("int64"), conditional: true, handle: (*call).setCounters},
		{name: "deleteCounters", method: DELETE, path: counters, class: mutates, query: q("key", "int64"), handle: (*call).deleteCounters},
		{name: "increaseCounters", method: POST, path: group + "/increase", class: mutates, body: jsonBody, query: q("int64"), handle: (*call).increaseCounters},
		{name: "decreaseCounters", method: POST, path: group + "/decrease", class: mutates, body: jsonBody, query: q("int64"), handle: (*call).decreaseCounters},

		{name: "readCounter", method: GET, path: one, class: reads, query: q("consistency", "int64"), handle: (*call).readCounter},
		{name: "setCounter", method: PUT, path: one, class: mutates, body: jsonBody, query: q("int64"), handle: (*call).setCounter},
		{name: "deleteCounter", method: DELETE, path: one, class: mutates, query: q("int64"), handle: (*call).deleteCounter},
		{name: "increaseCounter", method: POST, path: one + "/increase", class: mutates, body: optionalBody, query: q("int64"), handle: (*call).increaseCounter},
		{name: "decreaseCounter", method: POST, path: one + "/decrease", class: mutates, body: optionalBody, query: q("int64"), handle: (*call).decreaseCounter},

		{name: "batch", method: POST, path: "/v1/batch", class: mutates, body: batchBody, query: q("int64"), handle: (*call).batch},
		{name: "listGroups", method: GET, path: "/v1/groups", class: reads, query: q("prefix", "limit", "cursor"), handle: (*call).listGroups},

		{name: "watchGroup", method: GET, path: group + "/watch", class: reads, watches: true, query: q("after", "wait", "key", "int64"), handle: (*call).watchGroup},
		{name: "watchGroups", method: GET, path: "/v1/watch", class: reads, watches: true, query: q("group", "cursor", "wait", "int64"), handle: (*call).watchGroups},
		{name: "watchGroupsByBody", method: POST, path: "/v1/watch", class: reads, watches: true, body: batchBody, query: q("wait", "int64"), handle: (*call).watchGroupsByBody},

		{name: "readCluster", method: GET, path: "/v1/cluster", class: reads, handle: (*call).readCluster},
		{name: "addMember", method: POST, path: "/v1/cluster/members", class: administers, body: jsonBody, handle: (*call).addMember},
		{name: "removeMember", method: DELETE, path: "/v1/cluster/members/:id", class: administers, handle: (*call).removeMember},
		{name: "transferLeadership", method: POST, path: "/v1/cluster/leader", class: administers, body: optionalBody, handle: (*call).transferLeadership},

		{name: "livez", method: GET, path: "/livez", class: observes, handle: (*call).livez},
		{name: "readyz", method: GET, path: "/readyz", class: observes, query: q("verbose"), handle: (*call).readyz},
		{name: "metrics", method: GET, path: "/metrics", class: observes, handle: (*call).metrics},
		{name: "openapi", method: GET, path: "/openapi.yaml", class: observes, handle: (*call).openapi},
		{name: "welcome", method: GET, path: "/", class: observes, handle: (*call).welcome},
	}
}
