package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tally/client"
	"tally/counter"
)

// stream answers with the given text of server-sent events and ends.
func stream(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "retry: 1000\n\n"+text)
	}
}

// likes is a message that likes has become value, at the revision of the same number.
func likes(value int) string {
	return fmt.Sprintf("id: %d\ndata: {\"group\":\"room\",\"revision\":%[1]d,\"events\":[%s]}\n\n", value, likesEvent(value))
}

func likesEvent(value int) string {
	return fmt.Sprintf(`{"revision":%d,"type":"increase","group":"room","key":"likes","value":%[1]d,"delta":1,"timeMs":1}`, value)
}

const resetAt5 = "id: 5\ndata: {\"group\":\"room\",\"revision\":5,\"events\":[{\"type\":\"reset\",\"group\":\"room\",\"revision\":5,\"counters\":{\"likes\":5}}]}\n\n"

func progress(at int) string {
	return fmt.Sprintf("event: progress\nid: %d\ndata: {\"group\":\"room\",\"revision\":%[1]d,\"events\":[]}\n\n", at)
}

// told collects what a watch tells until there are so many, or an error.
func told(c *client.Client, count int, options ...client.WatchOption) (events []string, _ error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for e, err := range c.Watch(ctx, "room", options...) {
		if err != nil {
			return events, err
		}
		if e.Reset != nil {
			events = append(events, fmt.Sprintf("reset %v @%s", e.Reset.Counters, e.Cursor))
		} else {
			events = append(events, fmt.Sprintf("%s %s %d @%s", e.Kind, e.Key, e.Value, e.Cursor))
		}
		if len(events) == count {
			return events, nil
		}
	}
	return events, errors.New("the watch has ended without an error")
}

