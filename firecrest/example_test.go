package firecrest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"time"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/sandbox"
)

// Submit a job, wait for its end and fetch its output. The site is a sandbox
// here; of a real one, the operators give URLs, id and secret.
func Example() {
	site := openSite()
	defer site.close()

	client, err := firecrest.New(site.url,
		firecrest.WithTokenSource(firecrest.ClientCredentials{
			TokenURL: site.tokenURL, ClientID: site.id, ClientSecret: firecrest.Secret(site.secret),
		}),
		// Real sites are asked far less often: leave this out.
		firecrest.WithPollSettings(firecrest.PollSettings{
			First: []time.Duration{10 * time.Millisecond}, Min: 50 * time.Millisecond,
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	id, err := client.Compute.Submit(ctx, "alps", firecrest.JobSpec{
		Name:             "hello",
		WorkingDirectory: site.home,
		Script:           "#!/bin/bash\n#SBATCH --time=5\necho hello\n",
		StandardOutput:   "hello.txt",
	})
	var submit *firecrest.SubmitError
	if errors.As(err, &submit) && submit.Class == firecrest.SubmitAmbiguous {
		log.Fatal("the job may exist: look for it before you submit again: ", err)
	} else if err != nil {
		log.Fatal(err)
	}

	over := make(chan firecrest.Job, 1)
	query := firecrest.Query{ID: id, Since: time.Now()}
	client.Poller("alps").Watch(ctx, query, func(o firecrest.Observation) {
		if o.Job.Status.State.IsTerminal() {
			over <- o.Job
		}
	})
	select {
	case job := <-over:
		fmt.Println("the job ended", job.Status.State, "with exit code", *job.Status.ExitCode)
	case <-ctx.Done():
		log.Fatal(ctx.Err())
	}
	if _, err := client.Filesystem.Download(ctx, "alps", site.home+"/hello.txt", os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// the job ended COMPLETED with exit code 0
	// hello
}

type exampleSite struct {
	url, tokenURL, id, secret, home string

	close func()
}

func openSite() exampleSite {
	root, err := os.MkdirTemp("", "firecrest-example")
	if err != nil {
		log.Fatal(err)
	}
	server, err := sandbox.Open(sandbox.Config{Root: root, Systems: []string{"alps"}})
	if err != nil {
		log.Fatal(err)
	}
	listening := httptest.NewServer(server.Handler())
	account := server.Credentials()
	return exampleSite{
		url: listening.URL, tokenURL: listening.URL + account.TokenPath,
		id: account.ClientID, secret: account.ClientSecret, home: server.Root() + "/home/demo",
		close: func() {
			listening.Close()
			if err := errors.Join(server.Close(), os.RemoveAll(root)); err != nil {
				log.Fatal(err)
			}
		},
	}
}
