package datatransfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// ranges is an object that is fetched in pieces.
type ranges struct {
	link  link
	etag  string
	size  int64
	chunk int64 // bytes of one piece
	file  *os.File
	have  []bool // by piece
	meter meter
}

// Sizes of the pieces of a download, in bytes: so small that a slow connection
// does not keep the others waiting in the end, so large that asking for them costs
// little.
const (
	enoughChunk = 8 << 20 // smaller ones are made only to give every connection one
	maxChunk    = 64 << 20
	maxTurns    = 4 // of a connection, if maxChunk does not make them more
)

// chunkSize is such that every connection gets as many pieces as the others.
func (m *Mover) chunkSize(size int64) int64 {
	if m.settings.Chunk > 0 {
		return m.settings.Chunk
	}
	connections := int64(m.settings.Connections)
	share := (size + connections - 1) / connections
	turns := max(1, min(share/enoughChunk, maxTurns), (share+maxChunk-1)/maxChunk)
	chunk := (share + turns - 1) / turns
	return max(1, (chunk+1<<20-1)>>20) << 20
}

func (r *ranges) count() int { return int((r.size + r.chunk - 1) / r.chunk) }

func (r *ranges) span(i int) (offset, size int64) {
	offset = int64(i) * r.chunk
	return offset, min(r.chunk, r.size-offset)
}

func (r *ranges) missing() []int {
	var list []int
	for i := range r.count() {
		if !r.have[i] {
			list = append(list, i)
		}
	}
	return list
}

func (r *ranges) fetched() int64 {
	var n int64
	for i := range r.count() {
		if r.have[i] {
			_, size := r.span(i)
			n += size
		}
	}
	return n
}

// object is what a store tells of an object.
type object struct {
	size   int64
	etag   string
	ranges bool // pieces of it can be had
}

// lookAt asks for the first byte of an object: the address is good for nothing
// else but getting it.
func (m *Mover) lookAt(ctx context.Context, l link) (found object, err error) {
	failure := m.ask(ctx, &storeCall{
		action: "look at the object", link: l, method: http.MethodGet, header: http.Header{"Range": {"bytes=0-0"}},
		read: func(resp *http.Response) error {
			found = object{size: resp.ContentLength, etag: resp.Header.Get("ETag")}
			if resp.StatusCode != http.StatusPartialContent {
				return nil
			}
			_, total, err := contentRange(resp.Header.Get("Content-Range"))
			found.size, found.ranges = total, true
			if err == nil { // the connection is good for more then
				_, err = io.CopyN(io.Discard, resp.Body, 1)
			}
			return err
		},
	})
	if failure == nil {
		return found, nil
	}
	if failure.Status == http.StatusRequestedRangeNotSatisfiable { // it is empty
		return object{ranges: true}, nil
	}
	return object{}, failure
}

// fetchRanges fetches the pieces that are missing.
func (m *Mover) fetchRanges(ctx context.Context, r *ranges, keep func(i int) error, tick func() error) error {
	r.meter.bytes.Store(r.fetched())
	fetch := func(ctx context.Context, i int) (struct{}, error) {
		offset, size := r.span(i)
		return struct{}{}, m.fetchRange(ctx, r, offset, size)
	}
	got := func(i int, _ struct{}) error {
		r.have[i] = true
		return keep(i)
	}
	return inParallel(ctx, m.settings.Connections, r.missing(), m.settings.Flush, fetch, got, tick)
}

// fetchRange fetches one piece into its place. A try that was cut short is
// continued, not repeated.
func (m *Mover) fetchRange(ctx context.Context, r *ranges, offset, size int64) error {
	var done int64
	call := &storeCall{
		action: fmt.Sprintf("fetch bytes %d to %d", offset, offset+size-1), link: r.link, method: http.MethodGet, header: http.Header{},
		moved: func() int64 { return done },
	}
	want := func() { call.header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset+done, offset+size-1)) }
	want()
	if r.etag != "" {
		call.header.Set("If-Match", r.etag)
	}
	call.read = func(resp *http.Response) error {
		defer want()
		if err := r.check(resp, offset+done); err != nil {
			return err
		}
		n, err := io.Copy(&placeWriter{r, offset + done}, io.LimitReader(resp.Body, size-done))
		done += n
		if err == nil && done < size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	failure := m.ask(ctx, call)
	if failure == nil {
		return nil
	}
	r.meter.add(-done)
	var local *LocalError
	if errors.As(failure.cause, &local) {
		return local
	}
	return failure
}

// check makes sure that an answer is the piece that was asked for.
func (r *ranges) check(resp *http.Response, offset int64) error {
	if resp.StatusCode != http.StatusPartialContent {
		return &StoreError{Status: http.StatusNotImplemented, Message: "it sent all of the object instead of a part"}
	}
	start, total, err := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
		return err
	case total != r.size || r.etag != "" && resp.Header.Get("ETag") != "" && resp.Header.Get("ETag") != r.etag:
		return &StoreError{Status: http.StatusPreconditionFailed, Message: "the object was replaced"}
	case start != offset:
		return fmt.Errorf("it sent bytes from %d on instead of %d", start, offset)
	}
	return nil
}

// placeWriter writes to the file from an offset on.
type placeWriter struct {
	ranges *ranges
	offset int64
}

func (w *placeWriter) Write(p []byte) (int, error) {
	n, err := w.ranges.file.WriteAt(p, w.offset)
	w.offset += int64(n)
	w.ranges.meter.add(int64(n))
	return n, localError(err)
}

// fetchWhole fetches an object in one stream, from a store that has no ranges.
func (m *Mover) fetchWhole(ctx context.Context, r *ranges) error {
	failure := m.ask(ctx, &storeCall{
		action: "fetch the object", link: r.link, method: http.MethodGet, header: http.Header{},
		read: func(resp *http.Response) error {
			r.meter.bytes.Store(0)
			n, err := io.Copy(&placeWriter{r, 0}, io.LimitReader(resp.Body, r.size+1))
			if err == nil && n != r.size {
				err = fmt.Errorf("%d bytes came instead of %d", n, r.size)
			}
			return err
		},
	})
	if failure == nil {
		return nil
	}
	var local *LocalError
	if errors.As(failure.cause, &local) {
		return local
	}
	return failure
}

// contentRange reads "bytes 0-9/100".
func contentRange(text string) (start, total int64, err error) {
	rest, ok := strings.CutPrefix(text, "bytes ")
	span, all, slash := strings.Cut(rest, "/")
	from, _, dash := strings.Cut(span, "-")
	start, startErr := strconv.ParseInt(from, 10, 64)
	total, totalErr := strconv.ParseInt(all, 10, 64)
	if !ok || !slash || !dash || startErr != nil || totalErr != nil || start < 0 || total < 0 {
		return 0, 0, fmt.Errorf("it does not say which bytes it sent")
	}
	return start, total, nil
}
