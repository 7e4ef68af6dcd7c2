package storage_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tally/storage"
	"tally/storage/memdisk"
)

// values returns what a registry shows: counters and gauges as they are,
// histograms as their number of observations.
func values(tb testing.TB, registry *prometheus.Registry) map[string]float64 {
	tb.Helper()
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	disk := memdisk.New()
	disk.SetFreeBytes(1 << 40)
	registry := prometheus.NewRegistry()
	config := storage.Config{NodeID: "n1", Fatal: func(error) {}, Registerer: registry}
	store, err := storage.Assemble(disk.Open(), config)
	if err != nil {
		t.Fatal(err)
	}
	mustStore(t, store.Log, entries(1, 10))
	mustStore(t, store.Log, entries(11, 20))
	if err := snapshot(store.Snapshots, 20, "twenty"); err != nil {
		t.Fatal(err)
	}
	disk.Inject(storage.OpCreateSnapshot, memdisk.Fault{Err: syscall.ENOSPC})
	if err := snapshot(store.Snapshots, 20, "twenty"); err == nil {
		t.Fatal("the disk is full, yet a snapshot was made")
	}

	got := values(t, registry)
	for name, want := range map[string]float64{
		"tally_storage_store_logs_seconds":           2,
		"tally_storage_store_logs_entries":           2,
		"tally_storage_errors_total create_snapshot": 1,
		"tally_storage_snapshot_bytes":               6,
		"tally_storage_log_bytes":                    float64(9*len("entry 1") + 11*len("entry 10")),
		"tally_storage_free_bytes":                   1 << 40,
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %v (%v), want %v", name, value, ok, want)
		}
	}

	mustClose(t, store)
	if left := values(t, registry); len(left) > 0 {
		t.Errorf("after Close: %v", left)
	}
}

// One registry can serve one node at a time; the second is told.
func TestMetricsCollide(t *testing.T) {
	config := storage.Config{NodeID: "n1", Fatal: func(error) {}, Registerer: prometheus.NewRegistry()}
	first, err := storage.Assemble(memdisk.New().Open(), config)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := storage.Assemble(memdisk.New().Open(), config); err == nil {
		mustClose(t, second)
		t.Error("two stores in one registry")
	}
	mustStore(t, first.Log, entries(1, 1))
	if got := values(t, config.Registerer.(*prometheus.Registry))["tally_storage_store_logs_entries"]; got != 1 {
		t.Errorf("the refused store took the first one's metrics away: %v", got)
	}
	mustClose(t, first)
	second, err := storage.Assemble(memdisk.New().Open(), config)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, second)
}

func TestFileMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	config := fileConfig(t, filepath.Join(t.TempDir(), "data"))
	config.Registerer = registry
	store, err := storage.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, store)
	for _, name := range []string{"tally_storage_log_bytes", "tally_storage_free_bytes"} {
		if value := values(t, registry)[name]; value <= 0 {
			t.Errorf("%s is %v", name, value)
		}
	}
}
