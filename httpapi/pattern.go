package httpapi

import "strings"

// pattern matches whole strings: * stands for any characters or none,
// everything else for itself. It holds the pieces between the stars.
type pattern []string

func newPattern(text string) pattern { return strings.Split(text, "*") }

func (p pattern) match(text string) bool {
	last := len(p) - 1
	if last == 0 {
		return text == p[0]
	}
	rest, ok := strings.CutPrefix(text, p[0])
	if !ok {
		return false
	}
	// The leftmost place of each piece leaves the most for those after it.
	for _, piece := range p[1:last] {
		_, rest, ok = strings.Cut(rest, piece)
		if !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, p[last])
}
