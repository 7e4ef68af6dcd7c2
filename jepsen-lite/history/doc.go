// Package history is what clients and faults did in one run, in the order in
// which it was written down.
//
// A history is a file of JSON lines. Every line has a type and a time: the
// nanoseconds since the run began, by one monotonic clock for all that write.
//
//	run      the first line: seed, command line, nodes
//	invoke   a client is about to send a request
//	ok       the request was answered, and did what it asked for
//	fail     the request certainly did nothing
//	info     nobody knows what the request did
//	message  a watcher was told something
//	fault    a fault begins or ends
//	hash     what a node said of its state hash
//	end      the last line: the run came to its end
//
// An invocation is written to the file before the request leaves: what the log
// of the cluster holds and the history does not was made up by the cluster. The
// number of an invocation, its ID, is also the X-Request-Id of the request, and
// so stands in the cluster's log.
//
// # ok, fail and info
//
// What counts as which is decided in Classify and nowhere else:
//
//	what the client saw                                 a change  a read
//	2xx with a whole and valid body                     ok        ok
//	an error with "definite": true                      fail      fail
//	no connection could be made, so no byte was sent    fail      fail
//	an error with "definite": false                     info      fail
//	anything else: time-out, reset, end of file,        info      fail
//	a cut or broken body, a status that is no JSON
//
// A whole reply that makes no sense is marked as malformed besides: no node may
// send one, whatever came of the request.
//
// A read that failed says nothing and is left out by the checkers. After info
// the request may take effect at any later time, so the client goes on as a new
// process: a process has one request at a time.
//
// Nothing is sent twice, but for the retry workload, where each attempt is an
// invocation of its own and all of them carry the same idempotency key.
package history
