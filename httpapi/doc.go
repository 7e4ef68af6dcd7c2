// Package httpapi takes HTTP in and gives the words of package counter out: it
// routes, decodes and checks requests, asks a Backend, and encodes its answers
// and errors. Echo lives here and nowhere else.
//
// Every call takes one path, told in call.go: identify, decode, check, ask the
// backend, encode. The route table is in routes.go.
//
// A watch begins as such a call too. One that has to wait goes on as a watcher
// (watch.go) when its call is over: a long poll (poll.go) or a stream of
// server-sent events (stream.go), on the goroutine of its connection.
//
// original.go answers programs that were written for the server API of the
// original, in its words.
//
// It never decides what a change means, never retries, and keeps no state of
// its own between two requests except its metrics and the pace of a
// connection's long polls.
package httpapi
