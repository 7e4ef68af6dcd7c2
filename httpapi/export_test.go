package httpapi

import "tally/identity"

// Anyone is the action of the routes that ask nobody who they are.
const Anyone = anyone

// Route is a line of the route table as the tests of the whole see it.
type Route struct {
	Name, Method, Path string
	Action             identity.Action
	Original           bool
}

// Routes returns the route table.
func Routes() []Route {
	var lines []Route
	for _, rt := range routes() {
		lines = append(lines, Route{rt.name, rt.method, template(rt.path), rt.action, rt.original})
	}
	return lines
}
