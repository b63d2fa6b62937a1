package sandbox

import (
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
)

// compressor wraps w; closing what it returns ends the compressed stream.
func compressor(ctx context.Context, compression string, w *os.File) (io.WriteCloser, error) {
	switch compression {
	case "gzip":
		return gzip.NewWriter(w), nil
	case "none":
		return plainWriter{w}, nil
	}
	cmd, err := filter(ctx, compression, "-c")
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return filterInput{in, cmd}, cmd.Start()
}

// decompressor unwraps r. Bytes of another compression are an error when they
// are read, or here.
func decompressor(ctx context.Context, compression string, r *os.File) (io.ReadCloser, error) {
	switch compression {
	case "gzip":
		return gzip.NewReader(r)
	case "none":
		return io.NopCloser(r), nil
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
	cmd, err := filter(ctx, compression, "-dc")
	if err != nil {
		return nil, err
	}
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return filterOutput{out, cmd}, cmd.Start()
}

// filter is the program for a compression the standard library does not have.
// It sees bytes only, never a path.
func filter(ctx context.Context, compression, option string) (*exec.Cmd, error) {
	program, err := exec.LookPath(compression)
	if err != nil {
		return nil, fail(501, "Compression %s is not available: the machine of the sandbox has no program of that name.", compression)
	}
	cmd := exec.CommandContext(ctx, program, option)
	cmd.Env = []string{}
	return cmd, nil
}

// filterInput and filterOutput are the ends of a running filter. Closing waits
// for the program and reports whether it succeeded.
type (
	filterInput struct {
		io.WriteCloser
		cmd *exec.Cmd
	}
	filterOutput struct {
		io.ReadCloser
		cmd *exec.Cmd
	}
	plainWriter struct{ io.Writer }
)

func (f filterInput) Close() error  { return errors.Join(f.WriteCloser.Close(), f.cmd.Wait()) }
func (f filterOutput) Close() error { return errors.Join(f.ReadCloser.Close(), f.cmd.Wait()) }
func (plainWriter) Close() error    { return nil }
