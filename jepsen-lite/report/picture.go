package report

import (
	"fmt"
	"math"
	"slices"
	"time"

	"tally/jepsen-lite/history"
)

// picture is a list of shapes, which svg.go and png.go draw in that order.
type picture struct {
	width, height int
	shapes        []shape
}

// shape is one of a rectangle, a line through points, or a text.
type shape struct {
	kind   shapeKind
	points []point // two corners; the line; or where the text begins
	class  class
	text   string // of a text, or what a rectangle means
	align  alignment
}

type shapeKind int

const (
	rectangle shapeKind = 1
	polyline  shapeKind = 2
	label     shapeKind = 3
	dot       shapeKind = 4
)

type alignment int

const (
	begin  alignment = 0
	middle alignment = 1
	end    alignment = 2
)

type point struct{ x, y float64 }

func (p *picture) rect(x0, y0, x1, y1 float64, c class, meaning string) {
	p.shapes = append(p.shapes, shape{kind: rectangle, points: []point{{x0, y0}, {x1, y1}}, class: c, text: meaning})
}

func (p *picture) line(c class, points ...point) {
	if len(points) > 1 {
		p.shapes = append(p.shapes, shape{kind: polyline, points: points, class: c})
	}
}

func (p *picture) dot(at point, c class) {
	p.shapes = append(p.shapes, shape{kind: dot, points: []point{at}, class: c})
}

func (p *picture) label(x, y float64, a alignment, c class, format string, arguments ...any) {
	p.shapes = append(p.shapes, shape{kind: label, points: []point{{x, y}}, class: c, align: a, text: fmt.Sprintf(format, arguments...)})
}

// panel is a part of the picture in which time goes from left to right.
type panel struct {
	*picture
	left, right, top, bottom float64
	duration                 time.Duration
}

func (p *panel) x(at time.Duration) float64 {
	return p.left + (p.right-p.left)*float64(max(0, at))/float64(max(1, p.duration))
}

// What the picture measures, in pixels.
const (
	pictureWidth = 1180
	marginLeft   = 64
	marginRight  = 20
	panelHeight  = 190
	panelGap     = 46
	laneHeight   = 18
	marksMax     = 15 // on the axis of time
)

// mainPicture shows latencies and rates over time, with faults behind them, and
// who led below.
func mainPicture(h *history.History, roles []timeline) *picture {
	p := &picture{width: pictureWidth}
	faults := faultsOf(h)
	s := newSeries(h)
	top := 34.0
	for _, draw := range []func(*panel, *series, *history.History){drawLatencies, drawRates} {
		area := p.panel(h, top, panelHeight)
		drawFaults(area, faults)
		draw(area, &s, h)
		top = area.bottom + panelGap
	}
	if len(roles) > 0 {
		area := p.panel(h, top, float64(len(roles)*laneHeight))
		drawFaults(area, faults)
		drawRoles(area, roles)
		top = area.bottom + panelGap
	}
	p.height = int(top) - 10
	return p
}

func (p *picture) panel(h *history.History, top, height float64) *panel {
	area := &panel{picture: p, left: marginLeft, right: pictureWidth - marginRight, top: top, bottom: top + height, duration: h.Duration}
	p.rect(area.left, area.top, area.right, area.bottom, classPanel, "")
	step := stepFor(h.Duration, marksMax)
	for mark := range h.Duration/step + 1 {
		at := mark * step
		p.line(classGrid, point{area.x(at), area.top}, point{area.x(at), area.bottom})
		p.label(area.x(at), area.bottom+14, middle, classText, "%v", at)
	}
	return area
}

func drawFaults(area *panel, faults []fault) {
	for _, f := range faults {
		// One that is shorter than a pixel must be seen too.
		right := max(area.x(f.End), area.x(f.Begin)+1)
		area.rect(area.x(f.Begin), area.top, right, area.bottom, familyClass(f.family()),
			fmt.Sprintf("%s %v, %.1f s to %.1f s", f.Kind, f.Targets, f.Begin.Seconds(), f.End.Seconds()))
	}
}

// The ends of the scale of latencies. What is beyond is drawn at the end.
const (
	latencyMin = 100 * time.Microsecond
	latencyMax = 10 * time.Second
)

