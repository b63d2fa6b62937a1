package sandbox

import (
	"encoding/json"
	"path"
	"strings"
)

// healthy refuses a call that needs a service whose probe failed. The lists of
// nodes, partitions and reservations ask the scheduler whatever its probe says.
func (s *Server) healthy(c *call) error {
	var needs []string
	switch at := c.route.segments; {
	case at[1] == "compute", at[1] == "filesystem" && at[3] == "transfer":
		needs = []string{"scheduler", "ssh"}
	case at[1] == "filesystem", at[3] == "userinfo":
		needs = []string{"ssh"}
	}
	for _, service := range needs {
		found := c.site.Health.SSH
		if service == "scheduler" {
			found = c.site.Health.Scheduler
		}
		if !c.site.healthy(found) || s.broken(c, service) {
			return fail(503, "The %s service for the requested system (%s) is unhealthy.", service, c.system)
		}
	}
	return nil
}

// gate finds the primary path of a file operation, in the query or in the
// body, and checks that the system has a healthy file system for it. Other
// paths of the request are not looked at here, and without probes none is.
func (s *Server) gate(c *call) error {
	if err := c.findPath(); err != nil || !c.site.probed() {
		return err
	}
	if !strings.HasPrefix(c.path, "/") {
		return fail(400, "The provided path (%s) is not an absolute path.", c.path)
	}
	clean := path.Clean(c.path)
	if s.release.has(trustsDots) {
		clean = c.path
	}
	v := s.volumes.containing(clean)
	switch {
	case v == nil:
		return fail(400, "The provided path (%s) does not match any of the defined filesystem paths for the requested system (%s).", clean, c.system)
	case !c.site.fileSystemHealthy(path.Base(v.path)), s.broken(c, path.Base(v.path)):
		return fail(503, "The requested filesystem (%s on %s) is unhealthy.", v.path, c.system)
	}
	return nil
}

// findPath sets the primary path. Without probes a missing one is found out by
// the schema of the request only.
func (c *call) findPath() error {
	if values, ok := c.r.URL.Query()["path"]; ok {
		c.path = values[0]
		return nil
	}
	raw, found := object{members: c.object().members}.find(primaryPath)
	undecodable := !found || !isNull(raw) && json.Unmarshal(raw, &c.path) != nil
	switch {
	case undecodable && !c.site.probed():
		var k checker
		if c.route.body == jsonBody {
			k.add("body", primaryPath[0], primaryPath[0], missing)
		} else {
			k.add("query", "path", "path", missing)
		}
		return k.err()
	case undecodable:
		return fail(400, "Unable to decode request and retreive the required path or source_path parameter.")
	case isNull(raw):
		return fail(400, "All filesystem requests require a path or source_path parameter.")
	}
	return nil
}

// primaryPath is the spellings of the path member every file operation has.
var primaryPath = []string{"sourcePath", "source_path", "path"}
