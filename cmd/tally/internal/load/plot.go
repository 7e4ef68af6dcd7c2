package load

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"
)

// The size of a plot, and of the room around what is drawn, in pixels.
const (
	plotWidth, plotHeight                    = 800.0, 450.0
	plotLeft, plotRight, plotTop, plotBottom = 90.0, 30.0, 60.0, 60.0
)

// WritePlot draws the distribution as SVG: how long (upward) so many of the
// requests took at most (to the right, each equal step one more "nine").
func (r *Report) WritePlot(out io.Writer, title string) error {
	if len(r.Percentiles) == 0 {
		return fmt.Errorf("nothing to plot: no request was acknowledged")
	}
	p := newPlot(r)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="13">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<text x="%g" y="24" font-size="16">%s</text>`+"\n", plotLeft, html.EscapeString(title))
	fmt.Fprintf(&b, `<text x="%g" y="44" font-size="12" fill="#555">%s</text>`+"\n", plotLeft, html.EscapeString(r.caption()))
	p.axes(&b)
	points := make([]string, len(r.Percentiles))
	for i, point := range r.Percentiles {
		points[i] = fmt.Sprintf("%.1f,%.1f", p.x(point.Percentile), p.y(point.Latency))
	}
	fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="#06c" stroke-width="2"/>`+"\n</svg>\n", strings.Join(points, " "))
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *Report) caption() string {
	pace := fmt.Sprintf("closed loop, %d under way", r.Workers)
	if r.Loop == "open" {
		pace = fmt.Sprintf("open loop, %g/s due and timed from then", r.Rate)
	}
	return fmt.Sprintf("%s; %.0f/s acknowledged for %.0f s; %d failed, %d not sent", pace, r.PerSecond, r.Seconds, r.Failed, r.NotSent)
}

// plot turns figures into places.
type plot struct {
	nines float64 // how many the x axis shows
	top   time.Duration
	step  time.Duration // between lines across
}

func newPlot(r *Report) plot {
	var p plot
	for _, point := range r.Percentiles {
		if point.Percentile < 100 {
			p.nines = max(p.nines, nines(point.Percentile))
		}
	}
	p.nines = max(1, math.Ceil(p.nines))
	p.step = roundStep(r.Latency.Max)
	p.top = (r.Latency.Max/p.step + 1) * p.step
	return p
}

// nines is 0 for 0 %, 1 for 90 %, 2 for 99 %.
func nines(percentile float64) float64 { return -math.Log10(1 - percentile/100) }

// roundStep divides the range into four to ten parts of 1, 2 or 5 times a power of ten.
func roundStep(most time.Duration) time.Duration {
	power := math.Pow(10, math.Floor(math.Log10(max(10, float64(most)/10))))
	for _, factor := range []float64{1, 2, 5} {
		if float64(most)/(power*factor) <= 10 {
			return time.Duration(power * factor)
		}
	}
	return time.Duration(power * 10)
}

func (p plot) x(percentile float64) float64 {
	return plotLeft + min(nines(percentile), p.nines)/p.nines*(plotWidth-plotLeft-plotRight)
}

func (p plot) y(latency time.Duration) float64 {
	return plotHeight - plotBottom - float64(latency)/float64(p.top)*(plotHeight-plotTop-plotBottom)
}

func (p plot) axes(b *strings.Builder) {
	const line = `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#ddd"/>` + "\n"
	for latency := time.Duration(0); latency <= p.top; latency += p.step {
		y := p.y(latency)
		fmt.Fprintf(b, line, plotLeft, y, plotWidth-plotRight, y)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", plotLeft-8, y+4, latency)
	}
	for n := 0.0; n <= p.nines; n++ {
		percentile := 100 - math.Pow(10, 2-n)
		if n == p.nines {
			percentile = 100 // the slowest is drawn at the edge
		}
		x := p.x(percentile)
		fmt.Fprintf(b, line, x, plotTop, x, plotHeight-plotBottom)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.6g %%</text>`+"\n", x, plotHeight-plotBottom+20, percentile)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">of the requests took at most</text>`+"\n",
		(plotLeft+plotWidth-plotRight)/2, plotHeight-15)
}
