package steps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// What on_exists may say.
const (
	skipSame   = "skip_same"
	failExists = "fail"
	replace    = "replace"
)

// How a transfer was verified.
const (
	verifiedDigest = "sha256"
	verifiedSize   = "size"
)

// maxChecksum is the largest file, in bytes, whose digest a server is asked
// for: it must be done within its time limit.
const maxChecksum = 1 << 30

// transferOut are the outputs of upload and download.
type transferOut struct {
	Path      string `json:"path" doc:"Full path of the copy."`
	SizeBytes int64  `json:"size_bytes" unit:"bytes" doc:"Its size."`
	SHA256    string `json:"sha256" doc:"Its SHA-256, 64 hexadecimal digits."`
	Verified  string `json:"verified" enum:"sha256 size" doc:"sha256 if the digests of both sides agree; size if only the sizes could be compared."`
	Skipped   bool   `json:"skipped" doc:"Whether the same file was there already."`
}

// checkOneFile finds what is not the path of one file.
func checkOneFile(key, text string) []workflow.FieldProblem {
	problem := func(message, hint string) []workflow.FieldProblem {
		return []workflow.FieldProblem{{Path: []string{key}, Code: codeOneFile, Message: message, Hint: hint}}
	}
	switch {
	case strings.Contains(text, "://"):
		return problem(fmt.Sprintf("`%s: %s` is an address, not the path of a file", key, text), "")
	case strings.ContainsAny(text, "*?["):
		return problem(fmt.Sprintf("`%s: %s` is a pattern; a transfer takes one file", key, text), "pack the files with tar or `compress`, or use `matrix`")
	case strings.HasSuffix(text, "/"):
		return problem(fmt.Sprintf("`%s: %s` is a directory; a transfer takes one file", key, text), "pack it with tar or `compress`")
	}
	return nil
}

func checkTransfer(with json.RawMessage, _ func(string) bool) []workflow.FieldProblem {
	in := literal[struct{ From, To string }](with)
	problems := checkOneFile("from", in.From)
	if strings.Contains(in.To, "://") {
		problems = append(problems, checkOneFile("to", in.To)...)
	}
	return problems
}

// target is the path of a copy: to ends in a slash, or is a dot, if it names
// the directory only.
func target(to, name string) string {
	last := to[strings.LastIndexAny(to, "/"+string(filepath.Separator))+1:]
	if last == "" || last == "." || last == ".." {
		return to + "/" + name
	}
	return to
}

// remoteDigest is the SHA-256 of a remote file; "" where it cannot be had: the
// file is too large, the server too slow, or its path unfit.
func (c *call) remoteDigest(ctx context.Context, p string, size int64) (string, error) {
	if size > maxChecksum {
		return "", nil
	}
	sum, err := c.files().Checksum(ctx, c.system(), p)
	var answer *firecrest.Error
	switch {
	case errors.Is(err, firecrest.ErrPath), errors.Is(err, firecrest.ErrTimeout), errors.Is(err, firecrest.ErrUnsupported):
		return "", nil
	case errors.As(err, &answer) && answer.FromServer() && strings.HasPrefix(answer.Message, "Invalid output"):
		return "", nil // the server cannot read its own answer for some names
	}
	return sum, err
}

func digestOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// verdict says how two sides agree.
func verdict(digest, other string) string {
	if digest != "" && digest == other {
		return verifiedDigest
	}
	return verifiedSize
}
