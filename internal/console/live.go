package console

import (
	"fmt"
	"strings"
)

// Live is a region at the bottom of a terminal that is drawn again and again,
// with permanent lines scrolling by above it. It must only be used on a
// terminal, from one goroutine.
type Live struct {
	stream *Stream
	drawn  []int // the widths of the lines of the region
}

// Live starts an empty region.
func (s *Stream) Live() *Live { return &Live{stream: s} }

// Draw prints permanent lines above the region and then the region itself, in
// one write. A region is at most as high as the terminal less two lines; what
// does not fit is left out at its end.
//
// Lines are written over, each cleared behind its end, and not the whole region
// first: that would flicker, and terminals that keep what is cleared from the top
// of the screen would fill their history with regions.
func (l *Live) Draw(permanent, region []Line) {
	width, height := l.stream.Size()
	if limit := max(1, height-2); len(region) > limit {
		region = region[:limit]
	}
	var b strings.Builder
	if up := l.rows(width, height); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteByte('\r')
	for _, line := range permanent {
		if n := line.render(&b, l.stream.colour, 0); n == 0 || n%width != 0 {
			b.WriteString("\x1b[K") // behind a full row it would clear the last character
		}
		b.WriteByte('\n')
	}
	l.drawn = l.drawn[:0]
	for _, line := range region {
		l.drawn = append(l.drawn, line.render(&b, l.stream.colour, width-1))
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	l.stream.mu.Lock()
	defer l.stream.mu.Unlock()
	l.stream.emit(b.String())
}

// rows is how many rows of the screen the region takes now: where the terminal
// became narrower, its lines were broken.
func (l *Live) rows(width, height int) int {
	rows := 0
	for _, w := range l.drawn {
		rows += max(1, (w+width-1)/width)
	}
	return min(rows, height-1)
}
