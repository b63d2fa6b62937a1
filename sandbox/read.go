package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// openFile opens the primary path of a reading command. Text is the command's
// complaint when it cannot, with the path and the reason left open.
func (s *Server) openFile(c *call, text string) (x session, f *os.File, done func(), err error) {
	x, end, err := s.command(c)
	if err != nil {
		return session{}, nil, nil, err
	}
	p, err := x.existing(c.path, true)
	if err == nil {
		f, err = x.open(p)
	}
	if err != nil {
		end()
		return session{}, nil, nil, commandError(err, 1, text, c.path)
	}
	done = func() { f.Close(); end() }
	if !p.info.Mode().IsRegular() && !p.info.IsDir() {
		done()
		return session{}, nil, nil, errCommandTime // the command would wait for a writer
	}
	return x, f, done, nil
}

// content is the reply of head and tail. The positions say how the command was
// called, not what the file holds.
type content struct {
	Content       string `json:"content"`
	ContentType   string `json:"contentType"`
	StartPosition int64  `json:"startPosition"`
	EndPosition   int64  `json:"endPosition"`
}

// span is what a caller of head or tail asked for: a number of lines or bytes,
// from one end of the file or all but that.
type span struct {
	name   string // of the command
	bytes  bool
	count  int64
	given  bool // a count was given, if only 0
	except bool // skipTrailing or skipHeading
}

func readSpan(c *call, name, skip string) (span, error) {
	q := c.query()
	sp := span{name: name, except: q.boolean(skip)}
	inBytes, inLines := q.integer("bytes", 0), q.integer("lines", 0)
	sp.given = q.values.Get("bytes") != "" || q.values.Get("lines") != ""
	if err := q.err(); err != nil {
		return span{}, err
	}
	if inBytes != 0 && inLines != 0 {
		return span{}, fail(400, "Only one of `bytes` or `lines` can be specified.")
	}
	sp.bytes, sp.count = inBytes != 0, inBytes+inLines
	if sp.count == 0 {
		sp.except = false
	}
	if sp.except && sp.count < 0 {
		unit := "lines"
		if sp.bytes {
			unit = "bytes"
		}
		return span{}, commandFailed(1, "%s: invalid number of %s: '-%d'", name, unit, sp.count)
	}
	return sp, nil
}

func (s *Server) getHead(c *call) (reply, error) {
	sp, err := readSpan(c, "head", "skipTrailing")
	if err != nil {
		return reply{}, err
	}
	out := content{ContentType: "lines", EndPosition: 10}
	if sp.bytes {
		out.ContentType = "bytes"
	}
	if sp.given {
		out.EndPosition = sp.count
	}
	if sp.except {
		out.EndPosition = -sp.count
	}
	return s.readSpan(c, sp, out, func(f *scan) (from, to int64) {
		switch {
		case sp.count == 0:
			return 0, f.afterLines(10)
		case sp.count < 0 || sp.except: // all but the last ones
			return 0, f.beforeLast(max(sp.count, -sp.count), sp.bytes)
		case sp.bytes:
			return 0, min(sp.count, f.size)
		}
		return 0, f.afterLines(sp.count)
	})
}

func (s *Server) getTail(c *call) (reply, error) {
	sp, err := readSpan(c, "tail", "skipHeading")
	if err != nil {
		return reply{}, err
	}
	out := content{ContentType: "lines", StartPosition: 10, EndPosition: -1}
	if sp.bytes {
		out.ContentType = "bytes"
	}
	if sp.given {
		out.StartPosition = -sp.count
	}
	if sp.except {
		out.StartPosition = sp.count
	}
	return s.readSpan(c, sp, out, func(f *scan) (from, to int64) {
		switch {
		case sp.count == 0:
			return f.beforeLast(10, false), f.size
		case sp.except && sp.bytes: // from the count'th on
			return min(sp.count-1, f.size), f.size
		case sp.except:
			return f.afterLines(sp.count - 1), f.size
		}
		return f.beforeLast(max(sp.count, -sp.count), sp.bytes), f.size
	})
}

// readSpan answers head and tail: cut finds the part of the file to return.
func (s *Server) readSpan(c *call, sp span, out content, cut func(*scan) (from, to int64)) (reply, error) {
	x, f, done, err := s.openFile(c, sp.name+": cannot open '%s' for reading: %s")
	if err != nil {
		return reply{}, err
	}
	defer done()
	info, err := f.Stat()
	if err != nil {
		return reply{}, err
	}
	if info.IsDir() {
		return reply{}, commandError(syscall.EISDIR, 1, "%s: error reading '%s': %s", sp.name, c.path)
	}
	sc := &scan{session: x, f: f, size: info.Size()}
	from, to := cut(sc)
	if sc.err != nil {
		return reply{}, commandError(sc.err, 1, sp.name+": error reading '%s': %s", c.path)
	}
	if to-from >= s.cfg.MaxOpsFileSize {
		return reply{}, errTooMuchOutput
	}
	data := make([]byte, to-from)
	n, err := f.ReadAt(data, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return reply{}, commandError(err, 1, "%s: error reading '%s': %s", sp.name, c.path)
	}
	out.Content = decodeUTF8(data[:n])
	return jsonReply(200, output{out}), nil
}

