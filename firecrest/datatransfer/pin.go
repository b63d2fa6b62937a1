package datatransfer

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/netguard"
)

// storeHosts are the hosts of object stores that a service may send files to: per
// system the one that the service names in its description, else the one that it
// used first.
type storeHosts struct {
	mu    sync.Mutex
	named map[string]string
	first map[string]string
}

// name notes the host that the description of a system names; "" if it names
// none.
func (h *storeHosts) name(system, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.named == nil {
		h.named = map[string]string{}
	}
	h.named[strings.ToLower(system)] = hostAndPort(u)
}

// check refuses a host that is not the one of the system's object store. Stores
// may have buckets as names below their own.
func (h *storeHosts) check(system, host string) error {
	system = strings.ToLower(system)
	h.mu.Lock()
	defer h.mu.Unlock()
	if named := h.named[system]; named != "" {
		if host == named || strings.HasSuffix(host, "."+named) {
			return nil
		}
		return fmt.Errorf("the service sends the file to %s, but says that the object store of %s is %s: nothing was sent", host, system, named)
	}
	if h.first == nil {
		h.first = map[string]string{}
	}
	switch first := h.first[system]; first {
	case "":
		h.first[system] = host
	case host:
	default:
		return fmt.Errorf("the service sends the file to %s; for %s it was %s before: nothing was sent", host, system, first)
	}
	return nil
}

// hostAndPort is the host of an address with its port, in small letters.
func hostAndPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
		if port == "" {
			port = "443"
		}
	}
	return net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port)
}

// streamPeer reads coordinates that the service gave.
func (m *Mover) streamPeer(coordinates firecrest.Secret) (*streamPeer, error) {
	peer, err := parseCoordinates(coordinates)
	if err == nil && m.guarded {
		err = peer.guard()
	}
	return peer, err
}

// note notes where the object store of a system is, if the service says so.
func (m *Mover) note(facts *firecrest.System) {
	if facts.Transfer != nil && facts.Transfer.StoreURL != "" {
		m.hosts.name(facts.Name, facts.Transfer.StoreURL)
	}
}

// link reads a presigned URL that the service gave for a file on a system. A
// service that is not on this machine may not name hosts that are.
func (m *Mover) link(system string, secret firecrest.Secret) (link, error) {
	l, err := parseLink(secret)
	if err != nil {
		return link{}, err
	}
	if m.guarded {
		if l.scheme != "https" {
			return link{}, fmt.Errorf("the service sends the file to %s://%s, unencrypted: the site must offer its object store over https", l.scheme, l.host)
		}
		if err := netguard.CheckHost(hostName(l.host)); err != nil {
			return link{}, fmt.Errorf("the service sends the file to an address that cannot be an object store of its: %w", err)
		}
	}
	return l, m.hosts.check(system, l.host)
}
