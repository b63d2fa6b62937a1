package simulation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"path"
	"strconv"
	"strings"
	"time"
)

// fileBody is the body of an operation on files.
type fileBody struct {
	Path       string `json:"path"`
	SourcePath string `json:"sourcePath"`
	LinkPath   string `json:"linkPath"`
	LinkPath2  string `json:"link_path"`
	Parent     bool   `json:"parent"`
	Mode       string `json:"mode"`
}

// body reads the JSON of a request; what cannot be read is empty.
func (r *request) fileBody() fileBody {
	var b fileBody
	if json.Unmarshal(r.body, &b) != nil {
		return fileBody{}
	}
	if b.Path == "" {
		b.Path = b.SourcePath
	}
	if b.LinkPath == "" {
		b.LinkPath = b.LinkPath2
	}
	return b
}

// filePath is what a request on files is about.
func (r *request) filePath() string {
	if p := r.query.Get("path"); p != "" {
		return p
	}
	if r.op == opUpload {
		return ""
	}
	b := r.fileBody()
	if r.op == opSymlink {
		return b.LinkPath
	}
	return b.Path
}

func (w *World) serveFiles(r *request) *answer {
	at := r.filePath()
	if !path.IsAbs(at) {
		return failure(400, "The provided path ("+at+") is not an absolute path.")
	}
	if clean := path.Clean(at); clean != home && !strings.HasPrefix(clean, home+"/") {
		return failure(400, fmt.Sprintf("The provided path (%s) does not match any of the defined filesystem paths for the requested system (%s).", clean, system))
	}
	switch r.op {
	case opMkdir, opSymlink, opChmod, opUpload, opRemove:
		return w.change(r, at)
	case opList:
		return w.list(at, r.query.Get("showHidden") == "true")
	}
	return w.readFile(r, at)
}

// refused is a command that could not do something to a path.
func refusedBy(format, at, trouble string, code int) *answer {
	status := map[string]int{noSuchFile: 404, fileExists: 400, notADir: 400}[trouble]
	if status == 0 {
		status = 500
	}
	return commandFailure(status, code, fmt.Sprintf(format, at, trouble))
}

func (w *World) change(r *request, at string) *answer {
	b := r.fileBody()
	switch r.op {
	case opMkdir:
		trouble := ""
		if b.Parent {
			trouble = w.disk.mkdirAll(at)
		} else {
			trouble = w.disk.add(at, &node{kind: isDir, mode: 0o755})
		}
		if trouble != "" {
			return refusedBy("mkdir: cannot create directory '%s': %s", at, trouble, 1)
		}
		return output(201, w.row(at, at))
	case opSymlink:
		link := at
		if n := w.disk.follow(link); n != nil && n.kind == isDir {
			link = path.Join(link, path.Base(b.Path)) // ln makes it inside a directory that is there
		}
		if trouble := w.disk.link(link, b.Path); trouble != "" {
			return refusedBy("ln: failed to create symbolic link '%s': %s", link, trouble, 1)
		}
		return output(201, w.row(at, at))
	case opChmod:
		n := w.disk.follow(at)
		if n == nil {
			return refusedBy("chmod: cannot access '%s': %s", at, noSuchFile, 1)
		}
		if mode, err := strconv.ParseUint(b.Mode, 8, 32); err == nil {
			n.mode = uint32(mode)
		}
		return output(200, w.row(at, at))
	case opUpload:
		return w.upload(r, at)
	}
	if trouble := w.disk.remove(at); trouble != "" {
		return refusedBy("rm: cannot remove '%s': %s", at, trouble, 1)
	}
	return &answer{status: 204, signed: true}
}

func (w *World) upload(r *request, dir string) *answer {
	_, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil {
		return failure(400, "no file")
	}
	parts := multipart.NewReader(bytes.NewReader(r.body), params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			return failure(400, "no file")
		}
		if part.FormName() != "file" {
			continue
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return failure(400, "no file")
		}
		_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return failure(400, "no file name")
		}
		at := path.Join(dir, params["filename"])
		if trouble := w.disk.write(at, content); trouble != "" {
			return refusedBy("bash: line 1: %s: %s", at, trouble, 1)
		}
		if len(content) == 0 {
			return failure(408, commandTimeout)
		}
		return &answer{status: 204, signed: true}
	}
}

