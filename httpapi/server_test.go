package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tally/counter"
	"tally/httpapi"
)

// openServer serves a fresh API on a free port until the test ends, when nothing
// of it may be left running.
func openServer(t *testing.T) (*httpapi.Server, *api) {
	t.Helper()
	leavesNothing(t)
	a := newAPI(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpapi.Open(httpapi.ServerConfig{Handler: a.handler, Listener: listener})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, a
}

// leavesNothing fails the test if a goroutine outlives what is cleaned up after this call.
func leavesNothing(t *testing.T) {
	t.Cleanup(func() {
		// net/http lingers half a second on connections whose request it cut short.
		goleak.VerifyNone(t, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
	})
}

func TestServerAnswersAndStops(t *testing.T) {
	server, _ := openServer(t)
	client := &http.Client{Transport: &http.Transport{}}
	url := "http://" + server.Addr().String()
	for _, path := range []string{"/v1/groups/a%2Fb/counters/c%252Fd/increase", "/v1/groups/g/counters/%2E%2E/increase"} {
		response, err := client.Post(url+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != 200 || response.ContentLength != int64(len(body)) || !strings.HasSuffix(string(body), "}\n") {
			t.Errorf("%d %s %v", response.StatusCode, body, err)
		}
	}
	client.CloseIdleConnections()
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-server.Done()
	if err := server.Err(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", server.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

// TestShutdownWaitsForCalls: a call that is with the backend gets its answer.
func TestShutdownWaitsForCalls(t *testing.T) {
	server, a := openServer(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	a.backend.fail = func(context.Context) error {
		close(arrived)
		<-release
		return counter.Errorf(counter.ShuttingDown, "ask another node")
	}
	connection := dial(t, server)
	defer connection.Close()
	send(t, connection, "GET /v1/cluster HTTP/1.1\r\nHost: h\r\n\r\n")
	<-arrived
	stopped := make(chan error)
	go func() { stopped <- server.Shutdown(context.Background()) }()
	<-server.Done() // accepts no more, and still owes an answer
	close(release)
	response := readResponse(t, connection)
	if response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" {
		t.Errorf("%+v", response)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestShutdownIsBounded: a call that never ends is cut off with the context.
func TestShutdownIsBounded(t *testing.T) {
	server, a := openServer(t)
	arrived := make(chan struct{})
	a.backend.fail = func(ctx context.Context) error {
		close(arrived)
		<-ctx.Done() // ends when the connection is closed
		return counter.Errorf(counter.NoLeader, "too late")
	}
	connection := dial(t, server)
	defer connection.Close()
	send(t, connection, "GET /v1/cluster HTTP/1.1\r\nHost: h\r\n\r\n")
	<-arrived
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestShutdownDoesNotWaitForSilentConnections: clients open some in advance that
// they may never use.
func TestShutdownDoesNotWaitForSilentConnections(t *testing.T) {
	server, _ := openServer(t)
	silent, used := dial(t, server), dial(t, server)
	defer silent.Close()
	defer used.Close()
	send(t, used, "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
	readResponse(t, used) // the silent one was accepted before it
	began := time.Now()
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// TestRefusedBodiesAreNotWaitedFor: the answer comes before the body does.
func TestRefusedBodiesAreNotWaitedFor(t *testing.T) {
	server, _ := openServer(t)
	connection := dial(t, server)
	defer connection.Close()
	send(t, connection, "PUT /v1/groups/g/counters HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
	if response := readResponse(t, connection); response.StatusCode != 413 {
		t.Errorf("got %d", response.StatusCode)
	}
}

func TestLongHeadersAreRefused(t *testing.T) {
	server, _ := openServer(t)
	connection := dial(t, server)
	defer connection.Close()
	send(t, connection, "GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", 128<<10)+"\r\n\r\n")
	if response := readResponse(t, connection); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", response.StatusCode)
	}
}

// TestServerSaysWhyItFailed: a listener that breaks ends the server by itself.
func TestServerSaysWhyItFailed(t *testing.T) {
	leavesNothing(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpapi.Open(httpapi.ServerConfig{Handler: newAPI(t).handler, Listener: listener})
	listener.Close()
	<-server.Done()
	if err := server.Err(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := server.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func dial(t *testing.T, server *httpapi.Server) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return connection
}

func send(t *testing.T, connection net.Conn, request string) {
	t.Helper()
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
}

func readResponse(t *testing.T, connection net.Conn) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}
