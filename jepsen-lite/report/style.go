package report

import (
	"fmt"
	"image/color"
)

// class is what a shape shows, which decides how it looks.
type class int

const (
	classPanel     class = 1
	classGrid      class = 2
	classText      class = 3
	classTitle     class = 4
	classP50       class = 5
	classP95       class = 6
	classP99       class = 7
	classOK        class = 8
	classFailLine  class = 9
	classInfoLine  class = 10
	classFail      class = 11
	classInfo      class = 12
	classLeader    class = 13
	classOnLeader  class = 14
	classFollower  class = 15
	classCandidate class = 16
	classProcess   class = 17
	classNetwork   class = 18
	classDisk      class = 19
	classClock     class = 20
	classMembers   class = 21
)

// look is the colour of a class, not multiplied by its alpha, and the width of its lines.
type look struct {
	color.NRGBA
	width float64
}

func (l look) css() string {
	return fmt.Sprintf("rgba(%d,%d,%d,%.2f)", l.R, l.G, l.B, float64(l.A)/255)
}

func (c class) style() look {
	solid := func(r, g, b uint8, width float64) look { return look{color.NRGBA{r, g, b, 255}, width} }
	veil := func(r, g, b uint8) look { return look{color.NRGBA{r, g, b, 51}, 0} }
	switch c {
	case classPanel:
		return solid(250, 251, 252, 0)
	case classGrid:
		return solid(226, 230, 235, 1)
	case classTitle:
		return solid(31, 41, 55, 0)
	case classP50, classOK:
		return solid(29, 78, 216, 2)
	case classP95:
		return solid(96, 148, 235, 1.5)
	case classP99:
		return solid(160, 192, 245, 1.5)
	case classFailLine, classFail:
		return solid(120, 128, 140, 1.5)
	case classInfoLine, classInfo:
		return solid(205, 40, 40, 1.5)
	case classLeader:
		return solid(22, 128, 83, 0)
	case classOnLeader:
		return solid(255, 255, 255, 0)
	case classFollower:
		return solid(150, 160, 172, 0)
	case classCandidate:
		return solid(222, 168, 20, 0)
	case classProcess:
		return veil(220, 60, 60)
	case classNetwork:
		return veil(140, 80, 220)
	case classDisk:
		return veil(230, 130, 20)
	case classClock:
		return veil(20, 160, 170)
	case classMembers:
		return veil(60, 150, 60)
	}
	return solid(85, 95, 110, 0) // classText
}

// families are the families of faults in the order of the page's legend.
func families() []string { return []string{"process", "network", "disk", "clock", "members"} }

func familyClass(family string) class {
	switch family {
	case "process":
		return classProcess
	case "disk":
		return classDisk
	case "clock":
		return classClock
	case "members":
		return classMembers
	}
	return classNetwork
}