// fileRow is an entry as `ls -l` shows it.
type fileRow struct {
	Name         string  `json:"name"`
	Type         string  `json:"type"`
	LinkTarget   *string `json:"linkTarget"`
	User         string  `json:"user"`
	Group        string  `json:"group"`
	Permissions  string  `json:"permissions"`
	LastModified string  `json:"lastModified"`
	Size         string  `json:"size"`
}

func (w *World) row(at, name string) fileRow {
	n := w.disk[path.Clean(at)]
	row := fileRow{
		Name: name, Type: string(n.kind), User: user, Group: "users", Permissions: permissions(n.mode),
		LastModified: n.changed.UTC().Format("2006-01-02T15:04:05"), Size: strconv.Itoa(len(n.content)),
	}
	if n.kind == isLink {
		row.LinkTarget, row.Size = &n.target, strconv.Itoa(len(n.target))
	}
	return row
}

func permissions(mode uint32) string {
	letters := []byte("rwxrwxrwx")
	for i := range letters {
		if mode&(1<<(8-i)) == 0 {
			letters[i] = '-'
		}
	}
	return string(letters)
}

func (w *World) list(at string, hidden bool) *answer {
	n := w.disk[path.Clean(at)]
	if n == nil {
		return refusedBy("ls: cannot access '%s': %s", at, noSuchFile, 2)
	}
	if n.kind != isDir {
		return output(200, []fileRow{w.row(at, at)})
	}
	rows := []fileRow{}
	for _, name := range w.disk.names(at) {
		switch {
		case time.Now().Before(w.disk[path.Join(path.Clean(at), name)].shows):
			w.strike(staleList)
		case hidden || !strings.HasPrefix(name, "."):
			rows = append(rows, w.row(path.Join(at, name), name))
		}
	}
	return output(200, rows)
}

// readFile serves what reads one file.
func (w *World) readFile(r *request, at string) *answer {
	n := w.disk.follow(at)
	if r.op == opStat && r.query.Get("dereference") != "true" {
		n = w.disk[path.Clean(at)]
	}
	complaint := map[op]string{
		opStat: "stat: cannot statx '%s': %s", opTail: "tail: cannot open '%s' for reading: %s",
		opView: "dd: failed to open '%s': %s", opChecksum: "sha256sum: %s: %s", opDownload: "cat: %s: %s",
	}[r.op]
	switch {
	case n == nil:
		return refusedBy(complaint, at, noSuchFile, 1)
	case r.op == opStat:
		return output(200, w.stat(n))
	case n.kind == isDir:
		return refusedBy(complaint, at, isADir, 1)
	}
	switch r.op {
	case opTail:
		text := n.content
		if size, err := strconv.Atoi(r.query.Get("bytes")); err == nil && size < len(text) {
			text = text[len(text)-size:]
		}
		return output(200, object{"content": string(text), "contentType": "bytes", "startPosition": -len(text), "endPosition": -1})
	case opView:
		return output(200, string(n.content))
	case opChecksum:
		sum := sha256.Sum256(n.content)
		return output(200, object{"algorithm": "SHA256", "checksum": hex.EncodeToString(sum[:])})
	}
	return &answer{status: 200, signed: true, raw: append([]byte{}, n.content...)}
}

func (w *World) stat(n *node) any {
	kind := map[nodeKind]uint32{isDir: 0o040000, isLink: 0o120000, isFile: 0o100000}[n.kind]
	seconds := n.changed.Unix()
	return object{
		"mode": kind | n.mode, "ino": 1, "dev": 1, "nlink": 1, "uid": 1000, "gid": 100,
		"size": len(n.content), "atime": seconds, "ctime": seconds, "mtime": seconds,
	}
}
