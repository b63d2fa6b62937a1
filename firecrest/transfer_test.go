package firecrest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// What a refused transfer says: whether there can be a job, whether trying
// again helps.
func TestRecordedTransferRefusals(t *testing.T) {
	t.Parallel()
	move := func(c *Client) error { _, err := c.Transfer.Move(t.Context(), "alps", "/a", "/b", nil); return err }
	upload := func(c *Client) error {
		_, err := c.Transfer.Upload(t.Context(), "alps", "/a", UploadRequest{Method: MethodS3, FileSize: 1})
		return err
	}
	download := func(c *Client) error {
		_, err := c.Transfer.Download(t.Context(), "alps", "/a", DownloadRequest{Method: MethodS3})
		return err
	}
	for _, test := range []struct {
		name      string
		call      func(*Client) error
		class     SubmitClass
		permanent bool
		matches   error
	}{
		{"mv-account-missing", move, SubmitNotSent, true, ErrInvalid},
		{"mv-unhealthy-scheduler", move, SubmitNotSent, false, ErrUnavailable},
		{"mv-unknown-system", move, SubmitNotSent, true, ErrNotFound},
		{"upload-no-transfer-configured", upload, SubmitNotSent, true, ErrUnsupported},
		{"upload-method-mismatch-wormhole", upload, SubmitNotSent, true, nil},
		{"download-s3-missing", download, SubmitNotSent, true, ErrNotFound},
		{"download-s3-permission-denied", download, SubmitNotSent, true, ErrForbidden},
		{"rm-foreign-path", move, SubmitNotSent, true, nil},
		{"route-unknown", move, SubmitNotSent, true, ErrUnsupported},
		{"submit-timeout", move, SubmitAmbiguous, false, ErrTimeout},
		{"submit-controller-down", move, SubmitAmbiguous, false, nil},
		{"submit-no-id-in-answer", move, SubmitAmbiguous, false, nil},
		{"submit-quota", move, SubmitRejected, false, nil},
	} {
		for release, answers := range recordings(t) {
			a, ok := answers[test.name]
			if !ok {
				t.Errorf("%s: no %s", release, test.name)
				continue
			}
			if a.Status < 300 {
				continue // the release does not mind
			}
			err := test.call(play(t, a))
			var submit *SubmitError
			if !errors.As(err, &submit) || submit.Class != test.class || submit.Permanent != test.permanent || test.matches != nil && !errors.Is(err, test.matches) {
				t.Errorf("%s %s: got %v (%+v)", release, test.name, err, submit)
			}
		}
	}
}

// playLogs is a client of a server that has two files.
func playLogs(t *testing.T, output, complaints recordedAnswer) *Client {
	t.Helper()
	return memoryClient(t, func(req *http.Request) (*http.Response, error) {
		log := output
		if req.URL.Query().Get("path") == "/err" {
			log = complaints
		}
		if log.Status == 0 {
			return answer(http.StatusNotFound, errorBody("Remote process failed with exit status:1 and error message:tail: cannot open '/x' for reading: No such file or directory")), nil
		}
		var viewed struct {
			Output string `json:"output"`
		}
		if err := json.Unmarshal(log.Body, &viewed); err != nil {
			t.Error(err)
		}
		lines := strings.SplitAfter(viewed.Output, "\n")
		if n := len(lines) - 1; n > logLines {
			if strings.HasSuffix(req.URL.Path, "/tail") {
				lines = lines[n-logLines:]
			} else {
				lines = lines[:logLines]
			}
		}
		body, _ := json.Marshal(map[string]any{"output": Content{Content: strings.Join(lines, ""), ContentType: "lines"}})
		return answer(http.StatusOK, string(body)), nil
	}, WithRetry(RetryPolicy{MaxAttempts: 1}))
}

