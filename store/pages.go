package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/fcflow/fcflow/workflow"
)

// checkPages looks at the shape of a bbolt file: heads, page headers, the place
// of every key and value, the order of keys. bbolt trusts all of it, and a
// damaged page makes it read outside of the file or allocate without bound in a
// goroutine nobody can guard, which would end every run of the process. What
// keys and values say is checked where they are read.
//
// Both heads must be intact. bbolt would fall back from a damaged one to the
// commit before, but that would silently forget a commit which was relied on.
func checkPages(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c := pageChecker{file: f, bytes: info.Size()}
	if err := c.check(); err != nil {
		return fmt.Errorf("%s: %w: %w", dbName, workflow.ErrCorrupt, err)
	}
	return nil
}

// The layout of bbolt's file format 2, in the byte order of the machine.
const (
	pageHeader = 16 // id uint64, flags uint16, count uint16, overflow uint32
	branchPage = 0x01
	leafPage   = 0x02
	metaPage   = 0x04

	elementSize  = 16 // leaf: flags, pos, ksize, vsize uint32; branch: pos, ksize uint32, page uint64
	bucketHeader = 16 // root page uint64, sequence uint64
	bucketFlag   = 0x01

	metaMagic   = 0xed0cdaed
	metaVersion = 2
	metaSize    = 64 // ends in the checksum of the rest
	noFreelist  = 1<<64 - 1

	maxDepth = 32
)

var order = binary.NativeEndian

type pageChecker struct {
	file     io.ReaderAt
	bytes    int64
	pageSize int64
	seen     []bool // by page id
}

type fileHead struct {
	pageSize             uint32
	root, freelist, txid uint64
}

func (c *pageChecker) check() error {
	first, err := c.head(0)
	if err != nil {
		return err
	}
	size := first.pageSize
	if size < 1<<10 || size > 1<<16 || size&(size-1) != 0 {
		return fmt.Errorf("page size %d", size)
	}
	c.pageSize = int64(size)
	second, err := c.head(c.pageSize)
	if err != nil {
		return err
	}
	if second.pageSize != size {
		return fmt.Errorf("page sizes %d and %d", size, second.pageSize)
	}
	// The heads are written in turn. One in the place of the other would take the
	// run back to an earlier state.
	if first.txid%2 != 0 || second.txid%2 != 1 {
		return fmt.Errorf("heads of transactions %d and %d in the wrong places", first.txid, second.txid)
	}
	newest := first
	if second.txid > first.txid {
		newest = second
	}
	if newest.freelist != noFreelist {
		return fmt.Errorf("it stores a list of free pages, which this program never does")
	}
	c.seen = make([]bool, c.bytes/c.pageSize)
	return c.page(newest.root, nil, nil, 0)
}

// head reads one of the two heads, at the start of the first two pages.
func (c *pageChecker) head(at int64) (fileHead, error) {
	var b [pageHeader + metaSize]byte
	if _, err := c.file.ReadAt(b[:], at); err != nil {
		return fileHead{}, fmt.Errorf("head at byte %d: %w", at, err)
	}
	m := b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(m[:metaSize-8])
	if order.Uint16(b[8:]) != metaPage || order.Uint32(m) != metaMagic || order.Uint32(m[4:]) != metaVersion ||
		order.Uint64(m[metaSize-8:]) != sum.Sum64() {
		return fileHead{}, fmt.Errorf("head at byte %d is damaged", at)
	}
	return fileHead{
		pageSize: order.Uint32(m[8:]),
		root:     order.Uint64(m[16:]), freelist: order.Uint64(m[32:]), txid: order.Uint64(m[48:]),
	}, nil
}

