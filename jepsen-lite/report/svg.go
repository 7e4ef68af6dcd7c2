package report

import (
	"fmt"
	"html"
	"html/template"
	"strings"
)

// svg draws the picture as an element of the page. Its colours are those of the
// classes, which the page's style repeats.
func (p *picture) svg() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="latency, rate, faults and leaders over time">`, p.width, p.height)
	for _, s := range p.shapes {
		s.svg(&b)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) // all text in it is escaped above
}

func (s *shape) svg(b *strings.Builder) {
	style, first := s.class.style(), s.points[0]
	switch s.kind {
	case rectangle:
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s">`, first.x, first.y, s.points[1].x-first.x, s.points[1].y-first.y, style.css())
		if s.text != "" {
			fmt.Fprintf(b, "<title>%s</title>", html.EscapeString(s.text))
		}
		b.WriteString("</rect>")
	case polyline:
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="%g" points="`, style.css(), style.width)
		for _, at := range s.points {
			fmt.Fprintf(b, "%.1f,%.1f ", at.x, at.y)
		}
		b.WriteString(`"/>`)
	case dot:
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="1.6" fill="%s"/>`, first.x, first.y, style.css())
	case label:
		anchor := map[alignment]string{begin: "start", middle: "middle", end: "end"}[s.align]
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`, first.x, first.y, anchor, style.css(), html.EscapeString(s.text))
	}
}
