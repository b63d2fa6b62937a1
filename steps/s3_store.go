package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/firecrest/datatransfer"
	"github.com/fcflow/fcflow/workflow"
)

// storeIn are the inputs of every type that works on an object store: which one,
// and who asks it.
type storeIn struct {
	Endpoint     string `json:"endpoint" doc:"Address of the object store, such as https://objects.example.org. Without it the sandbox's own in a sandbox, else what AWS_ENDPOINT_URL_S3 says, else AWS."`
	Region       string `json:"region" doc:"Region that requests are signed for. Without it what AWS_REGION says, else us-east-1, which most stores other than AWS accept."`
	PathStyle    bool   `json:"path_style" default:"true" doc:"Whether the bucket is in the path of addresses; false puts it into the name of the host."`
	Anonymous    bool   `json:"anonymous" default:"false" doc:"Ask without keys, for public objects."`
	AccessKey    string `json:"access_key" is:"secret" doc:"Access key. Without it what AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN say."`
	SecretKey    string `json:"secret_key" is:"secret" doc:"Secret key that belongs to it."`
	SessionToken string `json:"session_token" is:"secret" doc:"Session token, if the keys are temporary."`
}

// storeCauses are the causes of steps that work on an object store.
var storeCauses = []workflow.Cause{workflow.CauseRejected, workflow.CauseAPI, workflow.CauseTransfer}

// config is the store that the inputs name, over what the sandbox or the
// environment gives.
func (in storeIn) config(own *datatransfer.StoreConfig, client *firecrest.Client, getenv func(string) string) datatransfer.StoreConfig {
	config := datatransfer.StoreEnvironment(getenv)
	switch {
	case own != nil && in.Endpoint == "":
		config = *own
	case own == nil && client != nil:
		config.Transport = client.Transport() // with the certificates that the profile trusts
	}
	if in.Endpoint != "" {
		config.Endpoint = in.Endpoint
	}
	if in.Region != "" {
		config.Region = in.Region
	}
	if in.AccessKey != "" {
		config.AccessKey, config.SecretKey, config.SessionToken = in.AccessKey, firecrest.Secret(in.SecretKey), firecrest.Secret(in.SessionToken)
	}
	config.PathStyle, config.Anonymous = in.PathStyle, in.Anonymous
	return config
}

// objectStores are the stores that steps have used. Whoever asks the same store
// with the same keys shares its limit of connections.
type objectStores struct {
	mu   sync.Mutex
	open map[storeIdentity]*datatransfer.ObjectStore
}

type storeIdentity struct {
	endpoint, region, accessKey string
	secretKey, sessionToken     firecrest.Secret
	pathStyle, anonymous        bool
}

// get returns a store, the same one for the same configuration.
func (o *objectStores) get(config datatransfer.StoreConfig) (*datatransfer.ObjectStore, error) {
	id := storeIdentity{config.Endpoint, config.Region, config.AccessKey, config.SecretKey, config.SessionToken, config.PathStyle, config.Anonymous}
	o.mu.Lock()
	defer o.mu.Unlock()
	if store := o.open[id]; store != nil {
		return store, nil
	}
	store, err := datatransfer.NewObjectStore(config)
	if err != nil {
		return nil, refuse("%v", err)
	}
	if o.open == nil {
		o.open = map[storeIdentity]*datatransfer.ObjectStore{}
	}
	o.open[id] = store
	return store, nil
}

func (o *objectStores) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, store := range o.open {
		store.Close()
	}
}

// objectStore is the store that the inputs of a step name.
func (c *call) objectStore(in storeIn) (*datatransfer.ObjectStore, error) {
	return c.library.stores.get(in.config(c.library.config.ObjectStore, c.client(), os.Getenv))
}

// location reads the address of an object.
func location(address string) (datatransfer.Location, error) {
	at, err := datatransfer.ParseLocation(address)
	if err != nil {
		return at, refuse("%v", err)
	}
	return at, nil
}

