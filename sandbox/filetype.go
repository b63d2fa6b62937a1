package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"unicode/utf8"
)

// getFile answers in the words of file(1). Not even a missing path is an error
// to that.
func (s *Server) getFile(c *call) (reply, error) {
	x, done, err := s.command(c)
	if err != nil {
		return reply{}, err
	}
	defer done()
	kind, err := x.fileType(c.path)
	if err != nil {
		return reply{}, err
	}
	return jsonReply(200, output{kind}), nil
}

func (x session) fileType(name string) (string, error) {
	p, err := x.existing(name, false)
	if err != nil {
		if expired := x.expired(); expired != nil {
			return "", expired
		}
		return fmt.Sprintf("cannot open `%s' (%s)", name, strerror(err)), nil
	}
	special := ""
	for _, bit := range []struct {
		flag fs.FileMode
		word string
	}{{fs.ModeSetuid, "setuid, "}, {fs.ModeSetgid, "setgid, "}, {fs.ModeSticky, "sticky, "}} {
		if p.info.Mode()&bit.flag != 0 {
			special += bit.word
		}
	}
	switch mode := p.info.Mode(); {
	case mode.IsDir():
		return special + "directory", nil
	case mode&fs.ModeSymlink != 0:
		return x.linkType(p, name)
	case mode&fs.ModeNamedPipe != 0:
		return "fifo (named pipe)", nil
	case mode&fs.ModeSocket != 0:
		return "socket", nil
	case p.info.Size() == 0:
		return special + "empty", nil
	case x.check(p, mayRead) != nil:
		if x.check(p, mayWrite) == nil {
			special += "writable, "
		}
		if x.check(p, maySearch) == nil {
			special += "executable, "
		}
		return special + "regular file, no read permission", nil
	}
	f, err := x.open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(x.limited(f), examined))
	if err != nil {
		return "", err
	}
	return special + contentType(content), nil
}

func (x session) linkType(p place, name string) (string, error) {
	target, err := p.dir.Readlink(p.rel)
	if err != nil {
		return "", err
	}
	_, err = x.existing(name, true)
	switch {
	case err == nil:
		return "symbolic link to " + target, nil
	case errors.Is(err, syscall.ELOOP):
		return "symbolic link in a loop", nil
	}
	return "broken symbolic link to " + target, nil
}

// examined is how much of a file its type is told from.
const examined = 1 << 20

// signatures are the beginnings of formats that are often met.
var signatures = []struct {
	at   int
	mark string
	kind string
}{
	{0, "\x1f\x8b", "gzip compressed data"},
	{0, "BZh", "bzip2 compressed data"},
	{0, "\xfd7zXZ\x00", "XZ compressed data"},
	{0, "\x28\xb5\x2f\xfd", "Zstandard compressed data"},
	{0, "PK\x03\x04", "Zip archive data"},
	{257, "ustar  \x00", "POSIX tar archive (GNU)"},
	{257, "ustar\x00", "POSIX tar archive"},
	{0, "\x89HDF\r\n\x1a\n", "Hierarchical Data Format (version 5) data"},
	{0, "CDF\x01", "NetCDF Data Format data"},
	{0, "CDF\x02", "NetCDF Data Format data (64-bit offset)"},
	{0, "\x7fELF", "ELF"},
	{0, "%PDF-", "PDF document"},
	{0, "\x89PNG\r\n\x1a\n", "PNG image data"},
	{0, "\xff\xd8\xff", "JPEG image data"},
}

// interpreters are how scripts are called after their first line.
var interpreters = map[string]string{
	"bash": "Bourne-Again shell script", "sh": "POSIX shell script", "dash": "POSIX shell script", "ksh": "Korn shell script",
	"zsh": "Paul Falstad's zsh script", "python": "Python script", "python3": "Python script", "perl": "Perl script",
}

func contentType(content []byte) string {
	for _, s := range signatures {
		if len(content) >= s.at && bytes.HasPrefix(content[s.at:], []byte(s.mark)) {
			return s.kind
		}
	}
	text := textType(content)
	first, _, _ := bytes.Cut(content, []byte("\n"))
	command, isScript := strings.CutPrefix(string(first), "#!")
	words := strings.Fields(command)
	switch {
	case text == "":
		return "data"
	case isScript && len(words) > 0:
		program := path.Base(words[0])
		if program == "env" && len(words) > 1 {
			program = words[1]
		}
		kind, known := interpreters[program]
		if !known {
			kind = "a " + strings.TrimSpace(command) + " script"
		}
		encoding, lines, odd := strings.Cut(text, ", with ")
		if odd {
			lines = ", with " + lines
		}
		return kind + ", " + encoding + " executable" + lines
	case (content[0] == '{' || content[0] == '[') && json.Valid(content):
		return "JSON text data"
	}
	return text
}

// textType names the encoding of a text and what is odd about its lines; "" for
// what is no text.
func textType(content []byte) string {
	ascii, control := true, false
	for _, b := range content {
		ascii = ascii && b < 0x80
		control = control || b == 0x7f || b < ' ' && !strings.ContainsRune("\a\b\t\n\f\r\x1b", rune(b))
	}
	if len(content) == examined { // the last character may be cut
		for n := 0; n < utf8.UTFMax && !utf8.Valid(content); n++ {
			content = content[:len(content)-1]
		}
	}
	kind := "ASCII text"
	switch {
	case control:
		return ""
	case ascii:
	case utf8.Valid(content):
		kind = "Unicode text, UTF-8 text"
	default:
		kind = "ISO-8859 text"
	}
	longest := 0
	for line := range bytes.Lines(content) {
		longest = max(longest, len(bytes.TrimRight(line, "\r\n")))
	}
	if longest > 300 {
		kind += fmt.Sprintf(", with very long lines (%d)", longest)
	}
	switch lines, crlf := bytes.Count(content, []byte("\n")), bytes.Count(content, []byte("\r\n")); {
	case lines == 0:
		kind += ", with no line terminators"
	case crlf == lines:
		kind += ", with CRLF line terminators"
	case crlf > 0:
		kind += ", with CRLF, LF line terminators"
	}
	return kind
}
