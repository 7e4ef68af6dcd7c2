// Package client calls a Tally cluster from Go.
//
// A [Client] knows some nodes, learns the others and who leads, and works through
// any of them. It repeats what fails when that is safe, which for changes means
// always: it makes an idempotency key once for each change and sends it with
// every attempt, so a change counts once however often it was sent. When the
// answer stays out, the error says whether the change may have been made:
// [counter.OutcomeUnknown] if it may, anything else if it was not.
//
// Errors that a node gave are *[counter.Error], and errors.Is matches their codes:
//
//	if errors.Is(err, counter.OutOfRange) { ... }
//
// Every call takes a context first. One without a deadline is given the client's
// timeout (see [WithTimeout]), but watches last as long as their context.
//
// The package imports nothing of the server but the nouns in package counter. It
// never keeps anything on disk, never reads the environment, and never logs.
package client
