package main

import (
	"runtime"
	"testing"
)

func TestHeadroomIsGenerousWhileTheHeapIsSmall(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live        uint64
		wantPercent int
	}{
		{0, 400}, {1 * mb, 400}, {8 * mb, 400}, {12 * mb, 400}, {16 * mb, 300}, {48 * mb, 100}, {64 * mb, 75}, {96 * mb, 50}, {4096 * mb, 50},
	} {
		if got := gcPercent(c.live); got != c.wantPercent {
			t.Errorf("gcPercent(%d MB) = %d, want %d", c.live/mb, got, c.wantPercent)
		}
	}
}

func TestRestBeginsOnceAfterWork(t *testing.T) {
	const busy, idle = restBytesPerSec + 1, restBytesPerSec
	var r rest
	allocated := uint64(0)
	look := func(bytes uint64) bool {
		allocated += bytes
		return r.begins(allocated)
	}
	for range 3 {
		if look(busy) {
			t.Fatal("a node at work rests")
		}
		for i := 1; i <= 10; i++ {
			if got := look(idle); got != (i == restLooks) {
				t.Fatalf("after %d quiet looks: %v", i, got)
			}
		}
	}
	look(busy)
	for range restLooks - 1 {
		look(idle)
	}
	if look(busy) || look(idle) {
		t.Error("work did not end the rest that had not begun")
	}
}

func TestEveryCollectionIsNoticed(t *testing.T) {
	collections := afterCollections()
	for range 3 {
		runtime.GC()
		<-collections
	}
}
