package sandbox

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// What older releases make of errors and of good answers.

// unservedPath is the check of paths when it asked for a probe of the file
// system.
func unservedPath(c *call, e *apiError) *apiError {
	if strings.HasPrefix(e.message, "The provided path (") {
		e.status, e.message = 428, "No filesystem health checker serving the request path was found on "+c.system+"."
	}
	return e
}

// limitAsFailure does not tell limits from other refusals of the scheduler.
func limitAsFailure(_ *call, e *apiError) *apiError {
	if stderr, limited := strings.CutPrefix(e.message, limitReached); limited {
		return slurmFailed(1, stderr)
	}
	return e
}

// escaped are the errors that no handler of the server took care of.
func escaped(c *call, e *apiError) *apiError {
	fromScheduler := strings.HasPrefix(c.plain, "/compute/") && strings.HasPrefix(e.message, "Unexpected Slurm command")
	switch {
	case e.status == 408, e.status == 413 && e.message == errTooMuchOutput.message, fromScheduler, strings.HasPrefix(e.message, "('No SSH"):
		e.unhandled = true
	}
	return e
}

// innerReason is what a query of the scheduler says that passes on why it failed.
func innerReason(_ *call, e *apiError) *apiError {
	if e.message != "Error executing Slurm command." {
		return e
	}
	e.unhandled = true
	e.message = e.causedBy[len(e.causedBy)-1]
	switch {
	case e.message == errCommandTime.message:
		e.status = 408
	case e.message == errTooMuchOutput.message:
		e.status = 413
	case strings.HasPrefix(e.message, "No SSH"):
		e.message = "('" + e.message + "',)"
	}
	return e
}

// pathless has one complaint about requests without a path.
func pathless(_ *call, e *apiError) *apiError {
	if strings.HasPrefix(e.message, "Unable to decode request and retreive") {
		e.message = "All filesystem requests require a path or source_path parameter."
	}
	return e
}

func uploadTooLarge(_ *call, e *apiError) *apiError {
	if e.message == "File to upload is too large." {
		e.message = "Uploaded file is too large."
	}
	return e
}

// oldTexts are those of the first release.
func oldTexts(c *call, e *apiError) *apiError {
	e.message = strings.NewReplacer(
		"Remote process failed with", "Remote process faild with",
		"No filesystem health checker serving", "No filesystem service serving",
		"The scheduler service for the requested system ("+c.system+")", "The scheduler service for the requested system ({system.name})",
	).Replace(e.message)
	return e
}

func stateless(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		each(body, "reservations", func(r bodyTree) { delete(r, "state") })
		return nil
	})
}

func accountless(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		delete(body, "accounts")
		return nil
	})
}

// plainStates are those of sinfo, in a text.
func plainStates(s *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		each(body, "nodes", func(n bodyTree) {
			var states []string
			for _, state := range asList(n["state"]) {
				states = append(states, strings.ToLower(fmt.Sprint(state)))
			}
			n["state"] = strings.Join(states, "+")
			if s.release.before("2.3.1") {
				n["slurmdVersion"] = "24.11.0"
			}
		})
		return nil
	})
}

func asList(v any) []any {
	if list, is := v.([]any); is {
		return list
	}
	return []any{v}
}

// undecodable is what becomes of a text that is none.
func undecodable(s *Server, _ *call, p *reply) error {
	out, _ := p.json.(output)
	if text, _ := out.Output.(string); !strings.ContainsRune(text, utf8.RuneError) {
		return nil
	}
	if s.release.before("2.3.1") {
		return unhandled(`("'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",)`)
	}
	return unhandled(`("cannot access local variable 'options' where it is not associated with a value",)`)
}

// accounted are jobs as the accounting alone shows them.
func accounted(_ *Server, c *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		each(body, "jobs", func(job bodyTree) {
			status, _ := job["status"].(bodyTree)
			time, _ := job["time"].(bodyTree)
			if status != nil && time != nil && status["state"] == "PENDING" {
				status["exitCode"], status["interruptSignal"] = 0, 0
				time["suspended"], job["nodes"] = 0, noNode
			}
		})
		if list, _ := body["jobs"].([]any); len(list) == 0 {
			body["jobs"] = nil
		}
		return nil
	})
}

