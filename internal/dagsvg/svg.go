package dagsvg

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

const (
	boxHeight = 44.0
	gapX      = 56.0
	gapY      = 20.0
	margin    = 16.0
	charWidth = 7.6 // of the widest common monospaced face at 13 px
	minWidth  = 96.0
	maxLabel  = 40 // characters
)

// style uses classes only, so that a page can restyle the drawing and a script
// can change a state by changing one class.
const style = `
  svg { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; color: #1f2328; background: #ffffff }
  .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.5 }
  .faint .box { stroke-dasharray: 5 4 }
  .edge { fill: none; stroke: #8c959f; stroke-width: 1.5 }
  .head { fill: #8c959f }
  text { fill: currentColor }
  .note { font-size: 11px; opacity: .75 }
  .succeeded .box { fill: #dafbe1; stroke: #1a7f37 }
  .failed .box { fill: #ffebe9; stroke: #cf222e; stroke-width: 2.5 }
  .running .box, .waiting .box { fill: #ddf4ff; stroke: #0969da; stroke-width: 2.5 }
  .cancelled .box { fill: #fff8c5; stroke: #9a6700 }
  .skipped .box { fill: none; opacity: .6 }
  @media (prefers-color-scheme: dark) {
    svg { color: #e6edf3; background: #0d1117 }
    .box { fill: #161b22; stroke: #8b949e }
    .edge { stroke: #6e7681 } .head { fill: #6e7681 }
    .succeeded .box { fill: #0f2d1a; stroke: #3fb950 }
    .failed .box { fill: #3d1214; stroke: #f85149 }
    .running .box, .waiting .box { fill: #0c2d4d; stroke: #58a6ff }
    .cancelled .box { fill: #342a00; stroke: #d29922 }
  }
`

// symbols stand before the label, so that colour is not needed to read a state.
var symbols = map[string]string{
	"succeeded": "✓ ", "failed": "✗ ", "running": "▶ ", "waiting": "… ",
	"cancelled": "⊘ ", "skipped": "– ", "pending": "○ ", "ready": "○ ",
}

// Write draws the graph.
func Write(w io.Writer, g Graph) error {
	d := &drawing{graph: g, layout: arrange(g)}
	d.measure()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n",
		d.width, d.height, d.width, d.height, escape(g.Title))
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", escape(g.Title), style)
	b.WriteString(`<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">` +
		`<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>` + "\n")
	for _, r := range d.layout.routes {
		d.edge(&b, r)
	}
	for _, layer := range d.layout.layers {
		for _, c := range layer {
			if c.node >= 0 {
				d.box(&b, c)
			}
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

type drawing struct {
	graph         Graph
	layout        layout
	x, widths     []float64 // of the layers
	width, height float64
}

// measure gives every layer its place and every cell its height: each cell sits
// as near to the middle of its neighbours as its own layer allows.
func (d *drawing) measure() {
	x := margin
	for _, layer := range d.layout.layers {
		width := minWidth
		for _, c := range layer {
			if c.node >= 0 {
				n := d.graph.Nodes[c.node]
				width = max(width, charWidth*float64(max(len([]rune(d.label(n))), len([]rune(short(n.Note)))))+28)
			}
		}
		d.x, d.widths = append(d.x, x), append(d.widths, width)
		x += width + gapX
	}
	d.width = max(x-gapX, margin) + margin
	for _, layer := range d.layout.layers {
		for row, c := range layer {
			c.y = float64(row) * (boxHeight + gapY)
		}
	}
	for range 4 {
		for _, layer := range d.layout.layers {
			settle(layer, func(c *cell) []*cell { return c.before })
		}
		for i := len(d.layout.layers) - 1; i >= 0; i-- {
			settle(d.layout.layers[i], func(c *cell) []*cell { return c.after })
		}
	}
	d.shift()
}

// settle moves the cells of a layer towards their neighbours, keeping their
// order and distance.
func settle(layer []*cell, neighbours func(*cell) []*cell) {
	wish := make([]float64, len(layer))
	for i, c := range layer {
		wish[i] = c.y
		if near := neighbours(c); len(near) > 0 {
			wish[i] = 0
			for _, n := range near {
				wish[i] += n.y / float64(len(near))
			}
		}
	}
	const step = boxHeight + gapY
	low := make([]float64, len(layer)) // placed from above
	high := make([]float64, len(layer))
	for i := range layer {
		low[i] = wish[i]
		if i > 0 {
			low[i] = max(low[i], low[i-1]+step)
		}
	}
	for i := len(layer) - 1; i >= 0; i-- {
		high[i] = wish[i]
		if i < len(layer)-1 {
			high[i] = min(high[i], high[i+1]-step)
		}
	}
	for i, c := range layer {
		c.y = (low[i] + high[i]) / 2
	}
}

// shift moves everything so that the highest cell touches the margin.
func (d *drawing) shift() {
	if len(d.graph.Nodes) == 0 {
		d.height = 2 * margin
		return
	}
	top, bottom := d.layout.layers[0][0].y, 0.0
	for _, layer := range d.layout.layers {
		top = min(top, layer[0].y)
	}
	for _, layer := range d.layout.layers {
		for _, c := range layer {
			c.y += margin - top
			bottom = max(bottom, c.y+boxHeight)
		}
	}
	d.height = bottom + margin
}

func (d *drawing) edge(b *strings.Builder, r route) {
	middle := func(c *cell) float64 { return c.y + boxHeight/2 }
	x, y := d.x[r[0].layer]+d.widths[r[0].layer], middle(r[0])
	fmt.Fprintf(b, `<path class="edge" marker-end="url(#head)" d="M%.1f %.1f`, x, y)
	for _, c := range r[1:] {
		nextX, nextY := d.x[c.layer], middle(c)
		half := (nextX - x) / 2
		fmt.Fprintf(b, " C%.1f %.1f %.1f %.1f %.1f %.1f", x+half, y, nextX-half, nextY, nextX, nextY)
		x, y = nextX, nextY
		if c.node < 0 {
			x += d.widths[c.layer]
			fmt.Fprintf(b, " H%.1f", x)
		}
	}
	b.WriteString("\"/>\n")
}

func (d *drawing) box(b *strings.Builder, c *cell) {
	n := d.graph.Nodes[c.node]
	class := "step"
	if n.State != "" {
		class += " " + escape(n.State)
	}
	if n.Faint {
		class += " faint"
	}
	x, width := d.x[c.layer], d.widths[c.layer]
	fmt.Fprintf(b, `<g class="%s" data-step="%s"><title>%s</title>`, class, escape(n.ID), escape(d.tooltip(n)))
	fmt.Fprintf(b, `<rect class="box" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="6"/>`, x, c.y, width, boxHeight)
	at := c.y + boxHeight/2 + 5
	if n.Note != "" {
		at = c.y + 18
		fmt.Fprintf(b, `<text class="note" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x+width/2, c.y+35, escape(short(n.Note)))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text></g>`+"\n", x+width/2, at, escape(d.label(n)))
}

func (d *drawing) label(n Node) string { return symbols[n.State] + short(n.Label) }

func (d *drawing) tooltip(n Node) string {
	parts := []string{n.Label}
	for _, more := range []string{n.Note, n.State} {
		if more != "" {
			parts = append(parts, more)
		}
	}
	return strings.Join(parts, " · ")
}

func short(s string) string {
	if r := []rune(s); len(r) > maxLabel {
		return string(r[:maxLabel-1]) + "…"
	}
	return s
}

// escape makes text fit for XML; characters that XML has no place for become
// U+FFFD.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
