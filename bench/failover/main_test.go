package main

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"
)

func TestGaps(t *testing.T) {
	at := func(milliseconds int) time.Time { return time.UnixMilli(int64(milliseconds)) }
	w := &writers{acks: [][]time.Time{
		{at(5), at(110), at(800), at(990)},
		{at(105), at(300), at(900)},
	}}
	nobody, slowest := w.gaps(at(100), at(1000))
	if nobody != 500*time.Millisecond || slowest != 690*time.Millisecond {
		t.Errorf("got %v and %v, want 500ms (300 to 800) and 690ms (110 to 800)", nobody, slowest)
	}
	if nobody, _ := (&writers{acks: [][]time.Time{{at(50)}}}).gaps(at(100), at(1000)); nobody != 900*time.Millisecond {
		t.Errorf("without any acknowledgement the gap is all of it, got %v", nobody)
	}
}

func TestDistribution(t *testing.T) {
	var seconds []float64
	for i := 20; i >= 1; i-- {
		seconds = append(seconds, float64(i))
	}
	if got, want := distributionOf(seconds), (distribution{Median: 10, P90: 18, Worst: 20}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := distributionOf([]float64{7}), (distribution{Median: 7, P90: 7, Worst: 7}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestIndefinite(t *testing.T) {
	for _, test := range []struct {
		status int
		err    error
		want   bool
	}{
		{http.StatusServiceUnavailable, nil, false},
		{http.StatusGatewayTimeout, nil, true},
		{0, errors.New("connection reset"), true},
		{0, syscall.ECONNREFUSED, false},
	} {
		if got := indefinite(test.status, test.err); got != test.want {
			t.Errorf("%d, %v: got %v", test.status, test.err, got)
		}
	}
}