func TestRecordedResults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind          TransferKind
		output, error string
		reason        string // "" is success
	}{
		{TransferMove, "output-log-of-mv", "", ""},
		{TransferCopy, "output-log-of-cp-snake-case", "", ""},
		{TransferRemove, "output-log-of-mv", "error-log-of-mv-permission-denied", "Permission denied"}, // success at something else
		{TransferExtract, "output-log-of-extract", "", ""},
		{TransferCompress, "output-log-of-compress-xz-match-pattern", "", ""},
		{TransferIngress, "output-log-of-upload-s3-11MB-three-parts", "", ""},
		{TransferEgress, "output-log-of-download-s3", "", ""},
		{TransferPeer, "output-log-of-download-s3", "", "its last words: [INFO] Multipart"},
		{TransferMove, "output-log-of-mv-permission-denied", "error-log-of-mv-permission-denied", "mv: cannot stat '/scratch/locked/run.sh': Permission denied"},
		{TransferMove, "output-log-of-mv-permission-denied", "none", "it reported neither success nor a reason; its last words: "},
		{TransferIngress, "output-log-of-upload-s3-never-completed", "error-log-of-upload-s3-never-completed", "Waiting till file to tranfer is available..."},
		{TransferEgress, "output-log-of-download-s3-directory", "error-log-of-download-s3-directory", "file_not_found"},
		{TransferMove, "none", "none", "it left no log"},
	} {
		for release, answers := range recordings(t) {
			output, ok := answers[test.output]
			if !ok && test.output != "none" {
				continue // before the operation was there
			}
			client := playLogs(t, output, answers[test.error])
			err := client.Transfer.Result(t.Context(), TransferJob{ID: "1", System: "alps", Kind: test.kind, OutputLog: "/out", ErrorLog: "/err"})
			var failure *TransferError
			switch {
			case test.reason == "" && err == nil:
			case !errors.As(err, &failure) || !strings.Contains(failure.Reason, test.reason) || strings.Contains(failure.Reason, "exit code:0"):
				t.Errorf("%s %s of %s: got %v, want %q", release, test.output, test.kind, err, test.reason)
			}
			if test.output == "none" && !errors.Is(err, ErrNotFound) {
				t.Errorf("no log: %v is not ErrNotFound", err)
			}
		}
	}
}

// The scripts report success also when a command in them failed. These are logs
// of real jobs of release 2.5.6.
func TestResultOfAScriptThatOverlooksFailure(t *testing.T) {
	t.Parallel()
	const (
		fetched = "Sun Nov 22 14:24:56 UTC 2026 Received 1 bytes\nSun Nov 22 14:24:56 UTC 2026 File was successfully downloaded (size: 0.000MB)\n"
		packed  = "Sun Nov 22 14:28:20 UTC 2026 Compress Files Job (id:137)\nSun Nov 22 14:28:20 UTC 2026 Files were successfully compressed.\nFiles compressed:\n./q/src/a\n"
	)
	for name, test := range map[string]struct {
		kind               TransferKind
		output, complaints string
		reason             string // "" is success
	}{
		"a target without a directory": {
			TransferIngress, fetched,
			"/var/spool/slurmd/job00106/slurm_script: line 54: /home/alice/no/file: No such file or directory\nrm: cannot remove '/home/alice/no/file.1': No such file or directory\n",
			"line 54: /home/alice/no/file: No such file or directory; rm: cannot remove",
		},
		"a full disk": {
			TransferIngress, fetched, "cat: write error: No space left on device\n", "cat: write error: No space left on device",
		},
		"files of another directory": {
			TransferCompress, packed, "/var/spool/slurmd/job00137/slurm_script: line 15: cd: /home/alice/nodir: No such file or directory\n", "cd: /home/alice/nodir: No such file",
		},
		"files left out":    {TransferCompress, packed, "find: ‘./closed’: Permission denied\n", "find: ‘./closed’: Permission denied"},
		"noise of the site": {TransferIngress, fetched, "/etc/profile.d/motd.sh: line 3: figlet: command not found\n", ""},
		"no error log":      {TransferIngress, fetched, "", ""},
	} {
		log := func(text string) recordedAnswer {
			body, _ := json.Marshal(map[string]string{"output": text})
			return recordedAnswer{Status: 200, Body: body}
		}
		complaints := log(test.complaints)
		if test.complaints == "" {
			complaints = recordedAnswer{}
		}
		client := playLogs(t, log(test.output), complaints)
		err := client.Transfer.Result(t.Context(), TransferJob{ID: "1", System: "alps", Kind: test.kind, OutputLog: "/out", ErrorLog: "/err"})
		var failure *TransferError
		switch {
		case test.reason == "" && err == nil:
		case !errors.As(err, &failure) || !strings.Contains(failure.Reason, test.reason):
			t.Errorf("%s: got %v, want %q", name, err, test.reason)
		}
	}
}