// earlySystems tell the way of moving files once for all of them.
func earlySystems(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		each(body, "systems", func(sys bodyTree) {
			operation, _ := sys["dataOperation"].(bodyTree)
			sys["datatransferJobsDirectives"] = operation["datatransfer_jobs_directives"]
			delete(operation, "datatransfer_jobs_directives")
			if _, told := body["dataOperation"]; !told {
				body["dataOperation"] = operation
			}
			delete(sys, "dataOperation")
			delete(sys, "lastHealthCheck")
			probed, isProbed := sys["servicesHealth"].([]any)
			if !isProbed {
				sys["probing"] = nil
				return
			}
			sys["probing"] = bodyTree{"interval": int(probeInterval.Seconds()), "timeout": 10}
			sys["servicesHealth"] = slices.DeleteFunc(probed, func(health any) bool { return health.(bodyTree)["serviceType"] == methodS3 })
		})
		operation, _ := body["dataOperation"].(bodyTree)
		if transfer, has := operation["data_transfer"].(bodyTree); has {
			transfer["probing"], transfer["servicesHealth"] = nil, nil
		}
		return nil
	})
}

func modeless(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		each(body, "systems", func(sys bodyTree) { delete(sys["scheduler"].(bodyTree), "connectionMode") })
		return nil
	})
}

func firstSystems(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		delete(body, "dataOperation")
		each(body, "systems", func(sys bodyTree) {
			ssh := sys["ssh"].(bodyTree)
			delete(ssh, "proxyHost")
			delete(ssh, "proxyPort")
			each(sys, "servicesHealth", func(h bodyTree) {
				if h["serviceType"] == "scheduler" {
					h["nodes"] = nil
				}
			})
		})
		return nil
	})
}

var numbered = regexp.MustCompile(`^\d+(_\d+)?$`)

// number is the id of a job as a number: that of an array's part loses its
// underscore, and one for several parts cannot be told.
func number(object bodyTree) error {
	id, _ := object["jobId"].(string)
	switch {
	case strings.Contains(id, "["):
		return unhandled("()")
	case numbered.MatchString(id):
		object["jobId"] = json.Number(strings.Replace(id, "_", "", 1))
	}
	return nil
}

func numberedJob(_ *Server, _ *call, p *reply) error { return rewrite(p, number) }

func numberedJobs(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) (err error) {
		each(body, "jobs", func(job bodyTree) {
			if failed := number(job); failed != nil {
				err = failed
			}
		})
		return err
	})
}

func numberedTransfer(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		job, _ := body["transferJob"].(bodyTree)
		return number(job)
	})
}

var upper = regexp.MustCompile(`[A-Z]`)

func snakeDirectives(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		directives := bodyTree{}
		camel, _ := body["transferDirectives"].(bodyTree)
		for name, value := range camel {
			snake := upper.ReplaceAllStringFunc(name, func(s string) string { return "_" + strings.ToLower(s) })
			directives[snake] = value
		}
		body["transferDirectives"] = directives
		return nil
	})
}

// flatDirectives stand beside the job.
func flatDirectives(_ *Server, _ *call, p *reply) error {
	return rewrite(p, func(body bodyTree) error {
		directives, _ := body["transferDirectives"].(bodyTree)
		delete(body, "transferDirectives")
		for name, value := range directives {
			if name != "transferMethod" {
				body[name] = value
			}
		}
		return nil
	})
}

// describeTarget answers a new link with what it points to.
func (s *Server) describeTarget(c *call, p *reply) error {
	x, done, err := s.command(c)
	if err != nil {
		return err
	}
	defer done()
	f, err := x.describePath(c.path)
	if err != nil {
		return err
	}
	p.json = output{f}
	return nil
}
