// Package demo runs a cluster of three nodes inside one process, with a light
// load on it, for somebody who wants to see what Tally does before reading how.
//
// The nodes are real: package node as tallyd runs it, files in a temporary
// directory, TCP on loopback. Being in one process, they cannot be given the
// signals that processes get, so what is done to them is done to their traffic,
// and is named for what it is:
//
//   - kill: all of the node's connections break, its ports close, and then it is
//     closed without handing anything over. Its files stay, as after SIGKILL.
//   - pause: nothing reaches the node and nothing leaves it, and connections stay
//     open. Unlike after SIGSTOP its own clocks go on, so it notices that it is
//     alone.
//   - start: the node is opened again on its files and addresses.
//
// The package prints to what it is given, and removes what it has written.
package demo
