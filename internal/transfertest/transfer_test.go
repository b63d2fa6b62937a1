package transfertest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
)

// way is how the bytes of a transfer go.
type way string

const (
	direct way = "direct"
	s3     way = "s3"
	stream way = "streamer"
)

// shape is what a transfer moves.
type shape string

const (
	file    shape = "file"
	tree    shape = "directory"
	pattern shape = "pattern"
)

// Limits of the sandboxes, small so that small files take every way, in bytes.
const (
	maxRequest = 64_000 // that one request takes
	maxDirect  = 40_000 // of a file that then goes in one, either way
	minLarge   = 90_000
	maxLarge   = 300_000
	partSize   = 40_000
)

// transfer is one transfer of the campaign. All of it follows from its class
// and seed.
type transfer struct {
	class string
	seed  uint64
	fault fault

	down  bool
	way   way
	shape shape
	// files are what is moved, by name below the directory of the source.
	files map[string]string
	// occupied says that another file has the target's name, to be replaced.
	occupied bool
	// attempts is how many the step has.
	attempts int

	spare int     // so many requests that the fault could strike are spared
	hits  int     // so many are struck at most
	share float64 // of the bytes of what is struck, 0 to 1: where it strikes
}

// newTransfer makes a transfer of a class.
func newTransfer(class string, seed uint64) transfer {
	random := rand.New(rand.NewPCG(seed, 0))
	t := transfer{class: class, seed: seed, fault: pick(random, classes[class])}
	t.down = t.fault.down && (!t.fault.up || random.IntN(2) == 0)
	t.way = pick(random, t.fault.ways)
	t.shape = file
	if !t.fault.single && t.way != stream && random.IntN(3) == 0 {
		t.shape = pick(random, []shape{tree, pattern})
	}
	t.files = t.content(random)
	t.occupied = t.shape == file && random.IntN(4) == 0
	t.attempts = 1
	if random.IntN(25) == 0 {
		t.attempts = 2
	}
	t.hits = 1
	if most := t.fault.hits; most > 1 {
		t.hits += random.IntN(most)
	}
	if t.fault.spare > 0 {
		t.spare = random.IntN(t.fault.spare + 1)
	}
	if t.fault.kill && t.way == direct { // few requests are all of it
		t.spare /= 2
	}
	t.share = random.Float64()
	return t
}

func parseTransfer(name string) (transfer, error) {
	class, text, _ := strings.Cut(name, "/")
	seed, err := strconv.ParseUint(text, 10, 64)
	if _, known := classes[class]; err != nil || !known {
		return transfer{}, fmt.Errorf("%q is not CLASS/SEED, with a class of %q", name, slices.Sorted(maps.Keys(classes)))
	}
	return newTransfer(class, seed), nil
}

func pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

// String is the name of the transfer.
func (t transfer) String() string { return t.class + "/" + strconv.FormatUint(t.seed, 10) }

// id is a word that is in all paths of the transfer.
func (t transfer) id() string { return "t" + strconv.FormatUint(t.seed, 10) }

func (t transfer) describe() string {
	verb := "upload"
	if t.down {
		verb = "download"
	}
	size := 0
	for _, content := range t.files {
		size += len(content)
	}
	return fmt.Sprintf("%s of a %s, %d bytes in %d files, by %s, %d attempts; fault %q: spares %d, hits %d, at %.3f",
		verb, t.shape, size, len(t.files), t.way, t.attempts, t.fault.name, t.spare, t.hits, t.share)
}

// names of files in directories. Those of patterns must be plain: a pattern of
// the system is matched by what a listing shows.
var (
	oddNames   = []string{"b c.dat", "it's.dat", `say "hi".dat`, "a&b.dat", "größe.dat", "new\nline.dat", ".hidden", "$HOME", "-rf", "sub/deep/x.dat", "sub/[1].dat"}
	plainNames = []string{"a.dat", "b.dat", "sub/c.dat", "sub/deep/d.dat", "sub/deep/e_1.dat", "f-2.dat"}
)

// content makes what is moved: of a size that takes the way.
func (t transfer) content(random *rand.Rand) map[string]string {
	size := 1 + random.IntN(maxDirect)
	if t.way != direct {
		size = minLarge + random.IntN(maxLarge-minLarge)
	}
	switch {
	case t.fault.empty:
		size = 0
	case t.shape != file: // packing adds a little
		size = min(size, maxLarge-minLarge) * 4 / 5
		if t.way == direct {
			size = size * 2 / 3
		} else {
			size += minLarge
		}
	}
	source := rand.NewChaCha8([32]byte{byte(t.seed), byte(t.seed >> 8), byte(t.seed >> 16), byte(t.seed >> 24), byte(t.seed >> 32)})
	bytes := make([]byte, size)
	_, _ = source.Read(bytes) // never fails
	if t.shape == file {
		return map[string]string{"data.bin": string(bytes)}
	}
	names := plainNames
	if t.shape == tree {
		names = slices.Concat(plainNames, oddNames)
	}
	names = slices.Clone(names)
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:1+random.IntN(len(names)-1)]
	files := map[string]string{}
	for i, name := range names {
		n := len(bytes)
		if i < len(names)-1 {
			n = random.IntN(n + 1)
			if random.IntN(5) == 0 {
				n = 0
			}
		}
		files[name], bytes = string(bytes[:n]), bytes[n:]
	}
	return files
}

// base is the directory that the names of files begin from, below the source.
func (t transfer) base() string {
	if t.shape == file {
		return ""
	}
	return "tree"
}

// from is what the step is given, below a directory.
func (t transfer) from(dir string) string {
	switch t.shape {
	case tree:
		return path.Join(dir, "tree")
	case pattern:
		return path.Join(dir, "tree") + "/**/*.dat"
	}
	return path.Join(dir, "data.bin")
}

// arrived are the files that the target directory must hold, by name.
func (t transfer) arrived() map[string]string {
	files := map[string]string{}
	for name, content := range t.files {
		switch {
		case t.shape == tree:
			name = path.Join("tree", name)
		case t.shape == pattern && path.Ext(name) != ".dat":
			continue
		}
		files[name] = content
	}
	return files
}

// bytes is the size of what is moved.
func (t transfer) bytes() int64 {
	var n int64
	for _, content := range t.arrived() {
		n += int64(len(content))
	}
	return n
}

// uses is the step type.
func (t transfer) uses() string {
	if t.down {
		return "download"
	}
	return "upload"
}
