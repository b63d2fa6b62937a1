package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestProxy sends bytes to a service that sends them back: they are the same, late
// and never faster than the rate.
func TestProxy(t *testing.T) {
	t.Parallel()
	const size, rate, delay = 1 << 20, 4 << 20, 30 * time.Millisecond
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	go func() {
		conn, err := service.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	x, err := newProxy(service.Addr().String(), passage{rate, delay})
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	conn, err := net.Dial("tcp", x.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := make([]byte, size)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(sent); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(sent, got) {
		t.Fatalf("%d other bytes came back, %v", len(got), err)
	}
	took := time.Since(began)
	if least := time.Second*size/rate + 2*delay; took < least {
		t.Errorf("the bytes took %s there and back, less than %s", took, least)
	}
	passed, connections := x.passed()
	if connections != 1 || passed < took/2 || passed > took {
		t.Errorf("the proxy saw %s on %d connections; it was %s", passed, connections, took)
	}
}
