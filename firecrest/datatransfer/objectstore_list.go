package datatransfer

import (
	"context"
	"iter"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// List gives the objects whose keys begin with at.Key, in the order of their
// bytes, page by page as they are asked for. With a delimiter, usually "/", keys
// that have it after that beginning are not listed one by one: what they have in
// common comes as one entry with Prefix set. The first error ends the list.
func (s *ObjectStore) List(ctx context.Context, at Location, delimiter string) iter.Seq2[ObjectInfo, error] {
	return func(yield func(ObjectInfo, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &at.Bucket, EncodingType: types.EncodingTypeUrl}
		if at.Key != "" {
			in.Prefix = &at.Key
		}
		if delimiter != "" {
			in.Delimiter = &delimiter
		}
		for pages := s3.NewListObjectsV2Paginator(s.client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(ObjectInfo{}, s.failed(ctx, "list", at, err))
				return
			}
			for _, o := range page.Contents {
				info := ObjectInfo{
					Location: Location{at.Bucket, plainKey(page, o.Key)}, Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified),
				}
				if !yield(info, nil) {
					return
				}
			}
			for _, p := range page.CommonPrefixes {
				if !yield(ObjectInfo{Location: Location{at.Bucket, plainKey(page, p.Prefix)}, Prefix: true}, nil) {
					return
				}
			}
		}
	}
}

// plainKey undoes the encoding in which every key survives XML, if the store
// knows it.
func plainKey(page *s3.ListObjectsV2Output, key *string) string {
	if page.EncodingType == types.EncodingTypeUrl {
		if plain, err := url.QueryUnescape(aws.ToString(key)); err == nil {
			return plain
		}
	}
	return aws.ToString(key)
}