// Success is told above the list of what was packed, however long that is.
func TestResultAboveALongList(t *testing.T) {
	t.Parallel()
	for first, want := range map[string]bool{"Mon Files were successfully compressed.": true, "Mon Compress Files Job (id:1)": false} {
		log, _ := json.Marshal(map[string]string{"output": first + "\nFiles compressed:\n" + strings.Repeat("./a/file\n", 3*logLines)})
		client := playLogs(t, recordedAnswer{Status: 200, Body: log}, recordedAnswer{})
		err := client.Transfer.Result(t.Context(), TransferJob{ID: "1", System: "alps", Kind: TransferCompress, OutputLog: "/out", ErrorLog: "/err"})
		if (err == nil) != want {
			t.Errorf("%q: %v", first, err)
		}
	}
}

// A log that cannot be read says nothing about the transfer.
func TestResultOfAnUnreadableLog(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"/out", "/err"} {
		client := memoryClient(t, func(req *http.Request) (*http.Response, error) {
			if req.URL.Query().Get("path") == broken {
				return gateway(answer(http.StatusBadGateway, "<html>")), nil
			}
			return answer(http.StatusOK, `{"output":{"content":"nothing of note\n"}}`), nil
		}, WithRetry(RetryPolicy{MaxAttempts: 1}))
		err := client.Transfer.Result(t.Context(), TransferJob{ID: "1", System: "alps", Kind: TransferMove, OutputLog: "/out", ErrorLog: "/err"})
		var verdict *TransferError
		if errors.As(err, &verdict) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: got %v", broken, err)
		}
	}
}

func TestReasonsAreBoundedAndHoldNoSecrets(t *testing.T) {
	t.Parallel()
	url := "https://s3/b/k?uploadId=u&X-Amz-Credential=c&X-Amz-Signature=s1gn"
	reason := failureReason("", "curl: (22) "+url+" returned 403\ncoordinates "+recordedCoordinates+"\nMon Unable to move files exit code:0 error: \n")
	if want := "curl: (22) https://s3/b/k?" + redacted + " returned 403; coordinates " + redacted; reason != want {
		t.Errorf("got  %s\nwant %s", reason, want)
	}
	for text, want := range map[string]string{
		"curl: https://s3/b/k?AWSAccessKeyId=a&Expires=1&Signature=s failed": "curl: https://s3/b/k?" + redacted + " failed",
		"Wormhole code is: 50-eventhorizon-sirius-module":                    "Wormhole code is: " + redacted,
		"wormhole receive 50-eventhorizon-sirius-module On the other":        "wormhole receive " + redacted + " On the other",
		"mv: cannot stat '/x/12-jan-data.nc'":                                "mv: cannot stat '/x/12-jan-data.nc'",
	} {
		if got := failureReason("", text); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	long := failureReason("", strings.Repeat("ü\x1b", 4<<10))
	if len(long) > maxReason+20 || strings.Contains(long, "\x1b") || !strings.HasSuffix(long, " … (cut)") {
		t.Errorf("%d bytes, ending %q", len(long), long[len(long)-20:])
	}
}

// The name of a file is no proof.
func TestSuccessIsNotInAName(t *testing.T) {
	t.Parallel()
	const words = "Files were successfully compressed."
	for log, want := range map[string]bool{
		"Mon " + words: true, words + "\n": true,
		"./a/" + words: false, "tar: /x/" + words: false, "": false, "Mon Files were": false,
	} {
		if got := reportsSuccess(log, words); got != want {
			t.Errorf("%q: %v", log, got)
		}
	}
}

// TestTransferIsSentOnce: once it may have arrived, nothing sends it again.
func TestTransferIsSentOnce(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*Client) error{
		"mv": func(c *Client) error { _, err := c.Transfer.Move(t.Context(), "alps", "/a", "/b", nil); return err },
		"rm": func(c *Client) error { _, err := c.Transfer.Remove(t.Context(), "alps", "/a", nil); return err },
		"upload": func(c *Client) error {
			_, err := c.Transfer.Upload(t.Context(), "alps", "/a", UploadRequest{Method: MethodS3, FileSize: 1})
			return err
		},
	}
	accepted := `{"transferJob":{"jobId":1,"system":"alps","workingDirectory":"/w","logs":{"outputLog":"/o","errorLog":"/e"}},` +
		`"transferDirectives":{"transfer_method":"s3","parts_upload_urls":["u"],"complete_upload_url":"c","max_part_size":5}}`
	for name, call := range calls {
		success := http.StatusCreated
		if name == "rm" {
			success = http.StatusOK
		}
		for problem, test := range map[string]struct {
			first func() (*http.Response, error)
			sends int // in all, the second of which succeeds
		}{
			"connection lost": {func() (*http.Response, error) { return nil, errors.New("connection reset") }, 1},
			"no connection":   {func() (*http.Response, error) { return nil, dialError{errors.New("refused")} }, 2},
			"bad gateway":     {func() (*http.Response, error) { return gateway(answer(502, "")), nil }, 1},
			"timed out": {func() (*http.Response, error) {
				return answer(500, errorBody("('Channel not open for sending',)")), nil
			}, 1},
			"unhealthy": {func() (*http.Response, error) {
				return answer(503, errorBody("The scheduler service for the requested system (alps) is unhealthy.")), nil
			}, 2},
			"unreadable": {func() (*http.Response, error) { return answer(success, "{}"), nil }, 1},
		} {
			sends := 0
			client := memoryClient(t, func(*http.Request) (*http.Response, error) {
				if sends++; sends == 1 {
					return test.first()
				}
				return answer(success, accepted), nil
			}, WithRetry(RetryPolicy{Base: 1}))
			err := call(client)
			if sends != test.sends || (err == nil) != (sends == 2) || err != nil && SubmitClassOf(err) != SubmitAmbiguous {
				t.Errorf("%s, %s: sent %d times: %v", name, problem, sends, err)
			}
		}
	}
}

