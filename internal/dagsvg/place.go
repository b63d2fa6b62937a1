package dagsvg

// Place is where a drawing has its boxes, in pixels, in the order of the nodes.
type Place struct {
	Boxes         []Box
	Width, Height float64
}

// Box is the place of a node.
type Box struct{ X, Y, W, H float64 }

// Arrange says where [Write] draws the boxes of a graph.
func Arrange(g Graph) Place {
	d := &drawing{graph: g, layout: arrange(g)}
	d.measure()
	p := Place{Boxes: make([]Box, len(g.Nodes)), Width: d.width, Height: d.height}
	for _, layer := range d.layout.layers {
		for _, c := range layer {
			if c.node >= 0 {
				p.Boxes[c.node] = Box{d.x[c.layer], c.y, d.widths[c.layer], boxHeight}
			}
		}
	}
	return p
}
