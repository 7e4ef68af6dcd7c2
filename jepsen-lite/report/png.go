package report

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// png draws the picture for places that show no page.
func (p *picture) png() ([]byte, error) {
	canvas := image.NewRGBA(image.Rect(0, 0, p.width, p.height))
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	for _, s := range p.shapes {
		s.png(canvas)
	}
	var out bytes.Buffer
	err := png.Encode(&out, canvas)
	return out.Bytes(), err
}

func (s *shape) png(canvas *image.RGBA) {
	style, first := s.class.style(), s.points[0]
	switch s.kind {
	case rectangle:
		area := image.Rect(round(first.x), round(first.y), round(s.points[1].x), round(s.points[1].y))
		draw.Draw(canvas, area, image.NewUniform(style.NRGBA), image.Point{}, draw.Over)
	case polyline:
		for i := range s.points[1:] {
			stroke(canvas, s.points[i], s.points[i+1], style)
		}
	case dot:
		stroke(canvas, point{first.x - 1.5, first.y}, point{first.x + 1.5, first.y}, look{style.NRGBA, 3})
	case label:
		write(canvas, s, style.NRGBA)
	}
}

func round(v float64) int { return int(math.Round(v)) }

// stroke fills the rectangle around a line from a to b.
func stroke(canvas *image.RGBA, a, b point, style look) {
	length := math.Hypot(b.x-a.x, b.y-a.y)
	if length == 0 {
		return
	}
	// Half a width to each side, at a right angle to the line.
	x, y := -(b.y-a.y)/length*style.width/2, (b.x-a.x)/length*style.width/2
	area := image.Rect(round(min(a.x, b.x))-2, round(min(a.y, b.y))-2, round(max(a.x, b.x))+3, round(max(a.y, b.y))+3).Intersect(canvas.Bounds())
	if area.Empty() {
		return
	}
	pen := vector.NewRasterizer(area.Dx(), area.Dy())
	at := func(p point, dx, dy float64) (float32, float32) {
		return float32(p.x + dx - float64(area.Min.X)), float32(p.y + dy - float64(area.Min.Y))
	}
	pen.MoveTo(at(a, x, y))
	pen.LineTo(at(b, x, y))
	pen.LineTo(at(b, -x, -y))
	pen.LineTo(at(a, -x, -y))
	pen.ClosePath()
	pen.Draw(canvas, area, image.NewUniform(style.NRGBA), image.Point{})
}

func write(canvas *image.RGBA, s *shape, c color.Color) {
	drawer := font.Drawer{Dst: canvas, Src: image.NewUniform(c), Face: basicfont.Face7x13}
	x := s.points[0].x
	switch width := float64(drawer.MeasureString(s.text).Round()); s.align {
	case middle:
		x -= width / 2
	case end:
		x -= width
	}
	drawer.Dot = fixed.P(round(x), round(s.points[0].y))
	drawer.DrawString(s.text)
}
