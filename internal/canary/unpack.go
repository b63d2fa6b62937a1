package canary

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
)

// part is something that was packed.
type part struct {
	how     string
	content []byte
}

// maxUnpacked bounds what one packed part may become.
const maxUnpacked = 64 << 20

// packings are what packed data begins with. Two bytes are found in anything, so
// that many a beginning is none; then nothing comes out.
var packings = []struct {
	how   string
	begin []byte
	open  func(r []byte) (io.Reader, error)
}{
	{"gzip", []byte{0x1f, 0x8b, 8}, func(r []byte) (io.Reader, error) { return gzip.NewReader(bytes.NewReader(r)) }},
	{"zlib", []byte{0x78, 0x01}, openZlib},
	{"zlib", []byte{0x78, 0x5e}, openZlib},
	{"zlib", []byte{0x78, 0x9c}, openZlib},
	{"zlib", []byte{0x78, 0xda}, openZlib},
	{"zip", []byte("PK\x03\x04"), openZip},
}

func openZlib(r []byte) (io.Reader, error) { return zlib.NewReader(bytes.NewReader(r)) }

// openZip opens one member by the header before it, whether or not the rest of
// the archive is there.
func openZip(r []byte) (io.Reader, error) {
	const header = 30
	if len(r) < header || binary.LittleEndian.Uint16(r[8:]) != 8 { // stored members are seen anyway
		return nil, io.ErrUnexpectedEOF
	}
	skip := header + int(binary.LittleEndian.Uint16(r[26:])) + int(binary.LittleEndian.Uint16(r[28:]))
	if skip > len(r) {
		return nil, io.ErrUnexpectedEOF
	}
	return flate.NewReader(bytes.NewReader(r[skip:])), nil
}

// unpacked finds what is packed anywhere in content. What is cut short counts as
// far as it goes.
func unpacked(content []byte) []part {
	var parts []part
	for _, p := range packings {
		for from := 0; from < len(content); {
			at := bytes.Index(content[from:], p.begin)
			if at < 0 {
				break
			}
			from += at + len(p.begin)
			r, err := p.open(content[from-len(p.begin):])
			if err != nil {
				continue
			}
			out, _ := io.ReadAll(io.LimitReader(r, maxUnpacked))
			if len(out) >= shortest {
				parts = append(parts, part{p.how, out})
			}
		}
	}
	return parts
}
