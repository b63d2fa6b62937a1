package simulation

import (
	"net/http"
	"strings"
	"time"
)

// op is an operation of the service.
type op int

const (
	opUnknown op = iota
	opToken
	opSystems
	opUser
	opSubmit
	opJobs
	opJob
	opCancel
	opList
	opStat
	opTail
	opView
	opChecksum
	opDownload
	opMkdir
	opSymlink
	opChmod
	opUpload
	opRemove
)

var opNames = map[op]string{
	opUnknown: "UNKNOWN", opToken: "POST token", opSystems: "GET systems", opUser: "GET userinfo", opSubmit: "POST job",
	opJobs: "GET jobs", opJob: "GET job", opCancel: "DELETE job", opList: "GET ls", opStat: "GET stat", opTail: "GET tail",
	opView: "GET view", opChecksum: "GET checksum", opDownload: "GET download", opMkdir: "POST mkdir", opSymlink: "POST symlink",
	opChmod: "PUT chmod", opUpload: "POST upload", opRemove: "DELETE rm",
}

// String names the operation in traces.
func (o op) String() string { return opNames[o] }

// shared reports whether one request may serve several callers: then it does not
// matter which of them it is from.
func (o op) shared() bool { return o == opToken || o == opJobs || o == opList }

func (o op) files() bool   { return o >= opList }
func (o op) compute() bool { return o >= opSubmit && o <= opCancel }

var fileOps = map[string]op{
	"GET ls": opList, "GET stat": opStat, "GET tail": opTail, "GET view": opView, "GET checksum": opChecksum,
	"GET download": opDownload, "POST mkdir": opMkdir, "POST symlink": opSymlink, "PUT chmod": opChmod, "POST upload": opUpload,
	"DELETE rm": opRemove,
}

// route finds the operation of a request and, of a job, its id.
func route(method string, path []string) (op, string) {
	switch at := strings.Join(path, "/"); {
	case at == "token" && method == http.MethodPost:
		return opToken, ""
	case at == "status/systems":
		return opSystems, ""
	case at == "status/"+system+"/userinfo":
		return opUser, ""
	case at == "compute/"+system+"/jobs" && method == http.MethodPost:
		return opSubmit, ""
	case at == "compute/"+system+"/jobs":
		return opJobs, ""
	case strings.HasPrefix(at, "compute/"+system+"/jobs/") && len(path) == 4:
		return map[string]op{http.MethodGet: opJob, http.MethodDelete: opCancel}[method], path[3]
	case strings.HasPrefix(at, "filesystem/"+system+"/ops/") && len(path) == 4:
		return fileOps[method+" "+path[3]], ""
	}
	return opUnknown, ""
}

// serve carries a request out.
func (w *World) serve(r *request) *answer {
	if r.op == opToken {
		return w.newToken()
	}
	if refusal := w.admit(r); refusal != nil {
		return refusal
	}
	switch r.op {
	case opSystems:
		return success(200, w.systems())
	case opUser:
		return success(200, userinfo)
	case opSubmit:
		return w.batch.submit(r)
	case opJobs:
		return w.batch.list(r)
	case opJob:
		return w.batch.get(r.path[3])
	case opCancel:
		return w.batch.cancel(r.path[3])
	case opUnknown:
		w.note("  %s has no such path", strings.Join(r.path, "/"))
		return failure(404, "Not Found")
	}
	return w.serveFiles(r)
}

// tokenLife is how long a token lasts, minTokenLife what it must still be worth.
const (
	tokenLife    = 10 * time.Minute
	minTokenLife = 30 * time.Second
)

func (w *World) newToken() *answer {
	end := time.Now().Add(tokenLife).UTC().Format(time.RFC3339)
	return &answer{status: 200, json: map[string]any{"access_token": "until:" + end, "expires_in": int(tokenLife.Seconds()), "token_type": "Bearer"}}
}

// admit refuses a request without a token that lasts.
func (w *World) admit(r *request) *answer {
	token, ok := strings.CutPrefix(r.header.Get("Authorization"), "Bearer until:")
	end, err := time.Parse(time.RFC3339, token)
	switch {
	case !ok || err != nil:
		return success(401, problem{ErrorType: "error", Message: "Not authenticated"})
	case time.Until(end) <= 0:
		return success(401, problem{ErrorType: "error", Message: "Access token expired"})
	case time.Until(end) < minTokenLife:
		return success(401, problem{ErrorType: "error", Message: "Access token expires too soon (less than 30s remaining)."})
	}
	return nil
}

type object = map[string]any

// home is where users work.
const home = "/home"

func (w *World) systems() any {
	return object{"systems": []object{{
		"name": system,
		"ssh": object{
			"host": "login." + system, "port": 22, "proxyHost": nil, "proxyPort": nil, "maxClients": 100,
			"timeout": object{"connection": 5, "login": 5, "commandExecution": 5, "idleTimeout": 60, "keepAlive": 5},
		},
		"scheduler": object{
			"type": "slurm", "connectionMode": "ssh", "version": "24.11.0", "apiUrl": nil, "apiVersion": nil, "timeout": 10,
		},
		"servicesHealth": nil, "probing": object{"services": nil, "intervalCheck": 120}, "lastHealthCheck": nil,
		"fileSystems": []object{{"path": home, "dataType": "users", "defaultWorkDir": true}},
		"dataOperation": object{
			"datatransfer_jobs_directives": []string{}, "max_ops_file_size": 5 << 20, "data_transfer": nil,
		},
	}}}
}

var userinfo = object{
	"user":     object{"id": "1000", "name": user},
	"group":    object{"id": "100", "name": "users"},
	"groups":   []object{{"id": "100", "name": "users"}},
	"accounts": []object{{"name": "proj", "default": true}},
}
