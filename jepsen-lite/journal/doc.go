// Package journal is the committed log as the nodes of a test build applied it:
// what the checkers hold every reply against.
//
// A node appends one JSON line for each command that its state machine applied,
// before any result of it leaves the process:
//
//	{"index":41,"term":3,"command":"AQEA...","revision":41,"values":[[7]]}
//	{"index":42,"term":3,"command":"AQEA...","code":"out_of_range","revision":42,"hash":{"index":42,"hash":"8b54..."}}
//
// The command is the entry of the log as it is, in base64. Revision, code,
// replayed and the lists are the state machine's answer; values are the new
// values of each operation, deleted the keys that it removed. The last line of
// each batch has the state hash. Two more kinds of line say how the state came
// to be, because the lines between them must be without a gap:
//
//	{"start":1234}                                   a process, with its ID, begins with nothing applied
//	{"restored":{"index":1000,"hash":"37fd..."}}     a snapshot has replaced the state
//
// The file is written and not synced: it outlives the process, and must lie
// where faults of the node's disk do not reach. A line that a killed process did
// not finish is followed by the start of the next.
//
// The product contains nothing of this: only the build with the tag jepsen does.
package journal
