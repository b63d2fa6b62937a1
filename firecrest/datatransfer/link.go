package datatransfer

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// link is a presigned URL: a key to one object. It is never printed.
type link struct {
	url     string
	scheme  string
	host    string    // with port, lower case
	expires time.Time // zero if the URL does not tell
}

// parseLink reads a presigned URL. Like every address that secrets go to, it
// must be https, or http on a loopback host.
func parseLink(secret firecrest.Secret) (link, error) {
	u, err := url.Parse(string(secret))
	if err != nil || u.Host == "" {
		return link{}, errors.New("the service gave something that is no URL for the object store")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !firecrest.IsLoopback(u.Hostname())) {
		return link{}, fmt.Errorf("the service sends the file to %s://%s, unencrypted: the site must offer its object store over https", u.Scheme, u.Host)
	}
	l := link{url: string(secret), scheme: u.Scheme, host: hostAndPort(u)}
	query := u.Query()
	signed, err := time.Parse("20060102T150405Z", query.Get("X-Amz-Date"))
	seconds, numErr := strconv.Atoi(query.Get("X-Amz-Expires"))
	if err == nil && numErr == nil {
		l.expires = signed.Add(time.Duration(seconds) * time.Second)
	}
	return l, nil
}

// expired reports whether the link is of no use any more, by this machine's
// clock.
func (l link) expired(now time.Time) bool { return !l.expires.IsZero() && !now.Before(l.expires) }

// hostName is the host of a link without its port, for people.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
