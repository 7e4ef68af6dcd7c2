package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Bounds of a connection. There is no bound on writing a reply here, because a
// watch writes for hours: each reply sets its own. That on reading does not end
// a watch: net/http lifts it when the request has been read.
const (
	headerTimeout  = 5 * time.Second  // from the first byte of a request to the end of its header
	readTimeout    = 15 * time.Second // ... to the end of its body
	idleTimeout    = 2 * time.Minute  // between two requests
	headerBytesMax = 64 << 10         // request line and header fields
)

// ServerConfig is what a Server needs. Handler and Listener are required.
type ServerConfig struct {
	Handler http.Handler
	// Listener is where clients come in; the server closes it.
	Listener net.Listener
	Logger   hclog.Logger
}

// Server owns a listener, its connections, and the goroutine that accepts them.
type Server struct {
	http     *http.Server
	listener net.Listener
	silent   sync.Map      // of net.Conn: no whole request has come on them yet
	done     chan struct{} // closed when accepting has ended
	err      error         // why it ended, nil if it was told to; read after done
}

// Open begins to answer. The caller must call Shutdown or Close.
func Open(config ServerConfig) *Server {
	if config.Logger == nil {
		config.Logger = hclog.NewNullLogger()
	}
	s := &Server{listener: config.Listener, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           config.Handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
		ConnContext:       withPacer,
		ConnState:         s.noteState,
		ErrorLog:          config.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
	}
	go s.serve()
	return s
}

func (s *Server) serve() {
	defer close(s.done)
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.err = err
	}
}

// Addr returns the address at which the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Done is closed when the server accepts no more, which before Shutdown or Close
// means that it failed; Err says why.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server stopped accepting, nil if it was told to. It waits for Done.
func (s *Server) Err() error {
	<-s.done
	return s.err
}

// Shutdown stops accepting, waits until every request is answered or ctx ends,
// and closes all connections. It returns ctx's error if requests were cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	var silent sync.WaitGroup
	silent.Go(s.closeSilent)
	err := s.http.Shutdown(ctx)
	err = errors.Join(err, s.Close())
	silent.Wait()
	return err
}

func (s *Server) noteState(c net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.silent.Store(c, nil)
		return
	}
	s.silent.Delete(c)
}

// closeSilent closes, once no more are accepted, the connections on which nothing
// was asked. net/http would not answer them either, and waits for each until it
// is 5 s old; clients open connections in advance that they never use.
func (s *Server) closeSilent() {
	<-s.done
	for c := range s.silent.Range {
		_ = c.(net.Conn).Close()
	}
}

// Close stops at once: requests in flight are cut off.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}
