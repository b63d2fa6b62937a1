package sandbox

import (
	"encoding/json"
	"path"
	"strings"
)

// gate finds the primary path of a file operation, in the query or in the
// body, and checks that the system has a file system for it. Other paths of
// the request are not looked at here.
func (s *Server) gate(c *call) error {
	switch values, ok := c.r.URL.Query()["path"]; {
	case ok:
		c.path = values[0]
	default:
		raw, found := object{members: c.object().members}.find(primaryPath)
		if !found {
			return fail(400, "Unable to decode request and retreive the required path or source_path parameter.")
		}
		if isNull(raw) {
			return fail(400, "All filesystem requests require a path or source_path parameter.")
		}
		if json.Unmarshal(raw, &c.path) != nil {
			return fail(400, "Unable to decode request and retreive the required path or source_path parameter.")
		}
	}
	if !strings.HasPrefix(c.path, "/") {
		return fail(400, "The provided path (%s) is not an absolute path.", c.path)
	}
	if clean := path.Clean(c.path); s.volumes.containing(clean) == nil {
		return fail(400, "The provided path (%s) does not match any of the defined filesystem paths for the requested system (%s).", clean, c.system)
	}
	return nil
}

// primaryPath is the spellings of the path member every file operation has.
var primaryPath = []string{"sourcePath", "source_path", "path"}
