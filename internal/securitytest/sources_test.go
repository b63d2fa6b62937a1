package securitytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/fcflow/fcflow"

// source is a package with its types.
type source struct {
	path  string // below the module
	files []*ast.File
	info  *types.Info
}

// sources are the packages of the program, without their tests.
var sources = sync.OnceValues(func() ([]source, error) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles", module+"/cmd/fcflow").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, errors.Join(err))
	}
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
	}
	exports := map[string]string{}
	var own []listed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, module+"/") {
			own = append(own, p)
		}
	}
	fset := token.NewFileSet()
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup)}
	var list []source
	for _, p := range own {
		s := source{path: strings.TrimPrefix(p.ImportPath, module+"/"), info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}}
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			s.files = append(s.files, f)
		}
		if _, err := config.Check(p.ImportPath, fset, s.files, s.info); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
})

// eachCall calls f for every call in the program, with the function it is in.
func eachCall(t *testing.T, f func(s source, in string, call *ast.CallExpr)) {
	t.Helper()
	list, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		for _, file := range s.files {
			for _, d := range file.Decls {
				in := s.path
				if fn, ok := d.(*ast.FuncDecl); ok {
					in += "." + nameOf(fn)
				}
				ast.Inspect(d, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						f(s, in, call)
					}
					return true
				})
			}
		}
	}
}

// nameOf is Func or Type.Method.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	receiver := fn.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	return receiver.(*ast.Ident).Name + "." + fn.Name.Name
}

// callee is the full name of the function that is called, such as "os.Rename" or
// "(*os.Root).Rename"; "" for others.
func callee(s source, call *ast.CallExpr) string {
	name := call.Fun
	if selector, ok := name.(*ast.SelectorExpr); ok {
		name = selector.Sel
	}
	if id, ok := name.(*ast.Ident); ok {
		if fn, ok := s.info.Uses[id].(*types.Func); ok {
			return fn.FullName()
		}
	}
	return ""
}

// compare fails for what is in only one of the two.
func compare(t *testing.T, what string, got map[string]bool, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] == "" {
			t.Errorf("%s %s, which the list does not have", name, what)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !got[name] {
			t.Errorf("the list says that %s %s, and it does not", name, what)
		}
	}
}

// uncovered are the functions that turn a secret into text, and why they must.
var uncovered = map[string]string{
	"cmd/fcflow.doctor.login":                    "tells the mask about a token",
	"firecrest.Client.request":                   "sends it below the base URL",
	"firecrest.Client.send":                      "takes it out of an error",
	"firecrest.Client.try":                       "takes it out of an answer",
	"firecrest.ClientCredentials.Token":          "sends it to the token endpoint",
	"firecrest.ClientCredentials.scrub":          "takes it out of an answer",
	"firecrest.StaticToken.Token":                "reads when it ends",
	"firecrest.TokenCommand.Token":               "runs it",
	"firecrest.TransferService.Upload":           "sends a wormhole code to the service",
	"firecrest.UploadRequest.Check":              "looks at the form of a wormhole code",
	"firecrest/datatransfer.Download.begin":      "keeps it in a private file",
	"firecrest/datatransfer.Upload.request":      "keeps it in a private file",
	"firecrest/datatransfer.ObjectStore.options": "signs requests with it",
	"firecrest/datatransfer.ReceiveWormhole":     "hands it to the wormhole program, on its standard input",
	"firecrest/datatransfer.parseCoordinates":    "reads where to connect",
	"firecrest/datatransfer.parseLink":           "reads where to connect",
	"firecrest/datatransfer.streamPeer.connect":  "sends it to the job",
	"firecrest/datatransfer.streamPeer.hide":     "takes it out of an error",
	"firecrest/datatransfer.streamPeer.hideText": "takes it out of an answer",
	"firecrest/datatransfer.wormhole.lastWords":  "takes it out of an error",
}

// TestSecretsStayCovered: a secret is turned into plain text only where it is
// sent, kept or recognised.
func TestSecretsStayCovered(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	eachCall(t, func(s source, in string, call *ast.CallExpr) {
		if len(call.Args) != 1 || !s.info.Types[call.Fun].IsType() {
			return
		}
		from, ok := s.info.Types[call.Args[0]].Type.(*types.Named)
		to := s.info.Types[call.Fun].Type
		if !ok || from.Obj().Pkg() == nil || from.Obj().Pkg().Path() != module+"/firecrest" {
			return
		}
		if name := from.Obj().Name(); name != "Secret" && name != "StaticToken" && name != "TokenCommand" {
			return
		}
		if _, named := to.(*types.Named); !named {
			got[in] = true
		}
	})
	compare(t, "uncovers a secret", got, uncovered)
}

