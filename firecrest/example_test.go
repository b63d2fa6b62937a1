package firecrest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

// Submit a job, wait for its end and read its output.
func Example() {
	client, err := firecrest.New(os.Getenv("FIRECREST_URL"),
		firecrest.WithTokenSource(firecrest.ClientCredentials{
			TokenURL:     os.Getenv("AUTH_TOKEN_URL"),
			ClientID:     os.Getenv("FIRECREST_CLIENT_ID"),
			ClientSecret: firecrest.Secret(os.Getenv("FIRECREST_CLIENT_SECRET")),
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()

	id, err := client.Compute.Submit(ctx, "alps", firecrest.JobSpec{
		Name:             "hello",
		WorkingDirectory: "/scratch/alice",
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
	if job := <-over; !job.Succeeded() {
		log.Fatalf("job %s ended %s", job.ID, job.Status.State)
	}
	output, err := client.Filesystem.View(ctx, "alps", "/scratch/alice/hello.txt", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(output)
}
