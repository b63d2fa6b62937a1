package sandbox

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// What older releases make of requests.

// showWeek has a list go back a week. Of those who said nothing else, where the
// server is ahead of its release.
func (s *Server) showWeek(c *call) error {
	q := c.r.URL.Query()
	if s.cfg.Release != "" || q.Get("time_window") == "" {
		q.Set("time_window", "7d")
	}
	c.r.URL.RawQuery = q.Encode()
	return nil
}

func (s *Server) showHidden(c *call) error {
	q := c.r.URL.Query()
	q.Set("show_hidden", "true")
	c.r.URL.RawQuery = q.Encode()
	return nil
}

func (s *Server) ignorePlace(c *call) error {
	return c.editJob(func(job map[string]json.RawMessage) error {
		delete(job, "partition")
		delete(job, "reservation")
		return nil
	})
}

// snakeDirectory knows one spelling only.
func (s *Server) snakeDirectory(c *call) error {
	return c.editJob(func(job map[string]json.RawMessage) error {
		delete(job, "workingDirectory")
		delete(job, "current_working_directory")
		return nil
	})
}

// inlineScript takes a script in the request only, and no account.
func (s *Server) inlineScript(c *call) error {
	return c.editJob(func(job map[string]json.RawMessage) error {
		for _, name := range []string{"scriptPath", "script_path", "account"} {
			delete(job, name)
		}
		if _, found := job["script"]; found {
			return nil
		}
		var k checker
		k.add("body", "job", "job.script", missing)
		return k.err()
	})
}

// pathOnly knows one spelling of the path only.
func (s *Server) pathOnly(c *call) error {
	if _, found := c.object().members["path"]; found {
		return nil
	}
	var k checker
	k.add("body", "path", "path", missing)
	return k.err()
}

// nullAsNone writes null the way the language of the server does.
func (s *Server) nullAsNone(c *call) error {
	return c.edit(func(body map[string]json.RawMessage) error {
		for _, name := range []string{"owner", "group"} {
			if raw, found := body[name]; found && isNull(raw) {
				body[name] = json.RawMessage(`"None"`)
			}
		}
		return nil
	})
}

// system is one as the release knows it: its services are always probed, or it
// knows fewer ways to move large files.
func (r release) system(sys *SystemConfig) *SystemConfig {
	copied := *sys
	if r.before("2.4.1") {
		copied.Probing = nil
	}
	switch method := sys.transfer().Method; {
	case method == methodStreamer && r.before("2.4.1"), method == methodWormhole && r.before("2.4.0"), method == methodNone && r.before("2.3.1"):
		copied.Transfer.Method = methodS3
	}
	return &copied
}

// settleMethod is how a method that a system does not have is dealt with by the
// releases that have directives and do not compare them with the system's.
func (s *Server) settleMethod(c *call) error {
	has, streams := c.site.transfer().Method, !s.release.before("2.4.1")
	said, known := c.saidMethod()
	if !strings.HasSuffix(c.route.op, "/upload") {
		if has == methodNone || streams && !known {
			return nil
		}
		return c.direct(has, nil)
	}
	object := requestTypes[said]
	if !streams {
		object = "WormholeDataTransferDirective"
	}
	switch {
	case said != "" && (!known || said == methodStreamer && !streams):
		return unknownMethod(streams)
	case has == methodNone || !known:
		return nil
	case has == methodWormhole && streams:
		return unhandled(fmt.Sprintf(`("'%s' object has no attribute 'wormhole_code'",)`, object))
	case has == methodS3 && said != methodS3:
		return unhandled(fmt.Sprintf(`("'%s' object has no attribute 'file_size'",)`, object))
	}
	return c.direct(has, nil)
}

// requestTypes are what the server calls the directives of a method.
var requestTypes = map[string]string{
	methodS3: "S3TransferRequest", methodStreamer: "StreamerTransferRequest", methodWormhole: "WormholeTransferRequest",
}

// unknownMethod complains that a method is none of those there are.
func unknownMethod(streams bool) error {
	methods := []string{methodWormhole, methodS3}
	if streams {
		methods = append(methods, methodStreamer)
	}
	var k checker
	for _, method := range methods {
		k.add("body", "transferDirectives", "transferDirectives", fmt.Sprintf("Input should be <%s: '%s'>", methodTypes[method], method))
	}
	return k.err()
}

// saidMethod is the method that a request names, if it is one.
func (c *call) saidMethod() (method string, known bool) {
	raw, _ := c.object().find([]string{"transferDirectives", "transfer_directives"})
	var inner map[string]json.RawMessage
	if json.Unmarshal(raw, &inner) != nil {
		return "", false
	}
	said, _ := object{members: inner}.find([]string{"transferMethod", "transfer_method"})
	method, _ = decodeText(said)
	_, known = methodTypes[method]
	return method, known
}

// direct writes directives for the method into the request; a size, if there is
// one, and a code that was not asked for.
func (c *call) direct(method string, size json.RawMessage) error {
	return c.edit(func(body map[string]json.RawMessage) error {
		directives := map[string]json.RawMessage{}
		raw, found := object{members: body}.find([]string{"transferDirectives", "transfer_directives"})
		if found && json.Unmarshal(raw, &directives) != nil {
			directives = map[string]json.RawMessage{}
		}
		delete(directives, "transfer_method")
		directives["transferMethod"] = json.RawMessage(strconv.Quote(method))
		if size != nil {
			directives["fileSize"] = size
		}
		if _, found := (object{members: directives}).find([]string{"wormholeCode", "wormhole_code"}); !found && method == methodWormhole {
			directives["wormholeCode"] = json.RawMessage(`""`)
		}
		text, err := json.Marshal(directives)
		delete(body, "transfer_directives")
		body["transferDirectives"] = text
		return err
	})
}

// earlyUpload reads the request of releases without directives: a directory, a
// name and a size.
func (s *Server) earlyUpload(c *call) error {
	body := c.object()
	dir := body.required(primaryPath...)
	name := body.required("fileName", "file_name")
	raw, found := body.find([]string{"fileSize", "file_size"})
	if !found {
		body.complain("fileSize", missing)
	} else if _, there := body.integer("fileSize", "file_size"); !there {
		body.complain("fileSize", "Input should be a valid integer")
	}
	if err := body.err(); err != nil {
		return err
	}
	err := c.edit(func(members map[string]json.RawMessage) error {
		for _, name := range append(primaryPath[:len(primaryPath):len(primaryPath)], "transferDirectives", "transfer_directives") {
			delete(members, name)
		}
		text, err := json.Marshal(path.Join(dir, name))
		members["path"] = text
		return err
	})
	if err != nil {
		return err
	}
	return c.direct(methodS3, raw)
}

// earlyDownload reads the request of releases without directives.
func (s *Server) earlyDownload(c *call) error {
	return c.direct(methodS3, nil)
}
