package datatransfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fcflow/fcflow/firecrest"
)

// StoreConfig says which object store, and who asks it.
type StoreConfig struct {
	Endpoint  string // such as "https://objects.example.org"; "" is that of AWS for the region; http with keys on loopback only
	Region    string // default "us-east-1", which most other stores accept
	PathStyle bool   // the bucket is in the path of an address, not in its host

	// Anonymous asks for public objects, without a signature. Otherwise the keys
	// are needed, and the session token if they are temporary.
	Anonymous    bool
	AccessKey    string
	SecretKey    firecrest.Secret
	SessionToken firecrest.Secret

	// Transport carries the requests; default: verified TLS, the proxy of the
	// environment. One of *http.Transport is cloned, for HTTP/1.1.
	Transport http.RoundTripper

	Connections int           // at most so many requests at once; default 8
	Tries       int           // of a request, and of a piece of an object in a row without a new byte; default 6
	Backoff     time.Duration // longest pause before another try; default 20 s
	Stall       time.Duration // a request on which no byte moves for so long has failed; default 1 min
}

// StoreEnvironment is what the usual variables say: AWS_ENDPOINT_URL_S3 or
// AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. get is [os.Getenv], or like it.
// Addresses are path style.
func StoreEnvironment(get func(name string) string) StoreConfig {
	return StoreConfig{
		Endpoint:     cmp.Or(get("AWS_ENDPOINT_URL_S3"), get("AWS_ENDPOINT_URL")),
		Region:       cmp.Or(get("AWS_REGION"), get("AWS_DEFAULT_REGION")),
		PathStyle:    true,
		AccessKey:    get("AWS_ACCESS_KEY_ID"),
		SecretKey:    firecrest.Secret(get("AWS_SECRET_ACCESS_KEY")),
		SessionToken: firecrest.Secret(get("AWS_SESSION_TOKEN")),
	}
}

// ErrNoKeys: the store wants keys, and there are none.
var ErrNoKeys = errors.New("no keys for the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ask for a public object without keys")

// ObjectStore reads and writes objects of an S3 service. Its errors are
// [*ObjectError], or [*LocalError] for the reader or writer that was handed in.
// It is safe for concurrent use; all that use one share its connections.
type ObjectStore struct {
	client *s3.Client
	cfg    StoreConfig
	host   string // for errors
	own    *http.Transport
	slots  chan struct{}
	piece  int64 // bytes of an object that are asked for at once
}

// pieceSize is how many bytes of an object move in one request. With eight
// connections that makes 64 MiB of memory.
const pieceSize = 8 << 20

// NewObjectStore returns a store; nothing is sent yet. Close it in the end.
func NewObjectStore(cfg StoreConfig) (*ObjectStore, error) {
	setDefault(&cfg.Connections, 8)
	setDefault(&cfg.Tries, 6)
	setDefault(&cfg.Backoff, longestBackoff)
	setDefault(&cfg.Stall, time.Minute)
	cfg.Region = cmp.Or(cfg.Region, "us-east-1")
	s := &ObjectStore{cfg: cfg, host: "AWS", slots: make(chan struct{}, cfg.Connections), piece: pieceSize}
	if cfg.Endpoint != "" {
		u, err := url.Parse(cfg.Endpoint)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, errors.New("the endpoint of the object store is no address like https://objects.example.org")
		}
		if u.Scheme == "http" && !cfg.Anonymous && !firecrest.IsLoopback(u.Hostname()) {
			return nil, fmt.Errorf("%s would be asked unencrypted: use https (http is for loopback hosts, and for public objects without keys)", u.Host)
		}
		s.host = u.Hostname()
	}
	if !cfg.Anonymous && (cfg.AccessKey == "" || cfg.SecretKey == "") {
		return nil, ErrNoKeys
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	if t, ok := cfg.Transport.(*http.Transport); ok {
		s.own = perConnection(t, cfg.Connections)
		cfg.Transport = s.own
	}
	s.client = s3.New(s.options(cfg.Transport))
	return s, nil
}

// options leave digests to us: every store knows Content-MD5, and not every one
// what the newer checksums of the library ask of it.
func (s *ObjectStore) options(transport http.RoundTripper) s3.Options {
	o := s3.Options{
		Region: s.cfg.Region, UsePathStyle: s.cfg.PathStyle, Credentials: aws.AnonymousCredentials{},
		HTTPClient: &http.Client{
			Transport:     &storeTransport{transport, s.slots, s.cfg.Stall},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Retryer:                    s.retryer(),
		AppID:                      "fcflow",
	}
	if s.cfg.Endpoint != "" {
		o.BaseEndpoint = aws.String(s.cfg.Endpoint)
	}
	if !s.cfg.Anonymous {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{
				AccessKeyID: s.cfg.AccessKey, SecretAccessKey: string(s.cfg.SecretKey), SessionToken: string(s.cfg.SessionToken),
			}, nil
		})
	}
	return o
}

