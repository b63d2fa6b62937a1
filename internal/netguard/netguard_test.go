package netguard

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync/atomic"
	"testing"
)

// matrix says of hosts as they stand in URLs whether they may be dialled.
var matrix = map[string]bool{
	// Names and addresses of stores, public and private.
	"s3.example.org": true, "objects.example.org.": true, "192.0.2.7": true, "10.1.2.3": true, "172.16.0.1": true,
	"192.168.1.1": true, "100.64.0.1": true, "2001:db8::1": true, "fd12:3456::1": true, "::ffff:192.0.2.7": true,
	"64:ff9b::192.0.2.7": true, "8.8.8.8": true, "0x.example": true, "s3": true, "123abc": true,
	// This machine.
	"localhost": false, "LOCALHOST": false, "localhost.": false, "x.localhost": false, "127.0.0.1": false, "127.8.9.10": false,
	"::1": false, "::": false, "0.0.0.0": false, "0.1.2.3": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false,
	"64:ff9b::127.0.0.1": false, "2002:7f00:1::": false, "64:ff9b:1::7f00:1": false,
	// Its link, everybody, and metadata services.
	"169.254.169.254": false, "169.254.1.1": false, "::ffff:169.254.169.254": false, "2002:a9fe:a9fe::": false,
	"64:ff9b::a9fe:a9fe": false, "fe80::1": false, "fe80::1%eth0": false, "224.0.0.1": false, "ff02::1": false,
	"255.255.255.255": false, "fd00:ec2::254": false, "100.100.100.200": false, "168.63.129.16": false, "192.0.0.192": false,
	"metadata.google.internal": false,
	// Addresses that only some programs read: decimal, octal, hexadecimal, short.
	"2130706433": false, "017700000001": false, "0x7f000001": false, "0x7f.0.0.1": false, "0177.0.0.1": false,
	"127.1": false, "127.0.1": false, "0": false, "0x": false, "2852039166": false, "0xa9fea9fe": false, "1.2.3.4.5": false,
	"010.0.0.1": false, "10.0.0.0x1": false, "0X7F.1": false,
	"": false, ".": false, "a b": false, "a%00b": false,
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for host, want := range matrix {
		if err := CheckHost(host); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("CheckHost(%q) = %v, want allowed %v", host, err, want)
		}
	}
}

// FuzzHosts: what is allowed and is an address is one that CheckAddr allows, too.
func FuzzHosts(f *testing.F) {
	for host := range matrix {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if CheckHost(host) != nil {
			return
		}
		if addr, err := netip.ParseAddr(host); err == nil && CheckAddr(addr) != nil {
			t.Errorf("%q is allowed", host)
		}
		if addr := net.ParseIP(host); addr != nil && addr.IsLoopback() {
			t.Errorf("%q is allowed", host)
		}
	})
}

// TestDialled: what counts is the address that a name has at the moment of
// dialling. The listener behind it sees no connection.
func TestDialled(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range []string{"127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"} {
		d := Dialer()
		d.Resolver = names(t, answer)
		conn, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("objects.example.org", port))
		if err == nil {
			_ = conn.Close()
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("a name for %s was dialled: %v", answer, err)
		}
	}
	// A name that was harmless a moment ago.
	d := Dialer()
	first, now := names(t, "192.0.2.7"), names(t, "127.0.0.1")
	if found, err := first.LookupHost(t.Context(), "objects.example.org"); err != nil || found[0] != "192.0.2.7" {
		t.Fatalf("%v, %v", found, err)
	}
	d.Resolver = now
	if _, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("objects.example.org", port)); !errors.Is(err, ErrRefused) {
		t.Errorf("a name that changed its address was dialled: %v", err)
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections arrived", n)
	}
	open := dialer()
	open.Resolver = now
	conn, err := open.DialContext(t.Context(), "tcp", net.JoinHostPort("objects.example.org", port))
	if err != nil {
		t.Fatalf("the test shows nothing: without the guard there is no connection either: %v", err)
	}
	_ = conn.Close()
}

// TestProxy: a proxy on this machine is used, for hosts that may be asked.
func TestProxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked.Store(r.Host) }))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	guarded := Transport(&http.Transport{Proxy: http.ProxyURL(at), DisableKeepAlives: true})
	get := func(t *http.Transport, address string) error {
		resp, err := (&http.Client{Transport: t}).Get(address)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	if err := get(guarded, "http://objects.example.org/x"); err != nil || asked.Load() != "objects.example.org" {
		t.Errorf("through a proxy: %v, asked %v", err, asked.Load())
	}
	if err := get(Transport(&http.Transport{DisableKeepAlives: true}), proxy.URL); !errors.Is(err, ErrRefused) {
		t.Errorf("without a proxy: %v", err)
	}
	if err := get(&http.Transport{DisableKeepAlives: true}, proxy.URL); err != nil {
		t.Errorf("without the guard: %v", err)
	}
}

// names resolves every name to one address.
func names(t *testing.T, address string) *net.Resolver {
	addr := netip.MustParseAddr(address)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			answerNames(theirs, addr)
		}()
		t.Cleanup(func() { _ = ours.Close() })
		return ours, nil
	}}
}

// answerNames speaks DNS as over TCP: a question comes behind its length.
func answerNames(conn net.Conn, addr netip.Addr) {
	for {
		var size [2]byte
		if _, err := conn.Read(size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := conn.Read(question); err != nil {
			return
		}
		end := 12
		for question[end] != 0 {
			end += int(question[end]) + 1
		}
		end += 5
		kind := binary.BigEndian.Uint16(question[end-4:])
		reply := append([]byte{}, question[:end]...)
		reply[2], reply[3] = 0x81, 0x80                                                 // an answer
		reply[6], reply[7], reply[8], reply[9], reply[10], reply[11] = 0, 0, 0, 0, 0, 0 // no records
		data := addr.AsSlice()
		if kind == 1 && len(data) == 4 || kind == 28 && len(data) == 16 {
			reply[7] = 1
			reply = append(reply, 0xc0, 12, byte(kind>>8), byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(data)))
			reply = append(reply, data...)
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}
