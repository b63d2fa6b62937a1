package objects

import (
	"context"
	"crypto/hmac"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	algorithm       = "AWS4-HMAC-SHA256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	amzTime         = "20060102T150405Z"
	maxSkew         = 15 * time.Minute
	maxExpires      = 7 * 24 * time.Hour
)

// signer signs as S3 does: the path is escaped once, headers stay headers.
func signer() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
}

func (s *Store) awsCredentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: s.credentials.AccessKey, SecretAccessKey: s.credentials.SecretKey}
}

// Presign returns a URL with which anybody may make one kind of request until
// it expires, at most seven days from now. base is the address below which the
// store is served, Config.Path included, such as "http://127.0.0.1:8080/s3": the
// host of the request must be the same. query holds what the operation wants,
// such as uploadId and partNumber. Only the host is signed among the headers.
func (s *Store) Presign(base, method, bucket, key string, query url.Values, expires time.Duration) (string, error) {
	if expires < time.Second || expires > maxExpires {
		return "", fmt.Errorf("objects: presign for %s: want 1s to %s", expires, maxExpires)
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("objects: presign: %w", err)
	}
	u.Path += "/" + bucket + "/" + key
	u.RawPath = escape(u.Path)
	query = cloneQuery(query)
	query.Set("X-Amz-Expires", strconv.FormatInt(int64(expires/time.Second), 10))
	u.RawQuery = query.Encode()
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	signed, _, err := signer().PresignHTTP(context.Background(), s.awsCredentials(), r, unsignedPayload, "s3", s.cfg.Region, time.Now())
	if err != nil {
		return "", fmt.Errorf("objects: presign: %w", err)
	}
	return signed, nil
}

// claim is what a request says about its signature.
type claim struct {
	credential string
	headers    []string // that are signed, in lower case
	signature  string
	at         time.Time
	payload    string // what is signed for the body

	presigned bool
	expires   time.Duration // of a presigned request

	malformed *apiError // what to answer if something is wrong with its form
}

// authenticate checks the signature of a request. It reports whether there was
// none; that may be fine.
func (s *Store) authenticate(r *http.Request, q url.Values) (anonymous bool, err error) {
	header := r.Header.Get("Authorization")
	inQuery := q.Has("X-Amz-Algorithm") || q.Has("X-Amz-Signature") || q.Has("X-Amz-Credential")
	var c *claim
	switch {
	case header != "" && inQuery:
		return false, errTwoMechanisms
	case inQuery:
		c, err = queryClaim(r, q)
	case q.Has("AWSAccessKeyId"):
		return false, errOldSignature
	case header != "":
		c, err = headerClaim(r, header)
	default:
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, s.verify(r, q, c)
}

func queryClaim(r *http.Request, q url.Values) (*claim, error) {
	for _, name := range []string{"Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires"} {
		if len(q["X-Amz-"+name]) != 1 {
			return nil, errQueryParameters
		}
	}
	c := &claim{
		credential: q.Get("X-Amz-Credential"), signature: q.Get("X-Amz-Signature"), headers: strings.Split(q.Get("X-Amz-SignedHeaders"), ";"),
		payload: unsignedPayload, presigned: true, malformed: errQueryParameters,
	}
	seconds, err := strconv.ParseInt(q.Get("X-Amz-Expires"), 10, 64)
	if err != nil || seconds < 1 || seconds > int64(maxExpires/time.Second) {
		return nil, errExpiresRange
	}
	c.expires = time.Duration(seconds) * time.Second
	if c.at, err = time.Parse(amzTime, q.Get("X-Amz-Date")); err != nil || q.Get("X-Amz-Algorithm") != algorithm {
		return nil, errQueryParameters
	}
	if sum := r.Header.Get("X-Amz-Content-Sha256"); sum != "" && slices.Contains(c.headers, "x-amz-content-sha256") {
		c.payload = sum
	}
	return c, nil
}

func headerClaim(r *http.Request, header string) (*claim, error) {
	c := &claim{payload: r.Header.Get("X-Amz-Content-Sha256"), malformed: errAuthHeader}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return nil, errAuthHeader
	}
	for field := range strings.SplitSeq(rest, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "Credential":
			c.credential = value
		case "SignedHeaders":
			c.headers = strings.Split(value, ";")
		case "Signature":
			c.signature = value
		}
	}
	var err error
	if c.at, err = time.Parse(amzTime, r.Header.Get("X-Amz-Date")); err != nil {
		return nil, errAccessDenied
	}
	if c.payload == "" {
		return nil, errMissingContentSHA
	}
	return c, nil
}

