package firecrest

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// TransferError is a transfer whose job did not do what it should.
type TransferError struct {
	Job TransferJob
	// Reason is what the job had to say about it, at most 2 KiB on one line,
	// without secrets.
	Reason string
	// Err is set if there is no log: an ErrNotFound. The job may not have
	// started.
	Err error
}

func (e *TransferError) Error() string {
	return fmt.Sprintf("%s job %s on %s: %s", e.Job.Kind, e.Job.ID, e.Job.System, e.Reason)
}

// Unwrap returns Err.
func (e *TransferError) Unwrap() error { return e.Err }

// successes are the words with which a job says that it did what it should.
var successes = map[TransferKind]string{
	TransferMove:     "Files were successfully moved.",
	TransferCopy:     "Files were successfully copied.",
	TransferRemove:   "Files were successfully deleted.",
	TransferCompress: "Files were successfully compressed.",
	TransferExtract:  "Files were successfully extracted.",
	TransferIngress:  "File was successfully downloaded",
	TransferEgress:   "Multipart file upload successfully completed",
}

// logLines is how much of a log is read: success is told at its end, or, above
// a list of what was packed, at its beginning.
const logLines = 50

// Result reads the logs of a job that has ended and says what came of it: nil if
// the job reported success and no command of its script failed, else a [*TransferError] with the reason that the
// job gave in its error log. Any other error means that the logs cannot be
// read at the moment, and nothing is known.
//
// Jobs of kind TransferPeer report no success, whatever happened. For them the
// result is never nil; its reason may explain a failure found otherwise.
func (s *TransferService) Result(ctx context.Context, job TransferJob) error {
	output, err := s.readLog(ctx, job, job.OutputLog)
	if isNotFound(err) {
		return &TransferError{job, "it left no log: it may not have started", err}
	}
	if err != nil {
		return fmt.Errorf("log of transfer job %s: %w", job.ID, err)
	}
	complaints, err := s.readLog(ctx, job, job.ErrorLog)
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("error log of transfer job %s: %w", job.ID, err)
	}
	if reportsSuccess(output, successes[job.Kind]) && !overlooked.MatchString(complaints) {
		return nil
	}
	return &TransferError{Job: job, Reason: failureReason(output, complaints)}
}

// readLog returns the beginning and the end of a log, by lines: a part in bytes
// may begin within a character, which servers before 2.5.2 cannot send.
func (s *TransferService) readLog(ctx context.Context, job TransferJob, path string) (string, error) {
	files := s.client.Filesystem
	end, err := files.Tail(ctx, job.System, path, &PartOptions{Lines: logLines})
	if err != nil {
		return "", err
	}
	if strings.Count(end.Content, "\n") < logLines {
		return end.Content, nil
	}
	beginning, err := files.Head(ctx, job.System, path, &PartOptions{Lines: logLines})
	if err != nil {
		return "", err
	}
	return beginning.Content + end.Content, nil
}

// reportsSuccess looks for the words of success: on a line of their own behind
// a date or a level, so that the name of a file does not pass for them.
func reportsSuccess(log, words string) bool {
	if words == "" {
		return false
	}
	for line := range strings.Lines(log) {
		before, _, found := strings.Cut(line, words)
		if found && !strings.Contains(before, "/") {
			return true
		}
	}
	return false
}

const maxReason = 2 << 10

// failureReason is what the error log says, without the line that the script
// adds to every failure; else how far the job got.
func failureReason(output, complaints string) string {
	var lines []string
	for line := range strings.Lines(complaints) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !scriptComplaint.MatchString(line) {
			lines = append(lines, line)
		}
	}
	reason := strings.Join(lines, "; ")
	if reason == "" {
		steps := strings.Split(strings.TrimSpace(output), "\n")
		last := strings.Join(strings.Fields(steps[len(steps)-1]), " ")
		if reason = "it reported neither success nor a reason"; last != "" {
			reason += "; its last words: " + last
		}
	}
	reason = clean(withoutSecrets(reason))
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + " … (cut)"
	}
	return reason
}

// overlooked is what commands of the scripts say when they fail and the script
// goes on to report success: an upload that could not be written, because its
// directory is missing or the disk is full; an archive without what cannot be
// read, or of the home directory in place of one that is missing. Whatever else
// a site writes into the log is not for us.
var overlooked = regexp.MustCompile(`(?m)^(cat|find): |^/\S+(/slurm_script|\.SC): line \d+: `)

var (
	scriptComplaint = regexp.MustCompile(`Unable to \w+ files exit code:\d+ error:$`)
	signedQuery     = regexp.MustCompile(`\?\S*(X-Amz-|Signature=)\S*`)
	coordinates     = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{20,}=*`)
	wormholeSays    = regexp.MustCompile(`(?i)(wormhole code is: |wormhole receive )\S+`)
)

// withoutSecrets removes what lets others take part in a transfer.
func withoutSecrets(s string) string {
	s = signedQuery.ReplaceAllString(s, "?"+redacted)
	s = coordinates.ReplaceAllString(s, redacted)
	return wormholeSays.ReplaceAllString(s, "${1}"+redacted)
}
