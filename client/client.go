package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// ErrClosed is what calls of a closed client return.
var ErrClosed = errors.New("the client is closed")

// Client calls a cluster. Its methods may be called from many goroutines at
// once, and one client for a whole process is best: it keeps connections, what
// it has learned of the cluster, and with [WithCoalescing] what is to leave
// together.
type Client struct {
	config    config
	http      *http.Client
	endpoints *endpoints
	clock     clock
	coalescer *coalescer // nil unless coalescing is on

	life       context.Context // ends with Close
	end        context.CancelFunc
	background sync.WaitGroup // who looks at the cluster

	mu      sync.Mutex
	closed  bool
	looking bool      // somebody looks at the cluster
	looked  time.Time // when that was done last
}

// New makes a client of the given endpoints: host:port, or a URL that begins
// with http:// or https://, and may have a path under which a proxy serves the
// node. None means DefaultEndpoint. One is enough: the client learns the others.
// New calls nobody yet.
func New(list []string, options ...Option) (*Client, error) {
	config := config{timeout: DefaultTimeout, attemptTimeout: DefaultAttemptTimeout, discovery: true}
	for _, option := range options {
		option(&config)
	}
	if config.timeout <= 0 || config.attemptTimeout <= 0 || config.coalescing < 0 {
		return nil, errors.New("client: timeouts must be more than 0, and coalescing at least 0")
	}
	if len(list) == 0 {
		list = []string{DefaultEndpoint}
	}
	endpoints, err := newEndpoints(list)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config, http: newHTTPClient(config.http), endpoints: endpoints}
	c.life, c.end = context.WithCancel(context.Background())
	if config.coalescing > 0 {
		c.coalescer = newCoalescer(c, config.coalescing)
	}
	return c, nil
}

// newHTTPClient returns what requests are sent through.
func newHTTPClient(given *http.Client) *http.Client {
	var client http.Client
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		client.Transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:    2 * time.Second,
			MaxIdleConnsPerHost:    256, // many goroutines share one client
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		}
	}
	// A node never redirects. Whoever does is not a node, and must not get the token.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Close sends what was coalesced, waits for its answers, and closes idle
// connections. Calls that are under way go on; later ones fail with ErrClosed.
func (c *Client) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	if c.coalescer != nil {
		c.coalescer.close()
	}
	c.end()
	c.background.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// open returns an error if the client is closed.
func (c *Client) open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed()
	}
	return nil
}

func errClosed() error { return fmt.Errorf("client: %w", ErrClosed) }
