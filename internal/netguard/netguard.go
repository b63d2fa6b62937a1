// Package netguard keeps connections to hosts that a server named away from this
// machine and from services that only machines beside it should reach, such as
// the metadata service of a cloud: an answer of a server must not make fcflow ask
// there.
//
// The rest of the network is allowed, private addresses included: that is where
// sites have their object stores.
package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrRefused is wrapped by the errors of this package.
var ErrRefused = errors.New("a server may not send us there")

// metadata are addresses at which clouds answer their machines, besides
// link-local ones.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // Amazon
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("192.0.0.192"),     // Oracle
}

// embedding are networks whose addresses hold an IPv4 address, from a byte on.
var embedding = map[netip.Prefix]int{
	netip.MustParsePrefix("::/96"):          12,
	netip.MustParsePrefix("64:ff9b::/96"):   12,
	netip.MustParsePrefix("64:ff9b:1::/48"): 12,
	netip.MustParsePrefix("2002::/16"):      2,
}

// CheckAddr refuses addresses of this machine and of its link, multicast, and
// those of metadata services, also inside IPv6 addresses.
func CheckAddr(addr netip.Addr) error {
	addr = addr.Unmap()
	switch {
	case addr.Zone() != "", !addr.IsGlobalUnicast(), addr.Is4() && addr.As4()[0] == 0, slices.Contains(metadata, addr):
		return fmt.Errorf("%s: %w", addr, ErrRefused)
	case addr.Is4():
		return nil
	}
	bytes := addr.As16()
	for network, at := range embedding {
		if network.Contains(addr) {
			if err := CheckAddr(netip.AddrFrom4([4]byte(bytes[at : at+4]))); err != nil {
				return fmt.Errorf("%s: %w", addr, ErrRefused)
			}
		}
	}
	return nil
}

// CheckHost refuses a host as it stands in a URL: what CheckAddr refuses, names of
// this machine, and numbers that are no address in its usual form but that some
// programs read as one. Other names are known only when they are dialled.
func CheckHost(host string) error {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, err := netip.ParseAddr(name); err == nil {
		return CheckAddr(addr)
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case name == "localhost", strings.HasSuffix(name, ".localhost"), name == "metadata.google.internal":
		return fmt.Errorf("%s: %w", host, ErrRefused)
	case last == "" || isNumber(last) || strings.ContainsAny(name, "%: "):
		return fmt.Errorf("%q is no name of a host: %w", host, ErrRefused)
	}
	return nil
}

func isNumber(label string) bool {
	digits, hexadecimal := strings.CutPrefix(label, "0x")
	for _, c := range digits {
		if (c < '0' || c > '9') && !(hexadecimal && c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// control looks at an address after its name was resolved and before anything is
// sent to it, so that a name cannot mean one thing when it is checked and another
// when it is used.
func control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s: %w", address, ErrRefused)
	}
	return CheckAddr(at.Addr())
}

func dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
}

// Dialer returns a dialer for hosts that a server named.
func Dialer() *net.Dialer {
	d := dialer()
	d.Control = control
	return d
}

// Transport returns a copy of t that dials through the guard. A proxy that t has is
// reached wherever it is: that was chosen here.
func Transport(t *http.Transport) *http.Transport {
	t = t.Clone()
	guarded, open, proxies := Dialer(), dialer(), &sync.Map{}
	if choose := t.Proxy; choose != nil {
		t.Proxy = func(req *http.Request) (*url.URL, error) {
			proxy, err := choose(req)
			if proxy != nil {
				proxies.Store(address(proxy), true)
			}
			return proxy, err
		}
	}
	t.DialTLSContext = nil
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if _, chosen := proxies.Load(address); chosen {
			return open.DialContext(ctx, network, address)
		}
		return guarded.DialContext(ctx, network, address)
	}
	return t
}

// address is where a proxy is dialled.
func address(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}