func (s *ObjectStore) retryer() aws.Retryer {
	standard := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff, o.RateLimiter = s.cfg.Tries, s.cfg.Backoff, ratelimit.None
		o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{
			http.StatusRequestTimeout: {}, http.StatusTooManyRequests: {}, http.StatusTooEarly: {},
		}}, retry.IsErrorRetryableFunc(brokenOff))
	})
	return retry.AddWithErrorCodes(standard, "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "RequestTimeout")
}

// brokenOff recognises answers that ended before their time. Everything asked of
// a store here may be asked twice.
func brokenOff(err error) aws.Ternary {
	if errors.Is(err, errStalled) || errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// Close closes idle connections.
func (s *ObjectStore) Close() {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
}

// Location names an object, or the objects whose keys begin alike.
type Location struct{ Bucket, Key string }

// String is the address, such as "s3://bucket/key".
func (l Location) String() string { return storeScheme + l.Bucket + "/" + l.Key }

const storeScheme = "s3://"

// IsStoreAddress reports whether a text is an address of an object store, right
// or wrong, and not a path.
func IsStoreAddress(text string) bool { return strings.HasPrefix(text, storeScheme) }

// ParseLocation reads "s3://bucket/key". The key is taken as it stands, nothing
// in it is decoded; it may be empty, or end in a slash.
func ParseLocation(address string) (Location, error) {
	rest, ok := strings.CutPrefix(address, storeScheme)
	bucket, key, _ := strings.Cut(rest, "/")
	if !ok || bucket == "" || strings.ContainsAny(bucket, "?#@ ") {
		return Location{}, fmt.Errorf("%q is no address like s3://bucket/key", address)
	}
	return Location{bucket, key}, nil
}

// ObjectInfo describes an object.
type ObjectInfo struct {
	Location
	Size     int64     // bytes
	ETag     string    // as the store wrote it, with quotes
	Modified time.Time // by the clock of the store
	Type     string    // its media type; not told by lists
	SHA256   string    // in hexadecimal digits, if fcflow put the object; not told by lists

	// Prefix says that this is not an object: Key is what the keys of some
	// objects begin with.
	Prefix bool

	digest bool // whether the ETag may be an MD5
}

// metaSHA256 is the metadata that holds the digest of what was put.
const metaSHA256 = "fcflow-sha256"

// Stat describes an object.
func (s *ObjectStore) Stat(ctx context.Context, at Location) (ObjectInfo, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &at.Bucket, Key: &at.Key})
	if err != nil {
		return ObjectInfo{}, s.failed(ctx, "look up", at, err)
	}
	return ObjectInfo{
		Location: at, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified),
		Type: aws.ToString(out.ContentType), SHA256: out.Metadata[metaSHA256],
		digest: !strings.HasPrefix(string(out.ServerSideEncryption), "aws:kms") && out.SSECustomerAlgorithm == nil,
	}, nil
}

// partSize is how large the parts of a multipart object are; 0 if the store
// does not tell.
func (s *ObjectStore) partSize(ctx context.Context, info ObjectInfo) int64 {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &info.Bucket, Key: &info.Key, PartNumber: aws.Int32(1), IfMatch: &info.ETag,
	})
	if err != nil {
		return 0 // not every store can; the size is then what is verified
	}
	return aws.ToInt64(out.ContentLength)
}

// storeTransport holds every request to the limit of connections, and ends one
// on which nothing moves.
type storeTransport struct {
	http.RoundTripper
	slots chan struct{}
	stall time.Duration
}

// RoundTrip implements [http.RoundTripper]. The slot is free again when the body
// of the answer is closed.
func (t *storeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case t.slots <- struct{}{}:
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	ctx, watch := watchStall(r.Context(), t.stall)
	done := sync.OnceFunc(func() {
		watch.stop()
		<-t.slots
	})
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &watchedReader{r.Body, watch}
	}
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		err = explain(ctx, err)
		done()
		return nil, err
	}
	resp.Body = &slotBody{watchedReader{resp.Body, watch}, done}
	return resp, nil
}

// slotBody gives the slot back when it is closed.
type slotBody struct {
	watchedReader
	done func()
}

func (b *slotBody) Close() error {
	err := b.watchedReader.Close()
	b.done()
	return err
}
