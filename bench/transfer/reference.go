package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

// The reference ways are what anybody would write, without retries, digests or a
// way to go on after an interruption. They share one client, with the settings of
// fcflow's own.
func newHTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 10, DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
	}}
}

// oneStream gets an object with one request.
func oneStream(ctx context.Context, c *http.Client, url, to string) error {
	resp, err := send(ctx, c, http.MethodGet, url, nil, 0)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, resp.Body)
	return errors.Join(err, file.Close())
}

// inParts puts a file as an object, some parts at a time.
func inParts(ctx context.Context, c *http.Client, width int, file *os.File, size, partSize int64, urls []string, complete string) error {
	etags, failures := make([]string, len(urls)), make([]error, len(urls))
	turns := make(chan struct{}, width)
	var all sync.WaitGroup
	for i, url := range urls {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			offset := int64(i) * partSize
			n := min(partSize, size-offset)
			resp, err := send(ctx, c, http.MethodPut, url, io.NewSectionReader(file, offset, n), n)
			if failures[i] = err; err == nil {
				etags[i] = resp.Header.Get("ETag")
				failures[i] = resp.Body.Close()
			}
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	list := "<CompleteMultipartUpload>"
	for i, etag := range etags {
		var text bytes.Buffer
		xml.Escape(&text, []byte(etag))
		list += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, text.String())
	}
	list += "</CompleteMultipartUpload>"
	resp, err := send(ctx, c, http.MethodPost, complete, bytes.NewReader([]byte(list)), int64(len(list)))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func send(ctx context.Context, c *http.Client, method, url string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	resp, err := c.Do(req)
	if err == nil && resp.StatusCode >= 300 {
		return nil, errors.Join(fmt.Errorf("%s: %s", method, resp.Status), resp.Body.Close())
	}
	return resp, err
}
