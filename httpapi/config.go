package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"tally/identity"
	"tally/watch"
)

// Defaults of Config.
const (
	DefaultRequestTimeout = 5 * time.Second
	DefaultBodyBytesMax   = 64 << 10
	DefaultBatchBytesMax  = 1 << 20
	DefaultWatchInterval  = 20 * time.Millisecond
	// TopicGroups matches the group IDs that name a topic of a topic-enabled
	// community: those have no group counters.
	TopicGroups = "*@TOPIC#*"
)

// Config is what a Handler needs. Backend is required; the zero value of every
// other field is a sensible default.
type Config struct {
	Backend Backend
	Logger  hclog.Logger
	// Registerer takes this package's metrics; nil means that they are not shown.
	Registerer prometheus.Registerer
	// Gatherer is what GET /metrics shows; nil means that there is no such path.
	Gatherer prometheus.Gatherer
	// MetricsForAdmins makes GET /metrics ask for a caller who may see the cluster.
	MetricsForAdmins bool
	// RequestTimeout is how long the backend may take for one request.
	RequestTimeout time.Duration
	// Hub has the events that watchers are sent; its Encode must be EncodeEvents.
	// Nil means that there are no paths to watch.
	Hub *watch.Hub
	// WatchInterval is the shortest interval between two replies to one watcher
	// that is busy: see the comment of pacer.
	WatchInterval time.Duration
	// BodyBytesMax is the longest body of a request, BatchBytesMax of a batch
	// and of a watch.
	BodyBytesMax, BatchBytesMax int64
	// CORSOrigins are the origins whose pages may call this node, each as a
	// browser sends it ("https://example.org"), with any port
	// ("http://localhost:*"), or "*" for every origin.
	CORSOrigins []string
	// RefuseGroups are patterns of group IDs that are refused with
	// counter.UnsupportedGroup. In a pattern * stands for any characters or none
	// and everything else for itself; it must match the whole ID. Nil means
	// TopicGroups; an empty slice refuses nothing.
	RefuseGroups []string
	// Authenticate says who sends a request with this header; its errors are
	// *counter.Error. Nil means identity.None.
	Authenticate func(http.Header) (identity.Principal, error)
	// AuthenticateOriginal says the same by the query of a request for the
	// original's server API. Nil means that Authenticate knows its callers too.
	AuthenticateOriginal func(url.Values) (identity.Principal, error)
	// NodeID, Version and ListenURL are for people: GET / shows them.
	NodeID, Version, ListenURL string
}

// withDefaults returns the configuration with every zero value replaced.
func (c Config) withDefaults() (Config, error) {
	if c.Backend == nil {
		return c, errors.New("httpapi: Config.Backend is required")
	}
	if c.RequestTimeout < 0 || c.WatchInterval < 0 || c.BodyBytesMax < 0 || c.BatchBytesMax < 0 {
		return c, errors.New("httpapi: timeouts and sizes must not be negative")
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = DefaultRequestTimeout
	}
	if c.WatchInterval == 0 {
		c.WatchInterval = DefaultWatchInterval
	}
	if c.BodyBytesMax == 0 {
		c.BodyBytesMax = DefaultBodyBytesMax
	}
	if c.BatchBytesMax == 0 {
		c.BatchBytesMax = DefaultBatchBytesMax
	}
	if c.RefuseGroups == nil {
		c.RefuseGroups = []string{TopicGroups}
	}
	if c.Authenticate == nil {
		c.Authenticate = identity.None
	}
	return c, nil
}