// TestWatchGoesOn behind the last whole message, whatever happens to connections.
func TestWatchGoesOn(t *testing.T) {
	want := []string{"reset [{likes 5}] @5", "increase likes 6 @6", "increase likes 7 @7", "increase likes 8 @8"}
	for name, steps := range map[string][]http.HandlerFunc{
		"one connection":        {stream(resetAt5 + likes(6) + likes(7) + likes(8))},
		"streams that end":      {stream(resetAt5 + likes(6)), stream(likes(7)), stream(""), stream(likes(8))},
		"cut off in a message":  {stream(resetAt5 + likes(6)[:30]), stream(likes(6) + likes(7)[:len(likes(7))-1]), stream(likes(7) + likes(8))},
		"resets and refusals":   {reset, stream(resetAt5), refuse(counter.TooManyWatchers, nil), reset, proxy(502), stream(likes(6) + likes(7)), refuse(counter.ShuttingDown, nil), stream(likes(8))},
		"what is not JSON":      {stream(resetAt5 + "id: 9\ndata: {\"events\":[}\n\n"), stream(likes(6) + "id: 9\ndata: {}\n\n"), stream(likes(7) + "data: {\"events\":[]}\n\n"), stream(likes(8))},
		"unknown event":         {stream(resetAt5 + strings.Replace(likes(6), "increase", "explode", 1)), stream(likes(6) + likes(7) + likes(8))},
		"comments and newlines": {stream(": hello\n\n" + strings.ReplaceAll(resetAt5, "\n", "\r\n") + ":\n" + likes(6) + likes(7) + likes(8))},
		"progress in between":   {stream(resetAt5 + progress(5)), stream(likes(6) + likes(7)), stream(progress(7)), stream(likes(8))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, steps...)
			got, err := told(dial(t, nil, server), len(want))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// TestWatchAsksForWhatFollows: the position of each connection is that of the
// last whole message, progress included.
func TestWatchAsksForWhatFollows(t *testing.T) {
	server := serve(t, stream(progress(40)), stream(likes(41)+progress(44)+likes(45)[:20]), stream(likes(45)))
	if _, err := told(dial(t, nil, server), 2, client.FromNow(), client.Keys("likes", "views")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range server.requests() {
		got = append(got, r.uri)
	}
	want := []string{"/v1/groups/room/watch?after=now&key=likes&key=views", "/v1/groups/room/watch?after=40&key=likes&key=views", "/v1/groups/room/watch?after=44&key=likes&key=views"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestWatchOfBatch: events of one revision come together; the cursor is on the last.
func TestWatchOfBatch(t *testing.T) {
	server := serve(t, stream("id: 6\ndata: {\"events\":["+likesEvent(6)+","+likesEvent(6)+"]}\n\n"))
	got, err := told(dial(t, nil, server), 2, client.After(5))
	if want := []string{"increase likes 6 @", "increase likes 6 @6"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestWatchEnds with a refusal that will not pass, and with its context.
func TestWatchEnds(t *testing.T) {
	if _, err := told(dial(t, nil, serve(t, stream(resetAt5), refuse(counter.Forbidden, nil))), 9); !errors.Is(err, counter.Forbidden) {
		t.Errorf("got %v", err)
	}
	expired := stream(resetAt5 + "event: expired\ndata: {\"code\":\"unauthenticated\"}\n\n" + likes(6))
	if got, err := told(dial(t, nil, serve(t, expired, refuse(counter.Unauthenticated, nil))), 9); !errors.Is(err, counter.Unauthenticated) || len(got) != 2 {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := told(dial(t, nil, serve(t, stream(resetAt5))), 9, client.Keys("")); !errors.Is(err, counter.InvalidKey) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(w http.ResponseWriter, r *http.Request) {
		stream(resetAt5)(w, r)
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
	var last error
	for _, err := range dial(t, nil, serve(t, open)).Watch(ctx, "room") {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got %v", last)
	}
}

// TestWatchGoesOnTrying until its deadline, and waits as it is told.
func TestWatchGoesOnTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &script{steps: steps(refuse(counter.TooManyWatchers, map[string]any{"retryAfter": 30}))}
		c := virtually(t, server)
		started := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		for _, err := range c.Watch(ctx, "room") {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(started); took != 100*time.Second || len(server.requests()) != 4 {
			t.Errorf("%d requests in %v", len(server.requests()), took)
		}
	})
}

// TestWatchLeavesANodeThatHangs: it goes to another when the answer stays out.
func TestWatchLeavesANodeThatHangs(t *testing.T) {
	c := dial(t, []client.Option{client.WithAttemptTimeout(100 * time.Millisecond)}, serve(t, hang), serve(t, stream(resetAt5)))
	if got, err := told(c, 1); err != nil || len(got) != 1 {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSilentStreamIsLeft: a node sends something every ten seconds, so one that
// does not is gone, whatever its connection says.
func TestSilentStreamIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := virtually(t, nil, client.WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			text, pipe := io.Pipe()
			go func() {
				_, _ = io.WriteString(pipe, likes(6))
				<-r.Context().Done()
				_ = pipe.CloseWithError(r.Context().Err())
			}()
			return &http.Response{StatusCode: http.StatusOK, Body: text}, nil
		})}))
		started := time.Now()
		if _, err := told(c, 2, client.After(5)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took < 20*time.Second || took > 30*time.Second {
			t.Errorf("the second connection came after %v", took)
		}
	})
}

// TestWatchGroups: the cursor goes back as it came, and keys with it.
func TestWatchGroups(t *testing.T) {
	server := serve(t, stream("id: AbC\ndata: {\"cursor\":\"AbC\",\"events\":["+likesEvent(6)+"]}\n\n"), stream("id: AbD\ndata: {\"cursor\":\"AbD\",\"events\":["+likesEvent(7)+"]}\n\n"))
	groups := []client.Selection{{Group: "room", Keys: []string{"likes"}}, {Group: "a \"b\""}}
	var got []string
	for e, err := range dial(t, nil, server).WatchGroups(t.Context(), groups, client.From("Abb")) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.Cursor); len(got) == 2 {
			break
		}
	}
	if !slices.Equal(got, []string{"AbC", "AbD"}) {
		t.Errorf("cursors %q", got)
	}
	for i, cursor := range []string{"Abb", "AbC"} {
		want := `{"groups":[{"group":"room","keys":["likes"]},{"group":"a \"b\""}],"cursor":"` + cursor + `"}`
		if r := server.requests()[i]; r.body != want || r.uri != "/v1/watch" || r.header.Get("Accept") != "text/event-stream" {
			t.Errorf("request %d: %+v", i, r)
		}
	}
}