// A reply that lacks what is needed to go on is no success, and names the job.
func TestIncompleteTransferReplies(t *testing.T) {
	t.Parallel()
	job := `"transferJob":{"jobId":"77","system":"alps","workingDirectory":"/w","logs":{"outputLog":"/o","errorLog":"/e"}}`
	for _, directives := range []string{
		`{}`, `{"transferMethod":"s3","partsUploadUrls":[],"completeUploadUrl":"c","maxPartSize":5}`,
		`{"transferMethod":"s3","partsUploadUrls":["u"],"maxPartSize":5}`, `{"transferMethod":"s3","partsUploadUrls":["u"],"completeUploadUrl":"c"}`,
		`{"transferMethod":"s3","partsUploadUrls":[null],"completeUploadUrl":"c","maxPartSize":5}`,
		`{"transferMethod":"streamer"}`, `{"partsUploadUrls":7}`,
	} {
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			return answer(http.StatusCreated, `{`+job+`,"transferDirectives":`+directives+`}`), nil
		}, WithRetry(RetryPolicy{MaxAttempts: 1}))
		_, err := client.Transfer.Upload(t.Context(), "alps", "/a", UploadRequest{Method: MethodS3, FileSize: 1})
		if SubmitClassOf(err) != SubmitAmbiguous || !strings.Contains(err.Error(), "job 77") {
			t.Errorf("upload, %s: got %v", directives, err)
		}
	}
	for _, directives := range []string{`{}`, `{"transferMethod":"streamer"}`, `{"transferMethod":"wormhole"}`} {
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			return answer(http.StatusCreated, `{`+job+`,"transferDirectives":`+directives+`}`), nil
		}, WithRetry(RetryPolicy{MaxAttempts: 1}))
		_, err := client.Transfer.Download(t.Context(), "alps", "/a", DownloadRequest{Method: MethodS3})
		if SubmitClassOf(err) != SubmitAmbiguous || !strings.Contains(err.Error(), "job 77") {
			t.Errorf("download, %s: got %v", directives, err)
		}
	}
}

