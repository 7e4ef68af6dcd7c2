package httpapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are this package's figures, registered where Config says.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	polls    watchMetrics
	streams  watchMetrics
	dropped  prometheus.Counter
}

// watchMetrics are the figures of one form of watching.
type watchMetrics struct {
	open    prometheus.Gauge
	replies prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tally_http_requests_total",
			Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tally_http_request_seconds",
			Help:    "Time from the request's header to the end of the reply. Watches, which wait for events, are not in it.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tally_http_requests_in_flight",
			Help: "Requests that are being answered now. Watches that wait are not among them.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tally_http_streams_dropped_total",
			Help: "Streams that ended because the client did not read what it was sent.",
		}),
	}
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tally_http_watches_open", Help: "Watches that wait for events, by form."}, []string{"form"})
	replies := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tally_http_watch_replies_total", Help: "Replies with events that watches were sent, by form; a stream is sent many."}, []string{"form"})
	for form, figures := range map[string]*watchMetrics{"poll": &m.polls, "stream": &m.streams} {
		*figures = watchMetrics{open: open.WithLabelValues(form), replies: replies.WithLabelValues(form)}
	}
	if registerer == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{m.requests, m.seconds, m.inFlight, open, replies, m.dropped} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// routeMetrics are the figures of one route.
type routeMetrics struct {
	requests *prometheus.CounterVec    // by method and status
	method   string                    // the route's own
	ok       func() prometheus.Counter // of requests with that method and 200, which nearly all are; made with the first
	seconds  prometheus.Observer       // nil for a watch: how long it waits says nothing about the node
}

func (m *metrics) route(rt *route) routeMetrics {
	requests := m.requests.MustCurryWith(prometheus.Labels{"route": rt.name})
	found := routeMetrics{
		requests: requests,
		method:   rt.method,
		ok:       sync.OnceValue(func() prometheus.Counter { return requests.WithLabelValues(rt.method, "200") }),
	}
	if !rt.watches {
		found.seconds = m.seconds.WithLabelValues(rt.name)
	}
	return found
}

func (m routeMetrics) observe(method string, status int, took time.Duration) {
	if m.seconds != nil {
		m.seconds.Observe(took.Seconds())
	}
	if status == http.StatusOK && method == m.method {
		m.ok().Inc()
		return
	}
	m.requests.WithLabelValues(knownMethod(method), strconv.Itoa(status)).Inc()
}

// knownMethod keeps callers from making a new time series with each word they invent.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
