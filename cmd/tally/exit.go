package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tally/client"
	"tally/cmd/tally/internal/demo"
	"tally/counter"
)

// Exit codes, as --help lists them; "tally check" has those of monitoring.
// Scripts match on them: never renumber.
const (
	exitOK          = 0
	exitFailure     = 1 // refused or failed: nothing was changed
	exitUsage       = 2
	exitUnknown     = 3 // the change may have been made
	exitUnreachable = 4 // no node, or no leader: nothing was changed
	exitInterrupted = 130
)

// exitCodes is the paragraph of the help pages.
const exitCodes = `Exit codes:
  0    done
  1    refused or failed; nothing was changed
  2    wrong arguments or settings
  3    the change may or may not have been made: repeat it under its idempotency key;
       one of the cluster has none: see tally status
  4    no node answers, or they have no leader; nothing was changed
  130  ended by Ctrl-C before it was done
"tally check" has the exit codes of monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown.
`

// usageError is a mistake in arguments or settings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, arguments ...any) error {
	return usageError{fmt.Errorf(format, arguments...)}
}

// exitError ends the program with a code after everything has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// explanation is what is said of an error, and the exit code.
type explanation struct {
	text string
	next string // what to do about it; "" if the text says so
	code int
}

// explain finds words for an error.
func explain(err error, interrupted bool) explanation {
	text := strings.TrimPrefix(err.Error(), "client: ")
	var code exitError
	switch {
	case errors.As(err, &code):
		return explanation{code: int(code)}
	case errors.Is(err, counter.OutcomeUnknown) && errors.As(err, new(clusterError)):
		return explanation{text, "See whether it was made: tally status", exitUnknown}
	case errors.Is(err, counter.OutcomeUnknown):
		return explanation{text, "Repeat the same command with --idempotency-key and that key: it counts once however often it is sent.", exitUnknown}
	case interrupted && errors.Is(err, context.Canceled):
		return explanation{"interrupted", "", exitInterrupted}
	case errors.As(err, new(usageError)):
		return explanation{text, "", exitUsage}
	case errors.Is(err, client.ErrUnreachable):
		return explanation{text, startOne, exitUnreachable}
	case errors.Is(err, demo.ErrPortBusy):
		return explanation{text, "Is a cluster running already? See: tally status. Or take other ports: tally demo --http-port 18101 (0 takes free ones).", exitFailure}
	}
	return explainCode(err, text)
}

const startOne = `Start three nodes in this terminal with "tally demo", or in the background with "scripts/cluster.sh up";
or say where nodes are: --endpoints host:port,host:port, or TALLY_ENDPOINTS in the environment.`

// explainCode finds words for an error of the closed list.
func explainCode(err error, text string) explanation {
	e := explanation{text, "", exitFailure}
	switch {
	case errors.Is(err, counter.Unauthenticated):
		e.next = "Nodes with --identity jwt want a token: put it into a file and name that with --token-file, or into TALLY_TOKEN.\n" +
			"For development make one: tally token --secret-file FILE --user NAME > token"
	case errors.Is(err, counter.Forbidden):
		e.next = "The token says another role. For development make one: tally token --secret-file FILE --user NAME --role admin > token"
	case errors.Is(err, counter.NoLeader), errors.Is(err, counter.NotLeader):
		e.code = exitUnreachable
		e.next = "See which members are there: tally status"
	case errors.Is(err, counter.RevisionMismatch):
		e.next = "Somebody else has changed the group. Read it again, with its modRevision: tally get GROUP -o json"
	case errors.Is(err, counter.RateLimited):
		e.next = "The limit is that of the token's user; tokens with the role service have none."
	case errors.Is(err, context.DeadlineExceeded):
		e.next = "It took longer than --timeout. See which members are there: tally status"
	}
	return e
}
