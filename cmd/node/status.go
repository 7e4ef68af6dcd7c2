package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"tally/counter"
)

// answerBytesMax is more than any answer these commands ask for.
const answerBytesMax = 1 << 20

// ask sends one GET, with a token unless it is "", and returns the status and
// the body.
func ask(ctx context.Context, url, token string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	return response.StatusCode, body, err
}

// waitReady waits until every node answers that it is ready, for at most wait
// but asking at least once. The error says what the last answer was.
func waitReady(ctx context.Context, urls []string, wait time.Duration) error {
	const pause = 50 * time.Millisecond
	deadline := time.Now().Add(wait)
	for _, url := range urls {
		for {
			err := askReady(ctx, url)
			if err == nil {
				break
			}
			if time.Now().Add(pause).After(deadline) {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(pause):
			}
		}
	}
	return nil
}

func askReady(ctx context.Context, url string) error {
	status, body, err := ask(ctx, url+"/readyz?verbose", "")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s is not ready:\n%s", url, strings.TrimSpace(string(body)))
	}
	return nil
}

// errRefused means that a node does not know the caller, or does not let it look.
var errRefused = errors.New("refuses the caller")

// firstView returns the cluster as the first node that answers sees it.
func firstView(ctx context.Context, urls []string, token string) (counter.Cluster, error) {
	var failures []error
	for _, url := range urls {
		view, err := viewOf(ctx, url, token)
		if err == nil {
			return view, nil
		}
		if errors.Is(err, errRefused) {
			return view, err // as the other nodes will
		}
		failures = append(failures, err)
	}
	return counter.Cluster{}, errors.Join(failures...)
}

func viewOf(ctx context.Context, url, token string) (view counter.Cluster, err error) {
	status, body, err := ask(ctx, url+"/v1/cluster", token)
	if err != nil {
		return view, err
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		var problem struct{ Detail string }
		_ = json.Unmarshal(body, &problem) // without its words the status has to do
		return view, fmt.Errorf("%s %w (%d): %s\nGive the token of an admin in a file with --token-file, or in %s", url, errRefused, status, problem.Detail, tokenVariable)
	}
	if status != http.StatusOK {
		return view, fmt.Errorf("%s answers %d: %s", url, status, strings.TrimSpace(string(body)))
	}
	if err := json.Unmarshal(body, &view); err != nil {
		return view, fmt.Errorf("%s does not answer as a node of Tally: %w", url, err)
	}
	return view, nil
}

func printLeader(out io.Writer, view counter.Cluster) error {
	if view.Leader == nil {
		return fmt.Errorf("%s sees no leader", view.Node)
	}
	_, err := fmt.Fprintln(out, view.Leader.ID)
	return err
}

func printMembers(out io.Writer, view counter.Cluster) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tROLE\tTERM\tAPPLIED\tSTATE HASH\tHTTP\tPEERS")
	for _, m := range view.Members {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			m.ID, roleOf(m), view.Term, appliedOf(m), hashOf(m), m.URL, m.PeerAddr)
	}
	return table.Flush()
}

func roleOf(m counter.Member) string {
	role := string(m.Role)
	if !m.Reachable {
		role = "unreachable"
	}
	if !m.Voter {
		role += " (no vote)"
	}
	return role
}

func appliedOf(m counter.Member) string {
	if !m.Reachable {
		return "-"
	}
	return fmt.Sprint(m.AppliedIndex)
}

func hashOf(m counter.Member) string {
	if m.StateHash == nil {
		return "-"
	}
	return fmt.Sprintf("%s @ %d", m.StateHash.Hash, m.StateHash.Index)
}
