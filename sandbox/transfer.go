package sandbox

import (
	"encoding/json"
	"fmt"
	"html"
	"path"
	"strings"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// A transfer is answered with a job of the batch system that does the work, and
// whose logs tell how it went. On the reference server it is a shell script;
// here it is a builtin, and the script is only there to be seen.

// transferReply is the answer to every transfer.
type transferReply struct {
	Job        transferJobReply `json:"transferJob"`
	Directives any              `json:"transferDirectives,omitempty"` // of upload and download
}

type transferJobReply struct {
	ID               string       `json:"jobId"`
	System           string       `json:"system"`
	WorkingDirectory string       `json:"workingDirectory"`
	Logs             transferLogs `json:"logs"`
}

type transferLogs struct {
	Output string `json:"outputLog"`
	Error  string `json:"errorLog"`
}

// order is what a transfer wants of its job, kept with it. Paths are as they
// stand in the script.
type order struct {
	Source      string    `json:"source,omitempty"`
	Target      string    `json:"target,omitempty"`
	Dereference bool      `json:"dereference,omitempty"`
	Pattern     string    `json:"pattern,omitempty"`
	Compression string    `json:"compression,omitempty"`
	Staged      *staged   `json:"staged,omitempty"` // by method s3
	Stream      *streamer `json:"stream,omitempty"` // by method streamer
	Code        string    `json:"code,omitempty"`   // by method wormhole
}

// pasted is a value as it gets into the script of a job: the reference server
// escapes it for HTML, which spoils every path with one of & < > " '.
func pasted(value string) string { return html.EscapeString(value) }

func (s *Server) postMv(c *call) (reply, error) {
	body := c.object()
	o := order{Source: pasted(c.path), Target: pasted(body.required("targetPath", "target_path"))}
	return s.fileTransfer(c, 201, "mv", body, o)
}

func (s *Server) postCp(c *call) (reply, error) {
	body := c.object()
	o := order{
		Source: pasted(c.path), Target: pasted(body.required("targetPath", "target_path")),
		Dereference: body.boolean("dereference"),
	}
	return s.fileTransfer(c, 201, "cp", body, o)
}

func (s *Server) deleteTransferRm(c *call) (reply, error) {
	return s.begin(c, 200, "rm", c.r.URL.Query().Get("account"), order{Source: pasted(c.path)}, nil)
}

func (s *Server) postTransferCompress(c *call) (reply, error) {
	body := c.object()
	o := order{
		Source: pasted(c.path), Target: pasted(body.required("targetPath", "target_path")),
		Pattern: pasted(body.nullable("matchPattern", "match_pattern")), Dereference: body.boolean("dereference"),
		Compression: compression(body),
	}
	return s.fileTransfer(c, 201, "compress", body, o)
}

func (s *Server) postTransferExtract(c *call) (reply, error) {
	body := c.object()
	o := order{
		Source: pasted(c.path), Target: pasted(body.required("targetPath", "target_path")),
		Compression: compression(body),
	}
	return s.fileTransfer(c, 201, "extract", body, o)
}

// fileTransfer begins the job of a body that has been read but for the account.
func (s *Server) fileTransfer(c *call, status int, kind string, body object, o order) (reply, error) {
	account := body.nullable("account")
	if err := body.err(); err != nil {
		return reply{}, err
	}
	return s.begin(c, status, kind, account, o, nil)
}

// begin submits the job of a transfer and answers with it and directives.
func (s *Server) begin(c *call, status int, kind, account string, o order, directives any) (reply, error) {
	u, err := s.loginUser(c)
	if err != nil {
		return reply{}, err
	}
	header, err := jobHeader(c.site.TransferDirectives, account)
	if err != nil {
		return reply{}, err
	}
	args, err := json.Marshal(o)
	if err != nil {
		return reply{}, fmt.Errorf("encode order: %w", err)
	}
	k, home, id := transferKinds[kind], s.volumes.home(u.name), newUUID()
	job := transferJobReply{
		System: c.system, WorkingDirectory: home,
		Logs: transferLogs{
			Output: path.Join(home, ".f7t_file_handling_job_"+id+".log"),
			Error:  path.Join(home, ".f7t_file_handling_job_error_"+id+".log"),
		},
	}
	job.ID, err = s.submit(c, batch.Spec{
		System: c.system, User: u.name, Name: k.name, WorkingDir: home,
		Stdout: job.Logs.Output, Stderr: job.Logs.Error,
		Script:  header + "\n" + fmt.Sprintf("echo \"$(date) %s (id:${SLURM_JOB_ID})\"\n", k.title) + k.script(o),
		Env:     map[string]string{"PATH": "/bin:/usr/bin/:/usr/local/bin/"},
		Builtin: &batch.BuiltinCall{Name: kind, Args: args},
	})
	if err != nil {
		return reply{}, err
	}
	return jsonReply(status, transferReply{job, directives}), nil
}

// jobHeader is the top of a transfer's script: the directives of the site. One
// of them may have a place for the account, which then has to be given; else
// the account is of no use.
func jobHeader(directives []string, account string) (string, error) {
	lines := []string{"#!/bin/bash"}
	for _, line := range directives {
		if strings.Contains(line, accountPlace) && account == "" {
			return "", fail(400, "Account parameter is required on this system.")
		}
		lines = append(lines, strings.ReplaceAll(line, accountPlace, account))
	}
	return strings.Join(lines, "\n") + "\n", nil
}

const accountPlace = "{account}"

// newUUID is a random UUID of version 4.
func newUUID() string {
	id := newID()
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}
