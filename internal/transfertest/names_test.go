package transfertest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fcflow/fcflow/store/memory"
	"github.com/fcflow/fcflow/workflow"
)

// awkward are names of files that one or the other on the way takes for
// something else.
var awkward = []string{
	"two words.txt", " leading", "trailing ", "  ", "tab\there", "new\nline", "\n", "carriage\rreturn", "form\vfeed",
	"it's", `say "hi"`, "back`tick`", "$HOME", "$(touch hacked)", "${x}", "a&b", "a&amp;b", "a;b", "a|b", "a>b", "<b>", "a*b", "a?b", "[ab]", "{a,b}",
	"!x", "#x", "%41", "%", "%zz", "a+b", `back\slash`, `\n`, "-rf", "--help", "~", "~root", "=x", "a=b", "a,b", "a:b", "@x", ".hidden", "..x", "x.", "...",
	"größe", "gro\u0308ße", "数据", "🙂", "שלום", "a\u00a0b", "a\u2028b", "a\u200bb", "\u202egnp.exe", "bell\a", "esc\x1b[31m", "delete\x7f",
	"not\xffutf8", strings.Repeat("n", 255), strings.Repeat("ö", 127),
}

// alphabet is what random names are made of.
var alphabet = []rune("ab. \t\n'\"`$&<>|;*?[](){}~!#%+-=,:@\\^_é数🙂\u00a0\u200d\x01\x7f")

func randomNames(n int) []string {
	random := rand.New(rand.NewPCG(theSeed(), 1))
	var names []string
	for range n {
		name := make([]rune, 1+random.IntN(8))
		for i := range name {
			name[i] = pick(random, alphabet)
		}
		if text := string(name); text != "." && text != ".." {
			names = append(names, text)
		}
	}
	return names
}

// TestNames: a file arrives under its name, whatever that is, or it is refused
// before anything is changed; by every way, there and back, alone and in a
// directory.
func TestNames(t *testing.T) {
	t.Parallel()
	t.Logf("seed %d", theSeed())
	const workers = 2
	s := newSite(t, workers, nil)
	names := append(slices.Clone(awkward), randomNames(*odd)...)
	t.Run("by", func(t *testing.T) {
		for _, w := range []way{direct, s3, stream} {
			for _, shape := range []shape{file, tree} {
				if w == stream && shape == tree {
					continue // as the other archives
				}
				for worker, down := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%t", w, shape, down), func(t *testing.T) {
						t.Parallel()
						right := 0
						for i, name := range names {
							seed := uint64(len(names)*len(t.Name()) + i) // of no more use than to tell them apart
							m := &move{transfer: transfer{class: t.Name(), seed: seed, way: w, shape: shape, down: down, attempts: 1}, site: s}
							if w == stream {
								s.streams[worker].carry(m)
							}
							if m.tryName(t, name, worker) {
								right++
							}
						}
						t.Logf("%d of %d names are right, the others were refused", right, len(names))
					})
				}
			}
		}
	})
}

// tryName moves a file with that name, and reports whether it arrived.
func (m *move) tryName(t *testing.T, name string, worker int) (arrived bool) {
	t.Helper()
	if m.shape == file && !utf8.ValidString(name) {
		return false // it cannot be written in a workflow
	}
	content := "of " + name
	if m.way != direct {
		content = large(name)
	}
	m.place = m.site.place(m.transfer, worker)
	m.files = map[string]string{name: content}
	if err := m.prepare(); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	m.site.add(m)
	library, closeAll, err := m.place.library(m.String(), m.site.transport)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	from, to := m.place.source(), path.Join(m.place.Remote, "target")+"/"
	if m.down {
		from, to = path.Join(m.place.Remote, "source"), "target/"
	}
	switch {
	case m.shape == tree:
		from += "/tree"
	case m.down: // a path may be a pattern there
		from += "/" + strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(name)
	default:
		from += "/" + name
	}
	w, err := m.place.workflow(m.transfer, map[string]any{"from": "${{ inputs.path }}", "to": to}, library)
	if err != nil {
		t.Fatal(err)
	}
	runs := memory.New()
	if err = m.place.carryOut(t.Context(), w, from, library, runs); err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	end, err := endingOf(t.Context(), w, runs)
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	switch end.State {
	case workflow.Succeeded:
		err = m.same()
	case workflow.Failed:
		err = m.refused(end)
	default:
		err = errors.New("it ended otherwise")
	}
	if err != nil {
		t.Errorf("%q: %s, but %v\n%s", name, end, err, strings.Join(m.log, "\n"))
	}
	return end.State == workflow.Succeeded
}

// refused makes sure that nothing was done.
func (m *move) refused(end ending) error {
	if end.Cause != workflow.CauseRejected && end.Cause != workflow.CauseExpression { // the inputs are checked first
		return fmt.Errorf("for the cause %s", end.Cause)
	}
	for _, line := range m.log {
		_, request, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(request, "GET ") && request != "POST ops/mkdir" && request != "POST ops/symlink" { // but those of the run itself
			return fmt.Errorf("%s was sent", request)
		}
	}
	return m.untouched()
}

// large is content that goes no short way, different for every name.
func large(name string) string {
	content := make([]byte, minLarge)                                 // what can be packed small would go in one request
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(content) // never fails
	return string(content)
}