// objectLocation reads the address of one object.
func objectLocation(address string) (datatransfer.Location, error) {
	at, err := location(address)
	if err == nil && (at.Key == "" || strings.HasSuffix(at.Key, "/")) {
		return at, refuse("%s names no object: a key is missing after the last slash", address)
	}
	return at, err
}

// checkStore finds addresses and keys that no store can be asked with. key is
// the input that holds the address.
func checkStore(key string) func(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
	return func(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
		in := literal[map[string]json.RawMessage](with)
		var address string
		var anonymous bool
		_ = json.Unmarshal(in[key], &address) // what is no text is reported by the checker itself
		_ = json.Unmarshal(in["anonymous"], &anonymous)
		given := func(name string) bool { return in[name] != nil || dynamic(name) }
		var problems []workflow.FieldProblem
		if _, err := datatransfer.ParseLocation(address); err != nil && in[key] != nil {
			problems = append(problems, workflow.FieldProblem{
				Path: []string{key}, Code: codeStoreAddress, Message: fmt.Sprintf("`%s: %s` is no address of an object", key, address), Hint: "write s3://bucket/key",
			})
		}
		switch {
		case anonymous && given("access_key"):
			problems = append(problems, workflow.FieldProblem{
				Path: []string{"anonymous"}, Code: codeExclusive, Message: "`anonymous` and `access_key` exclude each other", Hint: "keep one of them",
			})
		case given("access_key") != given("secret_key"):
			problems = append(problems, workflow.FieldProblem{Code: codeExclusive, Message: "`access_key` and `secret_key` belong together", Hint: "give both, or none"})
		}
		return problems
	}
}

// storeOperation is operation for functions that work on an object store.
func storeOperation[In, Out any](f func(context.Context, *call, In) (Out, error)) func(context.Context, *call, In) engine.Outcome {
	return atOnce(f, (*call).storeFailed)
}

// storeFailed ends an entry with an error of an object store: for good, or until
// the store is well again.
func (c *call) storeFailed(ctx context.Context, err error) engine.Outcome {
	var answer *datatransfer.ObjectError
	var local *datatransfer.LocalError
	var journal *datatransfer.JournalError
	switch {
	case errors.As(err, &journal):
		return lost(err)
	case ctx.Err() != nil:
		return engine.Ended("no request of the step is under way any more")
	case errors.As(err, &local):
		return c.failed(ctx, localError(local.Err))
	case !errors.As(err, &answer):
		return c.failed(ctx, err)
	case answer.Retryable():
		return c.outage(ctx, err, engine.Wait{Reason: workflow.WaitOutage})
	case answer.Status >= 400 && !errors.Is(err, datatransfer.ErrChanged):
		return engine.Failure(workflow.CauseRejected, storeMessage(err))
	}
	return engine.Failure(workflow.CauseTransfer, err.Error())
}

// storeMessage adds to an error of a look-up what a store cannot say there.
func storeMessage(err error) string {
	if errors.Is(err, fs.ErrPermission) && !strings.Contains(err.Error(), ";") {
		return err.Error() + "; check the keys, and that they may read this"
	}
	return err.Error()
}

// accept decides about a target that exists: true if it will do. same tells
// whether it is known to be the same.
func (c *call) accept(onExists, target string, same func() (bool, error)) (skip bool, err error) {
	began, err := c.began()
	switch {
	case err != nil:
		return false, &datatransfer.JournalError{Err: err}
	case onExists == replace || began && onExists == failExists:
		return false, nil
	case onExists == failExists:
		return false, refuse("%s exists", target)
	}
	if skip, err = same(); skip || err != nil || began {
		return skip, err
	}
	return false, refuse("%s exists and is not known to be the same; set on_exists: replace to overwrite it", target)
}

// beginCopy notes that the target is about to be written.
func (c *call) beginCopy(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return &datatransfer.JournalError{Err: err}
	}
	return nil
}
