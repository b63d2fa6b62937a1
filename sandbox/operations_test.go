package sandbox

import (
	"net/url"
	"strings"
	"sync"
	"testing"
)

// sample is a call of an operation: the path below its variables' place, and a
// JSON body.
type sample struct {
	query url.Values
	body  any
}

// TestEveryOperation calls each row of the table with a request that succeeds
// and one that fails, and wants to have seen both. A row without samples fails.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	good, bad := map[string]int{}, map[string]int{}
	r := newRig(t, func(c *Config) {
		c.Observe = func(op string, status int) {
			mu.Lock()
			defer mu.Unlock()
			if status < 400 {
				good[op]++
			} else {
				bad[op]++
			}
		}
	})
	file := r.write("dir/f", "x\n")
	want(t, r.compress(members{"path": file, "targetPath": r.home + "/a.tgz"}), 204)
	job := strings.TrimPrefix(r.running("#!/bin/sh\nexec sleep 60\n"), jobs+"/")
	at := func(path string) sample { return sample{query: url.Values{"path": {path}}} }
	none, missing := sample{}, at(r.home+"/missing")

	samples := map[string]struct{ good, bad sample }{
		"GET /status/systems":                               {none, none},
		"GET /status/{system_name}/nodes":                   {none, none},
		"GET /status/{system_name}/reservations":            {none, none},
		"GET /status/{system_name}/partitions":              {none, none},
		"GET /status/{system_name}/userinfo":                {none, none},
		"POST /compute/{system_name}/jobs":                  {sample{body: members{"job": members{"workingDirectory": r.home, "script": "#!/bin/sh\n"}}}, none},
		"GET /compute/{system_name}/jobs":                   {none, sample{query: url.Values{"allusers": {"most"}}}},
		"GET /compute/{system_name}/jobs/{job_id}":          {none, none},
		"GET /compute/{system_name}/jobs/{job_id}/metadata": {none, none},
		"PUT /compute/{system_name}/jobs/{job_id}/attach":   {sample{body: members{"command": "true"}}, none},
		"DELETE /compute/{system_name}/jobs/{job_id}":       {none, none},
		"GET /filesystem/{system_name}/ops/ls":              {at(r.home), missing},
		"GET /filesystem/{system_name}/ops/head":            {at(file), missing},
		"GET /filesystem/{system_name}/ops/view":            {at(file), missing},
		"GET /filesystem/{system_name}/ops/tail":            {at(file), missing},
		"GET /filesystem/{system_name}/ops/checksum":        {at(file), missing},
		"GET /filesystem/{system_name}/ops/stat":            {at(file), missing},
		"GET /filesystem/{system_name}/ops/file":            {at(file), none},
		"PUT /filesystem/{system_name}/ops/chmod":           {sample{body: members{"path": file, "mode": "644"}}, sample{body: members{"path": file, "mode": "9"}}},
		"PUT /filesystem/{system_name}/ops/chown":           {sample{body: members{"path": file, "group": "proj"}}, sample{body: members{"path": file, "group": "?"}}},
		"GET /filesystem/{system_name}/ops/download":        {at(file), missing},
		"DELETE /filesystem/{system_name}/ops/rm":           {at(r.write("dir/rm", "")), missing},
		"POST /filesystem/{system_name}/ops/mkdir":          {sample{body: members{"path": r.home + "/new"}}, sample{body: members{"path": r.home}}},
		"POST /filesystem/{system_name}/ops/symlink":        {sample{body: members{"path": file, "linkPath": r.home + "/l"}}, none},
		"POST /filesystem/{system_name}/ops/compress":       {sample{body: members{"path": file, "targetPath": r.home + "/b"}}, none},
		"POST /filesystem/{system_name}/ops/extract":        {sample{body: members{"path": r.home + "/a.tgz", "targetPath": r.scratch}}, none},
		"POST /filesystem/{system_name}/ops/upload":         {good: none, bad: missing}, // good is a form, sent below
		"POST /filesystem/{system_name}/transfer/mv":        {sample{body: members{"path": file, "targetPath": r.home + "/mv"}}, none},
		"POST /filesystem/{system_name}/transfer/cp":        {sample{body: members{"path": file, "targetPath": r.home + "/cp"}}, none},
		"DELETE /filesystem/{system_name}/transfer/rm":      {at(file), none},
		"POST /filesystem/{system_name}/transfer/compress":  {sample{body: members{"path": file, "targetPath": r.home + "/c"}}, none},
		"POST /filesystem/{system_name}/transfer/extract":   {sample{body: members{"path": r.home + "/a.tgz", "targetPath": r.scratch}}, none},
		"POST /filesystem/{system_name}/transfer/upload": {
			sample{body: members{"path": file, "transferDirectives": members{"transferMethod": "s3", "fileSize": 1}}}, none,
		},
		"POST /filesystem/{system_name}/transfer/download": {
			sample{body: members{"path": r.home, "transferDirectives": members{"transferMethod": "s3"}}}, none,
		},
		"POST " + TokenPath:      {good: none, bad: none}, // likewise
		"POST /sandbox/systems":  {sample{body: members{"systems": []string{"x"}}}, none},
		"PUT /sandbox/faults":    {sample{body: members{"faults": []string{"hide-rows=0"}}}, none},
		"GET /sandbox/faults":    {none, none},
		"DELETE /sandbox/faults": {none, none},
	}
	want(t, r.upload(r.home, "up", "x"), 204)
	creds := r.srv.Credentials()
	req := r.request("POST", TokenPath, "grant_type=client_credentials")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(creds.ClientID, creds.ClientSecret)
	want(t, r.send(req), 200)

	for _, row := range operations {
		method, path, _ := strings.Cut(row.op, " ")
		if row.access == anyone && method == "GET" {
			want(t, r.do(method, path, nil), 200) // cannot fail
			continue
		}
		pair, has := samples[row.op]
		if !has {
			t.Errorf("%s: no samples", row.op)
			continue
		}
		call := func(s sample, job string) {
			p := strings.NewReplacer("{system_name}", "alps", "{job_id}", job).Replace(path)
			if s.query != nil {
				p += "?" + s.query.Encode()
			}
			req := r.request(method, p, s.body)
			if row.access == admin && r.token != "expired" {
				req.Header.Set("Authorization", "Bearer "+r.srv.site.AdminSecret)
			}
			r.send(req)
		}
		call(pair.good, job)
		if strings.HasPrefix(path, "/status/") || row.access == admin {
			token := r.token
			r.token = "expired"
			call(pair.bad, "")
			r.token = token
		} else {
			call(pair.bad, "99999")
		}
	}
	for _, row := range operations {
		if cannotFail := row.access == anyone && strings.HasPrefix(row.op, "GET "); good[row.op] == 0 || bad[row.op] == 0 && !cannotFail {
			t.Errorf("%s: %d good answers, %d bad ones", row.op, good[row.op], bad[row.op])
		}
	}
}
