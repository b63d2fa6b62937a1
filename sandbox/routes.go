package sandbox

import (
	"net/http"
	"strings"
)

// route is one operation: adding one is a handler and a row.
type route struct {
	op     string // METHOD /path/{var}; also the name in Config.Fault and Config.Observe
	access access
	body   bodyKind
	gated  bool // the primary path must lie in one of the system's file systems
	handle func(*Server, *call) (reply, error)

	method   string
	segments []string
}

// access is who may call an operation.
type access int

const (
	member access = iota // a user with a valid token
	anyone               // no token needed
	admin                // the admin secret, over loopback
)

// bodyKind is how an operation reads its request body.
type bodyKind int

const (
	noBody   bodyKind = iota
	jsonBody          // read and checked for syntax before anything else, even the token
	ownBody           // the handler reads it
)

// operations in the order of the reference server: a path that is known with
// another method answers 405 with the method of its first row.
var operations = []route{
	{op: "GET /status/systems", handle: (*Server).getSystems},
	{op: "GET /status/liveness/", access: anyone, handle: (*Server).getLiveness},
	{op: "GET /status/{system_name}/nodes", handle: (*Server).getNodes},
	{op: "GET /status/{system_name}/reservations", handle: (*Server).getReservations},
	{op: "GET /status/{system_name}/partitions", handle: (*Server).getPartitions},
	{op: "GET /status/{system_name}/userinfo", handle: (*Server).getUserinfo},

	{op: "POST /compute/{system_name}/jobs", body: jsonBody, handle: (*Server).postJob},
	{op: "GET /compute/{system_name}/jobs", handle: (*Server).getJobs},
	{op: "GET /compute/{system_name}/jobs/{job_id}", handle: (*Server).getJob},
	{op: "GET /compute/{system_name}/jobs/{job_id}/metadata", handle: (*Server).getJobMetadata},
	{op: "PUT /compute/{system_name}/jobs/{job_id}/attach", body: jsonBody, handle: (*Server).putAttach},
	{op: "DELETE /compute/{system_name}/jobs/{job_id}", handle: (*Server).deleteJob},

	{op: "GET /filesystem/{system_name}/ops/ls", gated: true, handle: (*Server).getLs},
	{op: "GET /filesystem/{system_name}/ops/head", gated: true, handle: (*Server).getHead},
	{op: "GET /filesystem/{system_name}/ops/view", gated: true, handle: (*Server).getView},
	{op: "GET /filesystem/{system_name}/ops/tail", gated: true, handle: (*Server).getTail},
	{op: "GET /filesystem/{system_name}/ops/checksum", gated: true, handle: (*Server).getChecksum},
	{op: "GET /filesystem/{system_name}/ops/stat", gated: true, handle: (*Server).getStat},
	{op: "GET /filesystem/{system_name}/ops/file", gated: true, handle: (*Server).getFile},
	{op: "PUT /filesystem/{system_name}/ops/chmod", body: jsonBody, gated: true, handle: (*Server).putChmod},
	{op: "PUT /filesystem/{system_name}/ops/chown", body: jsonBody, gated: true, handle: (*Server).putChown},
	{op: "DELETE /filesystem/{system_name}/ops/rm", gated: true, handle: (*Server).deleteRm},
	{op: "POST /filesystem/{system_name}/ops/mkdir", body: jsonBody, gated: true, handle: (*Server).postMkdir},
	{op: "POST /filesystem/{system_name}/ops/symlink", body: jsonBody, gated: true, handle: (*Server).postSymlink},
	{op: "GET /filesystem/{system_name}/ops/download", gated: true, handle: (*Server).getDownload},
	{op: "POST /filesystem/{system_name}/ops/upload", body: ownBody, gated: true, handle: (*Server).postUpload},
	{op: "POST /filesystem/{system_name}/ops/compress", body: jsonBody, gated: true, handle: (*Server).postCompress},
	{op: "POST /filesystem/{system_name}/ops/extract", body: jsonBody, gated: true, handle: (*Server).postExtract},

	{op: "POST /filesystem/{system_name}/transfer/upload", body: jsonBody, handle: (*Server).postTransferUpload},
	{op: "POST /filesystem/{system_name}/transfer/download", body: jsonBody, handle: (*Server).postTransferDownload},
	{op: "POST /filesystem/{system_name}/transfer/mv", body: jsonBody, gated: true, handle: (*Server).postMv},
	{op: "POST /filesystem/{system_name}/transfer/cp", body: jsonBody, gated: true, handle: (*Server).postCp},
	{op: "DELETE /filesystem/{system_name}/transfer/rm", gated: true, handle: (*Server).deleteTransferRm},
	{op: "POST /filesystem/{system_name}/transfer/compress", body: jsonBody, gated: true, handle: (*Server).postTransferCompress},
	{op: "POST /filesystem/{system_name}/transfer/extract", body: jsonBody, gated: true, handle: (*Server).postTransferExtract},

	{op: "GET /openapi.json", access: anyone, handle: (*Server).getOpenAPI},

	{op: "POST " + TokenPath, access: anyone, body: ownBody, handle: (*Server).postToken},
	{op: "POST /sandbox/systems", access: admin, body: jsonBody, handle: (*Server).postSystems},
	{op: "GET /sandbox/faults", access: admin, handle: (*Server).getFaults},
	{op: "PUT /sandbox/faults", access: admin, body: jsonBody, handle: (*Server).putFaults},
	{op: "DELETE /sandbox/faults", access: admin, handle: (*Server).deleteFaults},
}

// router is the table with its paths taken apart.
type router []route

func newRouter(table []route) router {
	rt := make(router, len(table))
	for i, row := range table {
		method, path, _ := strings.Cut(row.op, " ")
		row.method, row.segments = method, strings.Split(path, "/")
		rt[i] = row
	}
	return rt
}

// find returns the row for a lower-cased path and the values of its variables.
// With no row for the method, other is the first row of the path.
func (rt router) find(method, path string) (row, other *route, vars map[string]string) {
	segments := strings.Split(path, "/")
	for i := range rt {
		values, ok := rt[i].match(segments)
		if !ok {
			continue
		}
		if rt[i].method == method {
			return &rt[i], nil, values
		}
		if other == nil {
			other = &rt[i]
		}
	}
	return nil, other, nil
}

// known says whether any row has the path, whatever the method.
func (rt router) known(path string) bool {
	row, other, _ := rt.find("", path)
	return row != nil || other != nil
}

func (row *route) match(segments []string) (vars map[string]string, ok bool) {
	if len(segments) != len(row.segments) {
		return nil, false
	}
	vars = map[string]string{}
	for i, want := range row.segments {
		name, isVar := strings.CutPrefix(want, "{")
		switch {
		case isVar && segments[i] != "":
			vars[strings.TrimSuffix(name, "}")] = segments[i]
		case want != segments[i]:
			return nil, false
		}
	}
	return vars, true
}

// unrouted answers a path or method no row has.
func (rt router) unrouted(r *http.Request, path string, other *route) reply {
	if other != nil {
		e := &apiError{status: 405, message: "Method Not Allowed", header: http.Header{"Allow": {other.method}}}
		return e.reply("")
	}
	toggled, had := strings.CutSuffix(path, "/")
	if !had {
		toggled += "/"
	}
	if path != "/" && rt.known(toggled) {
		target := *r.URL
		target.Scheme, target.Host, target.Path, target.RawPath = "http", r.Host, toggled, ""
		return reply{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {target.String()}}}
	}
	return fail(404, "Not Found").reply("")
}
