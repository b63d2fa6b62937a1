package main

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// localFile is a log on this machine whose lines are printed as they come.
type localFile struct {
	path string
	out  *logOutput
	at   int64 // how much of it was printed
}

// tailWindow is how much of a log is read to find its last lines.
const tailWindow = 1 << 20

// skip leaves out all but the last n lines of what is there.
func (f *localFile) skip(n int) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	start := max(0, size-tailWindow)
	text := make([]byte, size-start)
	if _, err := file.ReadAt(text, start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	f.at = size - int64(len(lastLinesOf(string(text), n)))
	return nil
}

// read prints what has come since the last time: whole lines, and with last also
// one that is not finished.
func (f *localFile) read(last bool) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	piece := make([]byte, printedAtOnce)
	for {
		n, err := file.ReadAt(piece, f.at)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		text := piece[:n]
		if whole := bytes.LastIndexByte(text, '\n') + 1; ended && !last || whole > 0 && !ended {
			text = text[:whole]
		}
		f.at += int64(len(text))
		f.out.print(string(text))
		if ended {
			return nil
		}
	}
}
