package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

type s3ListIn struct {
	Path      string `json:"path" is:"required" doc:"Bucket and beginning of the keys, as s3://bucket/beginning; end it with a slash to list what lies below."`
	Recursive bool   `json:"recursive" default:"false" doc:"Every key. Otherwise what the keys have in common up to their next slash is listed once, under prefixes."`
	Limit     int64  `json:"limit" default:"1000" doc:"Most objects to list, at most 10000."`
	storeIn
}

type s3ListOut struct {
	Objects   []objectFacts `json:"objects" doc:"The objects, in the order of their keys."`
	Keys      []string      `json:"keys" doc:"Their keys."`
	Prefixes  []string      `json:"prefixes" doc:"What the keys have in common that are not listed one by one; each ends in a slash."`
	Truncated bool          `json:"truncated" doc:"Whether there are more objects than limit."`
}

type objectFacts struct {
	Key          string `json:"key" doc:"Key within the bucket."`
	URI          string `json:"uri" doc:"Address, as s3://bucket/key."`
	SizeBytes    int64  `json:"size_bytes" unit:"bytes" doc:"Size."`
	ETag         string `json:"etag" doc:"What the store calls this content."`
	LastModified string `json:"last_modified" doc:"When it was written, in UTC as RFC 3339."`
}

// mostObjects is how many objects the outputs of a step can hold.
const mostObjects = 10_000

func s3List() stepType {
	return define[s3ListIn, s3ListOut](workflow.StepSpec{
		Name: "s3_list", Group: groupObjects,
		Summary:    "Lists objects",
		Doc:        "Objects and prefixes together are at most limit. A beginning that no key has gives an empty list. A store in trouble is waited for.",
		Idempotent: true,
		CheckWith:  checkObjectList,
		Causes:     []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI},
		Example: `- id: objects
  uses: s3_list
  with: { path: "s3://demo/examples/" }
  needs: [store]
`,
	}, storeOperation(listObjects))
}

func listObjects(ctx context.Context, c *call, in s3ListIn) (s3ListOut, error) {
	at, err := location(in.Path)
	if err != nil {
		return s3ListOut{}, err
	}
	if in.Limit < 1 || in.Limit > mostObjects {
		return s3ListOut{}, refuse("limit is %d: want 1 to %d", in.Limit, mostObjects)
	}
	store, err := c.objectStore(in.storeIn)
	if err != nil {
		return s3ListOut{}, err
	}
	delimiter := "/"
	if in.Recursive {
		delimiter = ""
	}
	out := s3ListOut{Objects: []objectFacts{}, Keys: []string{}, Prefixes: []string{}}
	for info, err := range store.List(ctx, at, delimiter) {
		if err != nil {
			return out, err
		}
		if int64(len(out.Objects)+len(out.Prefixes)) == in.Limit {
			out.Truncated = true
			break
		}
		out.add(info)
	}
	return out, nil
}

func checkObjectList(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
	problems := checkStore("path")(with, dynamic)
	if limit := literal[s3ListIn](with).Limit; limit < 0 || limit > mostObjects {
		problems = append(problems, workflow.FieldProblem{
			Path: []string{"limit"}, Code: codeOutOfRange, Message: fmt.Sprintf("`limit` must be from 1 to %d", mostObjects),
		})
	}
	return problems
}

func (out *s3ListOut) add(info datatransfer.ObjectInfo) {
	if info.Prefix {
		out.Prefixes = append(out.Prefixes, info.Key)
		return
	}
	out.Keys = append(out.Keys, info.Key)
	out.Objects = append(out.Objects, objectFacts{info.Key, info.String(), info.Size, info.ETag, info.Modified.UTC().Format(time.RFC3339)})
}
