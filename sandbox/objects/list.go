package objects

import (
	"cmp"
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// bucketList is the answer to ListBuckets.
type bucketList struct {
	XMLName xml.Name `xml:"ListAllMyBucketsResult"`
	XMLNS   string   `xml:"xmlns,attr"`
	Owner   struct{ ID, DisplayName string }
	Buckets []bucketEntry `xml:"Buckets>Bucket"`
}

type bucketEntry struct{ Name, CreationDate string }

func (s *Store) listBuckets(w http.ResponseWriter, _ *request) error {
	list := bucketList{XMLNS: namespace}
	list.Owner.ID, list.Owner.DisplayName = s.credentials.AccessKey, "sandbox"
	s.mu.RLock()
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		list.Buckets = append(list.Buckets, bucketEntry{name, listTime(s.buckets[name].Created)})
	}
	s.mu.RUnlock()
	return writeXML(w, http.StatusOK, list)
}

func listTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (s *Store) createBucket(w http.ResponseWriter, q *request) error {
	s.mu.RLock()
	_, err := s.bucket(q.bucket)
	s.mu.RUnlock()
	if err == nil {
		return errBucketOwned
	}
	if err := s.MakeBucket(q.bucket, BucketOptions{}); err != nil {
		return err
	}
	w.Header().Set("Location", "/"+q.bucket)
	return nil
}

func (s *Store) deleteBucket(w http.ResponseWriter, q *request) error {
	if err := s.removeBucket(q.bucket); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Store) headBucket(w http.ResponseWriter, q *request) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.bucket(q.bucket); err != nil {
		return err
	}
	w.Header().Set("X-Amz-Bucket-Region", s.cfg.Region)
	return nil
}

type bucketLocation struct {
	XMLName xml.Name `xml:"LocationConstraint"`
	XMLNS   string   `xml:"xmlns,attr"`
	Region  string   `xml:",chardata"`
}

func (s *Store) getLocation(w http.ResponseWriter, q *request) error {
	s.mu.RLock()
	_, err := s.bucket(q.bucket)
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	location := bucketLocation{XMLNS: namespace}
	if s.cfg.Region != DefaultRegion { // which has no name here, for historical reasons
		location.Region = s.cfg.Region
	}
	return writeXML(w, http.StatusOK, location)
}

// objectList is the answer to ListObjectsV2.
type objectList struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	XMLNS                 string   `xml:"xmlns,attr"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	StartAfter            string `xml:",omitempty"`
	MaxKeys               int
	EncodingType          string `xml:",omitempty"`
	KeyCount              int
	IsTruncated           bool
	ContinuationToken     string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []objectEntry
	CommonPrefixes        []prefixEntry
}

type objectEntry struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

type prefixEntry struct{ Prefix string }

// listing is what a request to list asks for.
type listing struct {
	prefix, delimiter string
	after             string // only what is greater; a prefix that was listed counts as all below it
	max               int
}

const mostKeys = 1000

func (s *Store) listObjects(w http.ResponseWriter, q *request) error {
	if q.query.Get("list-type") != "2" {
		return errNotImplemented
	}
	want := listing{prefix: q.query.Get("prefix"), delimiter: q.query.Get("delimiter"), after: q.query.Get("start-after"), max: mostKeys}
	if text := q.query.Get("max-keys"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return errMaxKeys
		}
		want.max = min(n, mostKeys)
	}
	token := q.query.Get("continuation-token")
	if token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return errContinuation
		}
		want.after = string(after)
	}
	list := objectList{
		XMLNS: namespace, Name: q.bucket, MaxKeys: want.max, ContinuationToken: token, EncodingType: q.query.Get("encoding-type"),
		Prefix: want.prefix, Delimiter: want.delimiter, StartAfter: q.query.Get("start-after"),
	}
	entries, prefixes, next, err := s.list(q.bucket, want)
	if err != nil {
		return err
	}
	list.KeyCount = len(entries) + len(prefixes)
	if next != "" {
		list.IsTruncated, list.NextContinuationToken = true, base64.RawURLEncoding.EncodeToString([]byte(next))
	}
	for _, o := range entries {
		list.Contents = append(list.Contents, objectEntry{o.Key, listTime(o.Modified), o.ETag, o.Size, "STANDARD"})
	}
	for _, p := range prefixes {
		list.CommonPrefixes = append(list.CommonPrefixes, prefixEntry{p})
	}
	if list.EncodingType == "url" {
		list.escape()
	}
	return writeXML(w, http.StatusOK, list)
}

// escape writes keys so that XML can hold any of them.
func (l *objectList) escape() {
	for _, text := range []*string{&l.Prefix, &l.Delimiter, &l.StartAfter} {
		*text = escape(*text)
	}
	for i := range l.Contents {
		l.Contents[i].Key = escape(l.Contents[i].Key)
	}
	for i := range l.CommonPrefixes {
		l.CommonPrefixes[i].Prefix = escape(l.CommonPrefixes[i].Prefix)
	}
}

// list returns the objects and the common prefixes that a request wants, in the
// order of their bytes; next is where another request goes on, "" at the end.
func (s *Store) list(bucket string, want listing) (entries []Info, prefixes []string, next string, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, nil, "", err
	}
	var found []Info
	for key, o := range b.objects {
		if strings.HasPrefix(key, want.prefix) && key > want.after && !b.expired(o) {
			found = append(found, o.Info)
		}
	}
	slices.SortFunc(found, func(a, b Info) int { return cmp.Compare(a.Key, b.Key) })
	if want.max == 0 {
		return nil, nil, "", nil
	}
	last := want.after
	for _, o := range found {
		group := commonPrefix(o.Key, want)
		if group != "" && group == last {
			continue // listed already
		}
		if len(entries)+len(prefixes) == want.max {
			return entries, prefixes, last, nil
		}
		if group != "" {
			prefixes, last = append(prefixes, group), group
		} else {
			entries, last = append(entries, o), o.Key
		}
	}
	return entries, prefixes, "", nil
}

// commonPrefix is the key up to the first delimiter after the prefix; "" if
// there is none.
func commonPrefix(key string, want listing) string {
	if want.delimiter == "" {
		return ""
	}
	i := strings.Index(key[len(want.prefix):], want.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(want.prefix)+i+len(want.delimiter)]
}
