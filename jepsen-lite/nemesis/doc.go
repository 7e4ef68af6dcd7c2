//go:build linux

// Package nemesis breaks a running cluster in every way it knows, proves of each
// fault that it has bitten, and heals it.
//
// A Kind is one way to break something, as a function that reads top down: choose
// whom to hit, break it, wait for the evidence, heal. Run plays kinds in an order
// that follows from the seed, alone and two at a time, and records every one of
// them in the history of the run. A fault without evidence makes the run invalid:
// what did not bite has tested nothing.
package nemesis
