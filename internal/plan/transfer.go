package plan

import (
	"fmt"
	"path/filepath"

	"github.com/fcflow/fcflow/workflow"
)

// Transfer is a file that a step moves between here and a system.
type Transfer struct {
	Direction string `json:"direction"` // upload or download
	// Asked is the method that the step asks for; empty and auto leave the choice
	// to the size.
	Asked string `json:"asked,omitempty"`
	// Method is how it would go: direct, the system's method for larger files, or
	// empty where that cannot be told before the run.
	Method string `json:"method,omitempty"`

	source *Source
}

const (
	upload   = "upload"
	download = "download"

	auto   = "auto"
	direct = "direct"
)

// groupTransfers is the group of the step types that move files.
const groupTransfers = "transfers"

// transferOf is the transfer of a step whose inputs name a path on each side.
func transferOf(r *reader) *Transfer {
	spec := r.step.Spec()
	if spec.Group != groupTransfers || !spec.Remote {
		return nil
	}
	local, remote := false, false
	for _, f := range spec.Inputs {
		local = local || f.Path == workflow.LocalPath
		remote = remote || f.Path == workflow.RemotePath && !f.FromDefaults
	}
	if !local || !remote {
		return nil
	}
	t := &Transfer{Direction: download}
	for _, f := range spec.Inputs {
		if f.Source && f.Path == workflow.LocalPath {
			t.Direction = upload
		}
	}
	t.Asked, _ = r.text("method")
	if len(r.out.Reads) > 0 {
		t.source = r.out.Reads[0]
	}
	return t
}

// seeTransfer chooses the method by size, as the step will.
func (p *Plan) seeTransfer(s *Step, site *Site) {
	t := s.Transfer
	if t == nil {
		return
	}
	chosen := t.Asked != "" && t.Asked != auto
	switch {
	case chosen && t.Asked != direct && site.TransferTold && t.Asked != site.Transfer:
		p.add(s, "method", Finding{
			Severity: Error, Code: MethodMissing,
			Message: fmt.Sprintf("%s moves large files by %s, not by %s", site.Name, orNone(site.Transfer), t.Asked),
		})
		return
	case chosen && t.Asked != direct:
		t.Method = t.Asked
		p.seeStaged(s, site)
		return
	case t.source == nil || t.source.Seen == nil || !t.source.Seen.Exists || t.source.Seen.Dir:
		if chosen {
			t.Method = t.Asked
		}
		return // a directory goes as an archive, whose size nobody knows
	}
	limit, size := site.MaxUpload, t.source.Seen.SizeBytes
	if t.Direction == download {
		limit = site.MaxDownload
	}
	switch {
	case size <= limit:
		t.Method = direct
	case chosen:
		p.add(s, "method", Finding{
			Severity: Error, Code: TooLarge,
			Message: fmt.Sprintf("%s has %d bytes; %s takes at most %d directly", filepath.Base(t.source.Path), size, site.Name, limit),
		})
	case site.Transfer == "" && site.TransferTold:
		p.add(s, t.source.Input, Finding{
			Severity: Error, Code: TooLarge,
			Message: fmt.Sprintf("%s has %d bytes; %s takes at most %d directly and has no way for larger files",
				filepath.Base(t.source.Path), size, site.Name, limit),
		})
	default:
		t.Method = site.Transfer
		p.seeStaged(s, site)
	}
}

// seeStaged judges a transfer that needs a job of its own.
func (p *Plan) seeStaged(s *Step, site *Site) {
	if !site.AccountRequired {
		return
	}
	if account := s.account; account.text == "" && account.known {
		p.add(s, "account", Finding{
			Severity: Error, Code: AccountRequired,
			Message: fmt.Sprintf("jobs that move files on %s need an account", site.Name),
			Hint:    "set account in the step, in `defaults` or in the profile",
		})
	}
}

func orNone(method string) string {
	if method == "" {
		return "nothing"
	}
	return method
}