// TestTransferPathsRefusedBeforeSending: every operation refuses what would not
// survive the script of its job, and takes what would.
func TestTransferPathsRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	sent := false
	client := memoryClient(t, func(*http.Request) (*http.Response, error) {
		sent = true
		return nil, errors.New("sent")
	}, WithRetry(RetryPolicy{MaxAttempts: 1}))
	ctx, tr := t.Context(), client.Transfer
	const (
		pasted   = "&<>\"'\n"         // lost in every script
		expanded = pasted + "$`\\"    // in double quotes
		unquoted = expanded + " \t*;" // in none
	)
	for name, test := range map[string]struct {
		refused string
		call    func(path string) error
	}{
		"mv from":       {pasted, func(p string) error { _, err := tr.Move(ctx, "alps", p, "/ok", nil); return err }},
		"mv to":         {pasted, func(p string) error { _, err := tr.Move(ctx, "alps", "/ok", p, nil); return err }},
		"cp from":       {pasted, func(p string) error { _, err := tr.Copy(ctx, "alps", p, "/ok", nil); return err }},
		"cp to":         {pasted, func(p string) error { _, err := tr.Copy(ctx, "alps", "/ok", p, nil); return err }},
		"rm":            {pasted, func(p string) error { _, err := tr.Remove(ctx, "alps", p, nil); return err }},
		"compress from": {pasted, func(p string) error { _, err := tr.Compress(ctx, "alps", p, "/ok", nil); return err }},
		"compress to":   {pasted, func(p string) error { _, err := tr.Compress(ctx, "alps", "/ok", p, nil); return err }},
		"compress pattern": {pasted, func(p string) error {
			_, err := tr.Compress(ctx, "alps", "/ok", "/ok", &CompressJobOptions{CompressOptions: CompressOptions{MatchPattern: p}})
			return err
		}},
		"extract from": {pasted, func(p string) error { _, err := tr.Extract(ctx, "alps", p, "/ok", nil); return err }},
		"extract to":   {pasted, func(p string) error { _, err := tr.Extract(ctx, "alps", "/ok", p, nil); return err }},
		"upload by S3": {expanded, func(p string) error {
			_, err := tr.Upload(ctx, "alps", p, UploadRequest{Method: MethodS3, FileSize: 1})
			return err
		}},
		"upload by streamer": {unquoted, func(p string) error {
			_, err := tr.Upload(ctx, "alps", p, UploadRequest{Method: MethodStreamer})
			return err
		}},
		"upload by wormhole": {unquoted, func(p string) error {
			_, err := tr.Upload(ctx, "alps", p, UploadRequest{Method: MethodWormhole, WormholeCode: "1-a"})
			return err
		}},
		"download": {unquoted, func(p string) error {
			_, err := tr.Download(ctx, "alps", p, DownloadRequest{Method: MethodS3})
			return err
		}},
	} {
		for _, r := range unquoted + "ü,=%#~" {
			sent = false
			err := test.call("/a" + string(r) + "b")
			if refused := strings.ContainsRune(test.refused, r); refused == sent || errors.Is(err, ErrPath) != refused {
				t.Errorf("%s of %q: sent %t, %v", name, r, sent, err)
			}
			if !sent && SubmitClassOf(err) != SubmitNotSent {
				t.Errorf("%s of %q: %v is not of class not sent", name, r, err)
			}
		}
		for _, path := range []string{"", "a", "~/a"} {
			if sent = false; name != "compress pattern" {
				if err := test.call(path); sent || !errors.Is(err, ErrPath) {
					t.Errorf("%s of %q: sent %t, %v", name, path, sent, err)
				}
			}
		}
	}
	sent = false
	for _, req := range []UploadRequest{
		{}, {Method: "pigeon", FileSize: 1}, {Method: MethodS3}, {Method: MethodS3, FileSize: -1},
		{Method: MethodWormhole}, {Method: MethodWormhole, WormholeCode: "1-a;id"}, {Method: MethodStreamer, Account: "a b"},
	} {
		if _, err := tr.Upload(ctx, "alps", "/a", req); sent || SubmitClassOf(err) != SubmitNotSent {
			t.Errorf("upload %+v: sent %t, %v", req, sent, err)
		}
	}
	for _, path := range []string{"/", "/a/", "/a/..", "/a/."} {
		if _, err := tr.Upload(ctx, "alps", path, UploadRequest{Method: MethodS3, FileSize: 1}); sent || !errors.Is(err, ErrPath) {
			t.Errorf("upload to %q: sent %t, %v", path, sent, err)
		}
	}
	if _, err := tr.Download(ctx, "alps", "/a", DownloadRequest{}); sent || SubmitClassOf(err) != SubmitNotSent {
		t.Errorf("download by no method: sent %t, %v", sent, err)
	}
}

func FuzzTransferReply(f *testing.F) {
	for _, answers := range recordings(f) {
		for _, a := range answers {
			if strings.Contains(a.Operation, "/transfer/") && a.Status < 300 {
				f.Add([]byte(a.Body))
			}
		}
	}
	f.Add([]byte(`{"transferJob":{"jobId":"1.pbs","logs":{"outputLog":"/o","errorLog":"/it's"}},"transferDirectives":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var reply transferReply
		if json.Unmarshal(body, &reply) != nil {
			return
		}
		if id := string(reply.job.ID); !digits.MatchString(id) || CheckPath(reply.job.OutputLog) != nil || CheckPath(reply.job.ErrorLog) != nil {
			t.Errorf("job %+v", reply.job)
		}
	})
}
