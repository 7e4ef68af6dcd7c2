package httpapi

import (
	"net/http"

	"tally/counter"
	"tally/identity"
)

// class says what the failures of a route mean.
type class int

const (
	reads       class = iota // changes nothing
	mutates                  // is one mutation of counters; may carry an idempotency key
	administers              // changes the cluster
)

// anyone is the action of routes that ask nobody who they are: they look at this
// process, or tell what there is.
const anyone identity.Action = "call"

// content says what body a route takes.
type content int

const (
	noBody       content = iota // a body is refused: whoever sends one expects it to matter
	jsonBody                    // a JSON object
	optionalBody                // a JSON object or no body at all
	batchBody                   // a JSON object that may be as long as a batch
	untypedBody                 // a JSON object, whatever Content-Type says
)

// route is one line of the API.
type route struct {
	// name is the route's label in metrics and its operationId in docs/openapi.yaml.
	name   string
	method string
	path   string
	// action is what the caller must be allowed to do, or anyone. A route without
	// one cannot be registered.
	action identity.Action
	class  class
	body   content
	// query names the query parameters that the route takes.
	query []string
	// conditional routes take If-Match and If-None-Match.
	conditional bool
	// watches routes wait for events. They exist where there is a hub.
	watches bool
	// original routes are those of original.go: they know their callers and
	// tell of failures in the original's way.
	original bool
	handle   func(*call) *counter.Error

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
		original = "/v4/group_open_http_svc"
	)
	q := func(parameters ...string) []string { return parameters }
	originalQuery := q("sdkappid", "identifier", "usersig", "random", "contenttype")
	return []route{
		{name: "readCounters", method: GET, path: counters, action: identity.ReadCounters, class: reads, query: q("key", "consistency", "int64"), handle: (*call).readCounters},
		{name: "setCounters", method: PUT, path: counters, action: identity.WriteCounters, class: mutates, body: jsonBody, query: q("int64"), conditional: true, handle: (*call).setCounters},
		{name: "deleteCounters", method: DELETE, path: counters, action: identity.WriteCounters, class: mutates, query: q("key", "int64"), handle: (*call).deleteCounters},
		{name: "increaseCounters", method: POST, path: group + "/increase", action: identity.WriteCounters, class: mutates, body: jsonBody, query: q("int64"), handle: (*call).increaseCounters},
		{name: "decreaseCounters", method: POST, path: group + "/decrease", action: identity.WriteCounters, class: mutates, body: jsonBody, query: q("int64"), handle: (*call).decreaseCounters},

		{name: "readCounter", method: GET, path: one, action: identity.ReadCounters, class: reads, query: q("consistency", "int64"), handle: (*call).readCounter},
		{name: "setCounter", method: PUT, path: one, action: identity.WriteCounters, class: mutates, body: jsonBody, query: q("int64"), handle: (*call).setCounter},
		{name: "deleteCounter", method: DELETE, path: one, action: identity.WriteCounters, class: mutates, query: q("int64"), handle: (*call).deleteCounter},
		{name: "increaseCounter", method: POST, path: one + "/increase", action: identity.WriteCounters, class: mutates, body: optionalBody, query: q("int64"), handle: (*call).increaseCounter},
		{name: "decreaseCounter", method: POST, path: one + "/decrease", action: identity.WriteCounters, class: mutates, body: optionalBody, query: q("int64"), handle: (*call).decreaseCounter},

		{name: "batch", method: POST, path: "/v1/batch", action: identity.WriteCounters, class: mutates, body: batchBody, query: q("int64"), handle: (*call).batch},
		{name: "listGroups", method: GET, path: "/v1/groups", action: identity.ListGroups, class: reads, query: q("prefix", "limit", "cursor"), handle: (*call).listGroups},

		{name: "watchGroup", method: GET, path: group + "/watch", action: identity.WatchCounters, class: reads, watches: true, query: q("after", "wait", "key", "int64"), handle: (*call).watchGroup},
		{name: "watchGroups", method: GET, path: "/v1/watch", action: identity.WatchCounters, class: reads, watches: true, query: q("group", "cursor", "wait", "int64"), handle: (*call).watchGroups},
		{name: "watchGroupsByBody", method: POST, path: "/v1/watch", action: identity.WatchCounters, class: reads, watches: true, body: batchBody, query: q("wait", "int64"), handle: (*call).watchGroupsByBody},

		{name: "readCluster", method: GET, path: "/v1/cluster", action: identity.SeeCluster, class: reads, handle: (*call).readCluster},
		{name: "addMember", method: POST, path: "/v1/cluster/members", action: identity.ChangeCluster, class: administers, body: jsonBody, handle: (*call).addMember},
		{name: "removeMember", method: DELETE, path: "/v1/cluster/members/:id", action: identity.ChangeCluster, class: administers, handle: (*call).removeMember},
		{name: "transferLeadership", method: POST, path: "/v1/cluster/leader", action: identity.ChangeCluster, class: administers, body: optionalBody, handle: (*call).transferLeadership},

		{name: "originalUpdate", method: POST, path: original + "/update_group_counter", action: identity.CallOriginal, class: mutates, body: untypedBody, query: originalQuery, original: true, handle: (*call).originalUpdate},
		{name: "originalGet", method: POST, path: original + "/get_group_counter", action: identity.CallOriginal, class: reads, body: untypedBody, query: originalQuery, original: true, handle: (*call).originalGet},
		{name: "originalDelete", method: POST, path: original + "/delete_group_counter", action: identity.CallOriginal, class: mutates, body: untypedBody, query: originalQuery, original: true, handle: (*call).originalDelete},

		{name: "livez", method: GET, path: "/livez", action: anyone, class: reads, handle: (*call).livez},
		{name: "readyz", method: GET, path: "/readyz", action: anyone, class: reads, query: q("verbose"), handle: (*call).readyz},
		{name: "metrics", method: GET, path: "/metrics", action: anyone, class: reads, handle: (*call).metrics},
		{name: "openapi", method: GET, path: "/openapi.yaml", action: anyone, class: reads, handle: (*call).openapi},
		{name: "welcome", method: GET, path: "/", action: anyone, class: reads, handle: (*call).welcome},
	}
}
