package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"
)

// curveConnections is enough for each rate to be reached as long as the system
// keeps up: what is late then is late because of the system.
const curveConnections = 256

// curvePoint is the latency at one rate of an open loop.
type curvePoint struct {
	Offered float64       `json:"offeredPerSecond"`
	Served  float64       `json:"servedPerSecond"`
	P50     time.Duration `json:"p50Ns"`
	P99     time.Duration `json:"p99Ns"`
}

type curveLine struct {
	Name   string       `json:"name"`
	Points []curvePoint `json:"points"`
}

// curve measures every system at rates that rise by the same steps, and plots
// p99 over the rate. A line ends behind the first rate that is not kept up with.
func (s *systems) curve(ctx context.Context, o options) error {
	type candidate struct {
		name string
		run  func(context.Context, Load) (Sample, error)
		load Load
	}
	candidates := []candidate{
		{"tally", func(ctx context.Context, l Load) (Sample, error) { return s.bolt.load(ctx, false, l) }, Load{Request: tallyIncrease(groups)}},
		{"tally-wal", func(ctx context.Context, l Load) (Sample, error) { return s.wal.load(ctx, false, l) }, Load{Request: tallyIncrease(groups)}},
	}
	if s.etcd != nil {
		candidates = append(candidates, candidate{"etcd-http put", s.etcd.load, Load{Request: etcdPut()}})
	}
	var lines []curveLine
	for _, c := range candidates {
		line := curveLine{Name: c.name}
		for offered := 1000.0; offered <= 64000; offered *= math.Sqrt2 {
			load := c.load
			load.Connections, load.PerSecond = curveConnections, offered
			limited, cancel := context.WithTimeout(ctx, o.duration)
			sample, err := c.run(limited, load)
			cancel()
			if err != nil {
				return fmt.Errorf("%s at %.0f a second: %w", c.name, offered, err)
			}
			line.Points = append(line.Points, curvePoint{offered, sample.PerSecond, sample.P50, sample.P99})
			if sample.PerSecond < 0.95*offered {
				break
			}
		}
		lines = append(lines, line)
	}
	if o.json {
		if err := json.NewEncoder(os.Stdout).Encode(lines); err != nil {
			return err
		}
	} else {
		printCurve(lines)
	}
	return os.WriteFile(o.curve, []byte(plot(lines)), 0o644)
}

func printCurve(lines []curveLine) {
	fmt.Println("\ncurve: an open loop, latency from when a request was due")
	for _, line := range lines {
		fmt.Printf("  %s\n", line.Name)
		for _, p := range line.Points {
			fmt.Printf("    offered %6.0f/s, served %6.0f/s, p50 %v, p99 %v\n", p.Offered, p.Served, p.P50.Round(10*time.Microsecond), p.P99.Round(10*time.Microsecond))
		}
	}
}

// The plot: both axes are logarithmic.
const (
	plotWidth, plotHeight, plotMargin = 760, 420, 60

	rateFrom, rateTo       = 1000.0, 64000.0
	latencyFrom, latencyTo = 0.5, 2000.0 // milliseconds
)

func plotX(perSecond float64) float64 {
	return plotMargin + math.Log(perSecond/rateFrom)/math.Log(rateTo/rateFrom)*(plotWidth-2*plotMargin)
}

func plotY(latency time.Duration) float64 {
	ms := min(max(float64(latency)/float64(time.Millisecond), latencyFrom), latencyTo)
	return plotHeight - plotMargin - math.Log(ms/latencyFrom)/math.Log(latencyTo/latencyFrom)*(plotHeight-2*plotMargin)
}

// plot draws p99 over the rate that was offered.
func plot(lines []curveLine) string {
	colours := []string{"#2b6cb0", "#2f855a", "#c05621"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", plotWidth, plotHeight)
	for _, perSecond := range []float64{1000, 2000, 4000, 8000, 16000, 32000, 64000} {
		x := plotX(perSecond)
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`+"\n", x, plotMargin, plotHeight-plotMargin, x, plotHeight-plotMargin+18, perSecond)
	}
	for _, ms := range []float64{1, 10, 100, 1000} {
		y := plotY(time.Duration(ms * float64(time.Millisecond)))
		fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f ms</text>`+"\n", plotMargin, y, plotWidth-plotMargin, plotMargin-6, y+4, ms)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">changes offered a second</text><text x="%d" y="24">p99, from when a request was due</text>`+"\n", plotWidth/2, plotHeight-14, plotMargin)
	for i, line := range lines {
		var points []string
		for _, p := range line.Points {
			points = append(points, fmt.Sprintf("%.1f,%.1f", plotX(p.Offered), plotY(p.P99)))
		}
		colour := colours[i%len(colours)]
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n",
			strings.Join(points, " "), colour, plotMargin+14, plotMargin+18+16*i, colour, line.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
