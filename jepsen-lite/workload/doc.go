// Package workload sends requests to a running cluster, and writes down each of
// them before it leaves and what came of it.
//
// A workload is one kind of traffic, in a file of its own:
//
//	register   set, conditional set, delete and read of one counter
//	counter    increase, decrease and read of one counter
//	ticket     increase by one: every caller gets another number
//	retry      each change is sent one to four times, through several nodes, under one idempotency key
//	several    several counters of a group at once
//	batch      transfers between groups
//	watch      changes of a few groups, and watchers of them in every form
//	limit      users who call more often than they may
//	edges      values at the ends of int64, and groups that are full
//
// Every client is pinned to one node, also while that node is cut off or dead:
// stale answers live there. Clients speak plain HTTP and repeat no change, and
// net/http is kept from doing so; a reading that finds its connection closed may be
// sent again, which all happens between its invocation and its return. Only
// watchers, and the attempts of the retry workload, go from node to node.
//
// The groups that a workload uses are given up after a number of requests, so
// that each has a short history, which a checker of linearizability can decide.
// A group is named after its workload and a number; what follows a dot tells
// apart the groups that are changed together. The watch workload keeps its groups.
package workload
