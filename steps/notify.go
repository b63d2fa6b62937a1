package steps

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

type notifyIn struct {
	Webhook    string   `json:"webhook" is:"required,secret" doc:"Address that takes messages. Who knows it can write there: keep it in a secret."`
	Text       string   `json:"text" is:"required" doc:"The message."`
	Format     string   `json:"format" enum:"slack discord text" default:"slack" doc:"What is sent: slack a mapping with text, which Slack, Mattermost, Rocket.Chat, Google Chat and Teams take; discord one with content; text the message itself, as for ntfy."`
	Timeout    duration `json:"timeout" default:"1m" doc:"How long the answer may take."`
	Idempotent bool     `json:"idempotent" is:"literal" default:"false" doc:"Whether the message may be sent again after fcflow was interrupted while it was on its way. Otherwise the step then fails with interrupted."`
}

type notifyOut struct {
	Status int64 `json:"status" doc:"Status of the answer, from 200 to 299."`
}

func notify() stepType {
	return define[notifyIn, notifyOut](workflow.StepSpec{
		Name: "notify", Group: groupControl,
		Summary: "Sends a message to a chat or service",
		Doc: "Sends the message once, from this machine. No answer, or one with 408, 425, 429, 500 or above, fails with api, any other status that is not a success with rejected; " +
			"a rule in `retry` sends it again, and it may then arrive twice. In `finally`, `run.failed_steps` says what went wrong; " +
			"with `continue_on_error: true` a message that is not delivered does not fail the run. The address is not part of errors or logs.",
		IdempotentWith: func(with json.RawMessage) bool { return literal[notifyIn](with).Idempotent },
		CheckWith: func(with json.RawMessage, _ func(string) bool) []workflow.FieldProblem {
			in := literal[notifyIn](with)
			return checkWeb("webhook", webRequest{url: in.Webhook, secret: true}, in.Timeout)
		},
		Causes: webCauses,
		Example: `- id: tell
  uses: notify
  with:
    webhook: ${{ secrets.WEBHOOK }}
    text: "${{ run.name }}: ${{ join(run.failed_steps, ', ') }} failed (run ${{ run.id }})"
`,
	}, operation(tell))
}

func tell(ctx context.Context, c *call, in notifyIn) (notifyOut, error) {
	body, bodyType, err := message(in)
	if err != nil {
		return notifyOut{}, err
	}
	answer, err := c.ask(ctx, webRequest{
		method: http.MethodPost, url: in.Webhook, body: body, bodyType: bodyType, timeout: time.Duration(in.Timeout), secret: true,
	})
	if err != nil {
		return notifyOut{}, err
	}
	return notifyOut{int64(answer.status)}, nil
}

// message is the text in the form that the receiver takes.
func message(in notifyIn) (body []byte, bodyType string, err error) {
	key := "text"
	switch in.Format {
	case "text":
		return []byte(in.Text), "text/plain; charset=utf-8", nil
	case "discord":
		key = "content"
	}
	body, err = json.Marshal(map[string]string{key: in.Text})
	return body, "application/json", err
}
