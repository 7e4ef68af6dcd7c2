// Package counter holds the nouns of Tally and their rules: groups, keys,
// operations and mutations, results, events, limits, and the closed list of
// errors. Everything else points at it; it imports the standard library only.
//
// It never does I/O, never reads a clock, and keeps no state.
package counter
