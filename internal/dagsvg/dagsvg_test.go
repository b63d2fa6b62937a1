package dagsvg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func diamond() Graph {
	return Graph{
		Title: "diamond <&>",
		Nodes: []Node{
			{ID: "prepare", Label: "prepare", Note: "mkdir", State: "succeeded"},
			{ID: "left", Label: "left", Note: "job", State: "running"},
			{ID: "right", Label: `right "quoted"`, Note: "run", State: "failed"},
			{ID: "join", Label: "join", Note: "compress", State: "pending"},
			{ID: "tell", Label: "tell", Note: "notify", Faint: true},
		},
		Edges: [][2]int{{0, 1}, {0, 2}, {1, 3}, {2, 3}, {0, 3}, {3, 4}},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]Graph{
		"diamond": diamond(),
		"single":  {Title: "single", Nodes: []Node{{ID: "only", Label: "only"}}},
		"empty":   {Title: "empty"},
	} {
		var b bytes.Buffer
		if err := Write(&b, g); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".svg")
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestRandomGraphs checks what must hold for every graph: the drawing is
// well-formed, boxes do not touch, edges lead to the right, and cycles end.
func TestRandomGraphs(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		g := Graph{Title: "random"}
		for i := range random.IntN(40) {
			g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint(i), Label: fmt.Sprint("step ", i)})
		}
		for range random.IntN(80) {
			g.Edges = append(g.Edges, [2]int{random.IntN(41) - 1, random.IntN(41) - 1})
		}
		if err := check(g); err != nil {
			t.Fatalf("seed %d: %v: %v", seed, err, g.Edges)
		}
	}
}

func check(g Graph) error {
	var b bytes.Buffer
	if err := Write(&b, g); err != nil {
		return err
	}
	for decoder := xml.NewDecoder(&b); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	d := &drawing{graph: g, layout: arrange(g)}
	d.measure()
	nodes := 0
	for _, layer := range d.layout.layers {
		for i, c := range layer {
			if c.node >= 0 {
				nodes++
			}
			if i > 0 && c.y < layer[i-1].y+boxHeight {
				return fmt.Errorf("boxes at %v and %v of layer %d touch", layer[i-1].y, c.y, c.layer)
			}
			if c.y < margin-0.01 || c.y+boxHeight > d.height {
				return fmt.Errorf("box at %v outside of height %v", c.y, d.height)
			}
		}
	}
	if nodes != len(g.Nodes) {
		return fmt.Errorf("%d of %d nodes drawn", nodes, len(g.Nodes))
	}
	for _, r := range d.layout.routes {
		for i := 1; i < len(r); i++ {
			if r[i].layer != r[i-1].layer+1 {
				return errors.New("an edge skips a layer")
			}
		}
	}
	return nil
}

func TestUntangle(t *testing.T) {
	t.Parallel()
	// a→d, b→c drawn in file order cross; in the right order they do not.
	g := Graph{Nodes: make([]Node, 4), Edges: [][2]int{{0, 3}, {1, 2}}}
	l := arrange(g)
	if n := l.crossings(); n != 0 {
		t.Errorf("%d crossings, want none", n)
	}
}
