// Package httpapi takes HTTP in and gives the words of package counter out: it
// routes, decodes and checks requests, asks a Backend, and encodes its answers
// and errors. Echo lives here and nowhere else.
//
// Every call takes one path, told in call.go: identify, decode, check, ask the
// backend, encode. The route table is in routes.go.
//
// It never decides what a change means, never retries, and keeps no state of
// its own between two requests except its metrics.
package httpapi
