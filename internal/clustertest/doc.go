// Package clustertest runs whole Tally nodes, as many as a test wants, in one
// process and in virtual time: real Raft, real peer ports, the real HTTP
// handler, on a network and on disks in memory that fail when they are told to.
//
//	clustertest.Run(t, clustertest.Options{Nodes: 3}, func(t *testing.T, c *clustertest.Cluster) {
//		leader := c.WaitLeader()
//		leader.Increase("live:1", "likes", 1)
//		leader.Crash()
//		c.WaitLeader()
//		...
//	})
//
// Everything of one cluster lives in one bubble of testing/synctest. Time stands
// still while any goroutine can run, so a test waits for conditions, never for
// luck, and hours of it cost seconds. Which goroutine runs first is up to the
// runtime: a seed fixes the faults of a run and not its every step.
//
// A Crash is a power loss. What was not synced is gone, what the process still
// does reaches nobody, and its clients' connections break. A node that calls
// Fatal crashes in the same way.
//
// Methods that wait fail the test when what they wait for does not come; they
// belong on the goroutine of the test.
package clustertest
