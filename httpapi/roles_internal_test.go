package httpapi

import (
	"strings"
	"testing"
)

// TestRouteWithoutActionIsRefused: who forgets to say who may call a route cannot
// have it served.
func TestRouteWithoutActionIsRefused(t *testing.T) {
	h, err := New(Config{Backend: noBackend{}})
	if err != nil {
		t.Fatal(err)
	}
	forgotten := route{name: "forgotten", method: "GET", path: "/v1/forgotten", class: reads, handle: (*call).livez}
	if err := h.register([]route{forgotten}); err == nil || !strings.Contains(err.Error(), "forgotten") {
		t.Errorf("got %v", err)
	}
}

// noBackend is never called.
type noBackend struct{ Backend }