// page checks a page and what lies below it. Its keys are from low on and below
// high; nil is no bound.
func (c *pageChecker) page(id uint64, low, high []byte, depth int) error {
	p, err := c.read(id)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("page %d: too deep", id)
	}
	keys, err := c.elements(p, depth)
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if !ascending(keys, low, high) {
		return fmt.Errorf("page %d: keys out of order", id)
	}
	if order.Uint16(p[8:]) != branchPage {
		return nil
	}
	if len(keys) == 0 {
		return fmt.Errorf("page %d: an empty branch", id)
	}
	for i, k := range keys {
		end := high
		if i+1 < len(keys) {
			end = keys[i+1]
		}
		below := order.Uint64(p[pageHeader+i*elementSize+8:])
		if err := c.page(below, k, end, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// read returns a page with its overflow.
func (c *pageChecker) read(id uint64) ([]byte, error) {
	if id < 2 || id >= uint64(len(c.seen)) {
		return nil, fmt.Errorf("page %d is not in the file", id)
	}
	var header [pageHeader]byte
	if _, err := c.file.ReadAt(header[:], int64(id)*c.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	flags, overflow := order.Uint16(header[8:]), uint64(order.Uint32(header[12:]))
	switch {
	case order.Uint64(header[:]) != id:
		return nil, fmt.Errorf("page %d is page %d", id, order.Uint64(header[:]))
	case flags != branchPage && flags != leafPage:
		return nil, fmt.Errorf("page %d is of kind %#x", id, flags)
	case id+overflow >= uint64(len(c.seen)):
		return nil, fmt.Errorf("page %d ends outside of the file", id)
	}
	for i := id; i <= id+overflow; i++ {
		if c.seen[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		c.seen[i] = true
	}
	p := make([]byte, int64(overflow+1)*c.pageSize)
	if _, err := c.file.ReadAt(p, int64(id)*c.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return p, nil
}

// elements returns the keys of a page, once all of them and their values are
// known to lie inside it, and checks the buckets among the values.
func (c *pageChecker) elements(p []byte, depth int) (keys [][]byte, err error) {
	count := int(order.Uint16(p[10:]))
	if pageHeader+count*elementSize > len(p) {
		return nil, fmt.Errorf("%d elements", count)
	}
	leaf := order.Uint16(p[8:]) == leafPage
	for i := range count {
		at := pageHeader + i*elementSize
		e := p[at:]
		var flags uint32
		var valueSize uint64
		if leaf {
			flags, valueSize, e = order.Uint32(e), uint64(order.Uint32(e[12:])), e[4:]
		}
		start := uint64(at) + uint64(order.Uint32(e))
		middle := start + uint64(order.Uint32(e[4:]))
		end := middle + valueSize
		if end > uint64(len(p)) || flags&^bucketFlag != 0 {
			return nil, fmt.Errorf("element %d is damaged", i)
		}
		keys = append(keys, p[start:middle])
		if flags == bucketFlag {
			if err := c.bucket(p[middle:end], depth); err != nil {
				return nil, fmt.Errorf("bucket %q: %w", p[start:middle], err)
			}
		}
	}
	return keys, nil
}

// bucket checks a bucket: on pages of its own, or small enough to be a value.
func (c *pageChecker) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("%d bytes", len(value))
	}
	if root := order.Uint64(value); root != 0 {
		return c.page(root, nil, nil, depth+1)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || order.Uint16(inline[8:]) != leafPage {
		return fmt.Errorf("its page is damaged")
	}
	if depth > maxDepth {
		return fmt.Errorf("too deep")
	}
	keys, err := c.elements(inline, depth+1)
	if err != nil {
		return err
	}
	if !ascending(keys, nil, nil) {
		return fmt.Errorf("keys out of order")
	}
	return nil
}

func ascending(keys [][]byte, low, high []byte) bool {
	for i, k := range keys {
		if i == 0 && low != nil && bytes.Compare(k, low) < 0 ||
			i > 0 && bytes.Compare(k, keys[i-1]) <= 0 ||
			high != nil && bytes.Compare(k, high) >= 0 {
			return false
		}
	}
	return true
}