// scan finds line ends in a file of any size, from either end. The first error
// sticks.
type scan struct {
	session
	f    *os.File
	size int64
	err  error
}

const scanBlock = 64 << 10

// block reads [from, to) of the file.
func (sc *scan) block(buf []byte, from, to int64) []byte {
	if sc.err == nil {
		sc.err = sc.expired()
	}
	if sc.err != nil {
		return nil
	}
	n, err := sc.f.ReadAt(buf[:to-from], from)
	if err != nil && !errors.Is(err, io.EOF) {
		sc.err = err
	}
	return buf[:n]
}

// afterLines is the offset behind the n'th line.
func (sc *scan) afterLines(n int64) int64 {
	if n <= 0 {
		return 0
	}
	buf := make([]byte, scanBlock)
	for from := int64(0); from < sc.size && sc.err == nil; from += scanBlock {
		block := sc.block(buf, from, min(from+scanBlock, sc.size))
		for at := 0; ; {
			i := bytes.IndexByte(block[at:], '\n')
			if i < 0 {
				break
			}
			at += i + 1
			if n--; n == 0 {
				return from + int64(at)
			}
		}
	}
	return sc.size
}

// beforeLast is the offset ahead of the last n lines, or bytes. A last line
// without an end counts as a line.
func (sc *scan) beforeLast(n int64, inBytes bool) int64 {
	if inBytes {
		return max(0, sc.size-n)
	}
	buf := make([]byte, scanBlock)
	end := sc.size
	if last := sc.block(buf, max(0, end-1), end); len(last) > 0 && last[0] == '\n' {
		end--
	}
	for end > 0 && sc.err == nil {
		from := max(0, end-scanBlock)
		block := sc.block(buf, from, end)
		for {
			i := bytes.LastIndexByte(block, '\n')
			if i < 0 {
				break
			}
			if n--; n == 0 {
				return from + int64(i) + 1
			}
			block = block[:i]
		}
		end = from
	}
	return 0
}

// getView answers a window of characters. The reference reads two blocks of
// the window's size and cuts the characters out of those, which is exact for
// ASCII only and fails when two blocks are more than it may print.
func (s *Server) getView(c *call) (reply, error) {
	limit := s.cfg.MaxOpsFileSize
	q := c.query()
	size, offset := q.integer("size", limit), q.integer("offset", 0)
	if err := q.err(); err != nil {
		return reply{}, err
	}
	switch {
	case size <= 0:
		return reply{}, fail(400, "`size` value must be an integer value greater than 0")
	case offset < 0:
		return reply{}, fail(400, "`offset` value must be an integer value equal or greater than 0")
	case size > limit:
		return reply{}, fail(400, "`size` value must be less than %d bytes", limit)
	}
	_, f, done, err := s.openFile(c, "dd: failed to open '%s': %s")
	if err != nil {
		return reply{}, err
	}
	defer done()
	data, err := io.ReadAll(io.NewSectionReader(f, offset/size*size, 2*size))
	if err != nil {
		return reply{}, commandError(err, 1, "dd: error reading '%s': %s", c.path)
	}
	if int64(len(data)) >= limit {
		return reply{}, errTooMuchOutput
	}
	text := []rune(decodeUTF8(data))
	from := min(offset%size, int64(len(text)))
	return jsonReply(200, output{string(text[from:min(from+size, int64(len(text)))])}), nil
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Checksum  string `json:"checksum"`
}

func (s *Server) getChecksum(c *call) (reply, error) {
	x, f, done, err := s.openFile(c, "sha256sum: %s: %s")
	if err != nil {
		return reply{}, err
	}
	defer done()
	sum := sha256.New()
	if _, err := io.Copy(sum, x.limited(f)); err != nil {
		return reply{}, commandError(err, 1, "sha256sum: %s: %s", c.path)
	}
	if rest := strings.TrimPrefix(c.path, s.cfg.Root); strings.ContainsFunc(rest, unicode.IsSpace) {
		// The reference splits the command's output at spaces and finds too many
		// words. The root's own path is not held against the caller.
		return reply{}, fail(500, "Invalid output: %s  %s\n ", hexSum(sum), c.path)
	}
	return jsonReply(200, output{checksum{"SHA256", hexSum(sum)}}), nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// getDownload answers the bytes of a file. The reference passes them through
// base64, so the largest file is about three quarters of the output limit.
func (s *Server) getDownload(c *call) (reply, error) {
	_, f, done, err := s.openFile(c, "base64: %s: %s")
	if err != nil {
		return reply{}, err
	}
	defer done()
	data, err := io.ReadAll(io.LimitReader(f, s.cfg.MaxOpsFileSize))
	if err != nil {
		return reply{}, commandError(err, 1, "base64: read error: %s")
	}
	if int64(len(data)+2)/3*4 >= s.cfg.MaxOpsFileSize {
		return reply{}, errTooMuchOutput
	}
	return reply{status: 200, raw: data}, nil
}

// decodeUTF8 puts one replacement character for each longest piece of data
// that could have begun a character but did not become one.
func decodeUTF8(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	var b strings.Builder
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			for n < 3 && n < len(data) && !utf8.FullRune(data[:n+1]) {
				n++
			}
		}
		b.WriteRune(r)
		data = data[n:]
	}
	return b.String()
}
