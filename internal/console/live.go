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
	drawn  int
}

// Live starts an empty region.
func (s *Stream) Live() *Live { return &Live{stream: s} }

// Draw prints permanent lines above the region and then the region itself, in
// one write. A region is at most as high as the terminal less two lines; what
// does not fit is left out at its end.
func (l *Live) Draw(permanent, region []Line) {
	width, height := l.stream.Size()
	if limit := max(1, height-2); len(region) > limit {
		region = region[:limit]
	}
	var b strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.drawn)
	}
	b.WriteString("\r\x1b[J")
	for _, line := range permanent {
		line.render(&b, l.stream.colour, 0)
		b.WriteByte('\n')
	}
	for _, line := range region {
		line.render(&b, l.stream.colour, width-1)
		b.WriteByte('\n')
	}
	l.drawn = len(region)
	l.stream.mu.Lock()
	defer l.stream.mu.Unlock()
	l.stream.emit(b.String())
}