// unsynced are the functions that rename a file over another without having synced
// it, and why they may.
var unsynced = map[string]string{
	"cmd/fcflow.parcel.finish":               "an export, which can be made again from the history",
	"cmd/fcflow.writeClientEnv":              "written anew whenever a sandbox begins to serve",
	"firecrest/datatransfer.ReceiveWormhole": "the download that asked for it verifies and syncs it",
	"sandbox.transferJob.move":               "what mv does",
	"sandbox.writeJSON":                      "of the sandbox, which a power failure may cost its last change",
	"sandbox/batch.disk.write":               "syncs both, unless whoever opened the table asked for none",
	"sandbox/batch.writeStandIns":            "written anew with each sandbox",
	"sandbox/objects.writeJSON":              "of the sandbox, which a power failure may cost its last change",
	"steps.call.spool":                       "an intermediate copy; without it the object is fetched again",
	"steps.placing.move":                     "its caller syncs all directories at once",
	"store.Store.delete":                     "removes; a run that is back after a power failure is deleted again",
	"store.writeFile":                        "derived from the history, or a courtesy: the lock says who owns a run",
}

// TestReplacedFilesAreSynced: who gives a file its final name has synced its
// content, and syncs the directory.
func TestReplacedFilesAreSynced(t *testing.T) {
	t.Parallel()
	renames, syncs := map[string]bool{}, map[string]int{}
	eachCall(t, func(s source, in string, call *ast.CallExpr) {
		switch name := callee(s, call); {
		case name == "os.Rename" || name == "(*os.Root).Rename":
			renames[in] = true
		case strings.HasSuffix(name, ").Sync"), strings.HasSuffix(strings.ToLower(name), ".syncdir"), strings.HasSuffix(name, ".writeSynced"):
			syncs[in]++
		}
	})
	for in := range renames {
		if syncs[in] >= 2 { // the file, and the directory
			delete(renames, in)
		}
	}
	compare(t, "renames without syncing file and directory", renames, unsynced)
}

// unconfined are the functions of the packages that fetch files which write,
// rename or remove by a path and not below an open directory, and why they may.
var unconfined = map[string]string{
	"firecrest/datatransfer.Download.openRoot": "makes the directory that is then opened, which the user named",
	"firecrest/datatransfer.ReceiveWormhole":   "a name of our own beside a target in the opened directory",
	"steps.call.KeepPrivate":                   "in the run's private directory, under the attempt's token",
	"steps.call.fetchLog":                      "in the run's log directory, under the name of the step",
	"steps.call.openLog":                       "in the run's log directory, under the name of the step",
	"steps.call.spool":                         "in the run's private directory, under the attempt's token",
	"steps.openOutput":                         "makes the directory that is then opened, which the user named",
	"steps.packLocal":                          "in the run's private directory, under the attempt's token",
	"steps.scriptCommand":                      "a new directory for a script of the workflow",
	"steps.writeExecutable":                    "a script of the workflow, in a new directory",
}

// TestLocalWritesAreConfined: what comes from a system is written below a
// directory that was opened, which no name and no link can lead out of.
func TestLocalWritesAreConfined(t *testing.T) {
	t.Parallel()
	writers := []string{
		"os.OpenFile", "os.Create", "os.WriteFile", "os.Mkdir", "os.MkdirAll", "os.MkdirTemp", "os.CreateTemp", "os.Rename",
		"os.Remove", "os.RemoveAll", "os.Symlink", "os.Link", "os.Chmod", "os.Chown", "os.Chtimes", "os.Truncate",
	}
	got := map[string]bool{}
	eachCall(t, func(s source, in string, call *ast.CallExpr) {
		if (s.path == "steps" || s.path == "firecrest" || strings.HasPrefix(s.path, "firecrest/")) && slices.Contains(writers, callee(s, call)) {
			got[in] = true
		}
	})
	compare(t, "writes outside an open directory", got, unconfined)
}