func drawLatencies(area *panel, s *series, h *history.History) {
	area.label(area.left, area.top-10, begin, classTitle, "Latency of answered operations by the time they were sent: p50, p95, p99 of each %v; dots: outcome unknown (red), failed (grey)", s.step)
	y := func(d time.Duration) float64 {
		d = min(max(d, latencyMin), latencyMax)
		share := math.Log(float64(d)/float64(latencyMin)) / math.Log(float64(latencyMax)/float64(latencyMin))
		return area.bottom - (area.bottom-area.top)*share
	}
	for d := latencyMin; d <= latencyMax; d *= 10 {
		area.line(classGrid, point{area.left, y(d)}, point{area.right, y(d)})
		area.label(area.left-6, y(d)+4, end, classText, "%g ms", float64(d)/float64(time.Millisecond))
	}
	for _, o := range sample(unanswered(h)) {
		c := classFail
		if o.Unknown() {
			c = classInfo
		}
		area.dot(point{area.x(o.Invoked), y(o.Returned - o.Invoked)}, c)
	}
	for _, q := range []struct {
		class class
		of    func(quantiles) time.Duration
	}{
		{classP99, func(q quantiles) time.Duration { return q.P99 }},
		{classP95, func(q quantiles) time.Duration { return q.P95 }},
		{classP50, func(q quantiles) time.Duration { return q.P50 }},
	} {
		area.lines(s, q.class, func(at slot) (float64, bool) { return y(q.of(at.latencies)), at.ok > 0 })
	}
}

// lines draws a value of each interval, with a gap where there is none.
func (p *panel) lines(s *series, c class, value func(slot) (y float64, ok bool)) {
	var points []point
	for i, at := range s.slots {
		if y, ok := value(at); ok {
			points = append(points, point{p.x(time.Duration(i)*s.step + s.step/2), y})
			continue
		}
		p.line(c, points...)
		points = nil
	}
	p.line(c, points...)
}

func drawRates(area *panel, s *series, _ *history.History) {
	most := 1.0
	for _, at := range s.slots {
		most = max(most, s.perSecond(max(at.ok, at.fail, at.info)))
	}
	top := niceAbove(most)
	y := func(rate float64) float64 { return area.bottom - (area.bottom-area.top)*rate/top }
	area.label(area.left, area.top-10, begin, classTitle, "Operations a second: answered (blue), failed (grey), unknown (red)")
	for part := range 5 {
		rate := top * float64(part) / 4
		area.line(classGrid, point{area.left, y(rate)}, point{area.right, y(rate)})
		area.label(area.left-6, y(rate)+4, end, classText, "%g", rate)
	}
	area.lines(s, classFailLine, func(at slot) (float64, bool) { return y(s.perSecond(at.fail)), true })
	area.lines(s, classInfoLine, func(at slot) (float64, bool) { return y(s.perSecond(at.info)), true })
	area.lines(s, classOK, func(at slot) (float64, bool) { return y(s.perSecond(at.ok)), true })
}

// niceAbove returns a round number that is not less.
func niceAbove(most float64) float64 {
	for unit := 1.0; ; unit *= 10 {
		for _, factor := range []float64{1, 2, 4, 8} {
			if factor*unit >= most {
				return factor * unit
			}
		}
	}
}

func drawRoles(area *panel, roles []timeline) {
	area.label(area.left, area.top-10, begin, classTitle, "Who leads, with the term; thin: follows; yellow: wants to lead; nothing: does not run")
	for i, t := range roles {
		top := area.top + float64(i*laneHeight)
		area.label(area.left-6, top+13, end, classText, "%s", t.machine)
		for _, s := range t.spans {
			if s.end < 0 || s.begin > area.duration {
				continue
			}
			drawRole(area, s, top)
		}
	}
}

func drawRole(area *panel, s span, top float64) {
	left, right := area.x(s.begin), area.x(s.end)
	switch s.role {
	case leader:
		area.rect(left, top+2, max(right, left+1), top+laneHeight-2, classLeader, fmt.Sprintf("leads in term %d", s.term))
		if right-left > 26 && s.term > 0 {
			area.label((left+right)/2, top+13, middle, classOnLeader, "%d", s.term)
		}
	case candidate:
		area.rect(left, top+5, max(right, left+1), top+laneHeight-5, classCandidate, "wants to lead")
	default:
		area.rect(left, top+8, right, top+laneHeight-8, classFollower, "follows")
	}
}

// dotsMax is how many dots a picture has at most.
const dotsMax = 4000

// unanswered returns the operations that failed or whose outcome is unknown.
func unanswered(h *history.History) []*history.Operation {
	var list []*history.Operation
	for i := range h.Operations {
		if o := &h.Operations[i]; !o.OK() && !answered(o) && o.Outcome != "" {
			list = append(list, o)
		}
	}
	return list
}

// sample returns every n-th, so that there are not too many.
func sample(list []*history.Operation) []*history.Operation {
	n := len(list)/dotsMax + 1
	if n == 1 {
		return list
	}
	var some []*history.Operation
	for i, o := range list {
		if i%n == 0 {
			some = append(some, o)
		}
	}
	return slices.Clip(some)
}