// verify decides whether the signature is ours, good for this request, and good
// now. Times come last: whoever cannot sign learns nothing about them.
func (s *Store) verify(r *http.Request, q url.Values, c *claim) error {
	scope := strings.Split(c.credential, "/")
	if len(scope) != 5 || scope[3] != "s3" || scope[4] != "aws4_request" || !slices.Contains(c.headers, "host") {
		return c.malformed
	}
	if scope[0] != s.credentials.AccessKey {
		return errUnknownAccessKey.with("AWSAccessKeyId", scope[0])
	}
	if r.Header.Get("X-Amz-Security-Token") != "" || q.Has("X-Amz-Security-Token") {
		return errInvalidToken
	}
	if scope[2] != s.cfg.Region {
		wrong := *c.malformed
		wrong.message = fmt.Sprintf("The region '%s' is wrong; expecting '%s'", scope[2], s.cfg.Region)
		return wrong.with("Region", s.cfg.Region)
	}
	if scope[1] != c.at.Format("20060102") {
		return c.malformed
	}
	again, err := s.signAgain(r, q, c)
	if err != nil || !hmac.Equal([]byte(again), []byte(c.signature)) {
		return errSignature.with("AWSAccessKeyId", scope[0])
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains(c.headers, strings.ToLower(name)) && name != "X-Amz-Content-Sha256" {
			return errHeadersNotSigned.with("HeadersNotSigned", strings.ToLower(name))
		}
	}
	return c.timely()
}

// timely checks when a request is made.
func (c *claim) timely() error {
	now := time.Now()
	switch {
	case c.at.After(now.Add(maxSkew)) && c.presigned:
		return errNotYetValid
	case c.presigned && !now.Before(c.at.Add(c.expires)):
		return errExpired.with("X-Amz-Expires", strconv.Itoa(int(c.expires/time.Second))).
			with("Expires", c.at.Add(c.expires).UTC().Format(time.RFC3339)).with("ServerTime", now.UTC().Format(time.RFC3339))
	case !c.presigned && now.Sub(c.at).Abs() > maxSkew:
		return errTimeSkewed.with("RequestTime", c.at.Format(amzTime)).with("ServerTime", now.UTC().Format(time.RFC3339))
	}
	return nil
}

// signAgain signs what the request says is signed, and nothing else, and
// returns the signature.
func (s *Store) signAgain(r *http.Request, q url.Values, c *claim) (string, error) {
	q = cloneQuery(q)
	q.Del("X-Amz-Signature")
	copied := &http.Request{
		Method: r.Method, Host: r.Host, Header: http.Header{},
		URL: &url.URL{Scheme: "http", Host: r.Host, Opaque: "//" + r.Host + escape(r.URL.Path), RawQuery: q.Encode()},
	}
	for _, name := range c.headers {
		switch name {
		case "host":
		case "content-length":
			copied.ContentLength = r.ContentLength
		default:
			copied.Header[http.CanonicalHeaderKey(name)] = slices.Clone(r.Header[http.CanonicalHeaderKey(name)])
		}
	}
	if c.presigned {
		signed, _, err := signer().PresignHTTP(r.Context(), s.awsCredentials(), copied, c.payload, "s3", s.cfg.Region, c.at)
		if err != nil {
			return "", err
		}
		_, signature, _ := strings.Cut(signed, "&X-Amz-Signature=")
		return signature, nil
	}
	if err := signer().SignHTTP(r.Context(), s.awsCredentials(), copied, c.payload, "s3", s.cfg.Region, c.at); err != nil {
		return "", err
	}
	_, signature, _ := strings.Cut(copied.Header.Get("Authorization"), "Signature=")
	return signature, nil
}

// escape writes a path as signatures want it: everything but slashes and
// unreserved characters is escaped.
func escape(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func cloneQuery(q url.Values) url.Values {
	copied := url.Values{}
	for name, values := range q {
		copied[name] = slices.Clone(values)
	}
	return copied
}
