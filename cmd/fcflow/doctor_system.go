package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/internal/console"
)

// patient is one system under examination.
type patient struct {
	*doctor
	system *firecrest.System
	name   string
	user   *firecrest.UserInfo
}

// examineSystem checks one system. Files are tried whatever its health is said
// to be: probes are minutes old.
func (d *doctor) examineSystem(ctx context.Context, system *firecrest.System) {
	p := &patient{doctor: d, system: system, name: system.Name}
	d.check(ctx, "health", p.name, p.health)
	known := d.check(ctx, "user", p.name, p.whoami)
	d.check(ctx, "jobs", p.name, p.jobs)
	d.check(ctx, "limits", p.name, p.limits)
	if !known && d.settings.Text("remote_root") == "" {
		for _, name := range []string{"files", "claim"} {
			d.skip(name, p.name, "without a user there is no directory")
		}
		return
	}
	p.tryFiles(ctx)
}

// health reads what the last probes found.
func (p *patient) health(context.Context) (string, error) {
	shown := describeSystem(p.system, "")
	var well, ill []string
	for _, h := range shown.Health {
		if h.Healthy {
			well = append(well, h.name())
			continue
		}
		text := h.name()
		if h.Message != "" {
			text += " (" + h.Message + ")"
		}
		ill = append(ill, text)
	}
	switch {
	case len(ill) > 0:
		return "", withHint(fmt.Errorf("%w: %s; healthy: %s", firecrest.ErrUnavailable, strings.Join(ill, ", "), joinNames(well)),
			"runs wait until it is back; the site's status page may say when")
	case len(well) == 0:
		return "the service does not probe it", nil
	}
	return joinNames(well), nil
}

func (p *patient) whoami(ctx context.Context) (string, error) {
	user, err := p.client.Status.UserInfo(ctx, p.name)
	if err != nil {
		return "", withHint(err, "the service logs in to %s as you for this: is your account there active?", p.name)
	}
	p.user = user
	shown := describeUser(user)
	text := fmt.Sprintf("%s, group %s, accounts %s", shown.Name, shown.Group, shown.accounts())
	account := p.settings.Text("account")
	if account == "" && p.system.NeedsAccount() {
		return text, withHint(doubtf("none is set, and moving large files needs one here"), "set account in the profile or in the workflow")
	}
	for _, known := range user.Accounts {
		if known.Name == account {
			account = ""
		}
	}
	if account != "" && len(user.Accounts) > 0 {
		return text, withHint(doubtf("account %q of the settings (%s) is none of them", account, p.settings.Value("account").Source),
			"correct account, or ask for it")
	}
	return text, nil
}

// jobs asks for the list that runs follow their jobs by.
func (p *patient) jobs(ctx context.Context) (string, error) {
	jobs, err := p.client.Compute.List(ctx, p.name, nil)
	if err != nil {
		return "", withHint(err, "without the list of jobs runs look for each job by its id")
	}
	return fmt.Sprintf("%s listed; lists go back %s", count(len(jobs), "job"), listWindow(p.client.ServerVersion())), nil
}

// listWindow is how far back a release lists jobs.
func listWindow(version string) string {
	switch {
	case atLeast(version, "2.5.7"):
		return "as far as a run asks"
	case atLeast(version, "2.4.1"):
		return "7 days"
	case atLeast(version, "2.1.0"):
		return "to midnight"
	}
	return "as far as the server likes"
}

// limits repeats what the service says of itself.
func (p *patient) limits(context.Context) (string, error) {
	shown := describeSystem(p.system, p.client.ServerVersion())
	text := fmt.Sprintf("files directly up to %s there and %s back; larger: %s",
		console.Bytes(shown.MaxUploadBytes), console.Bytes(shown.MaxDownloadBytes), shown.larger())
	if shown.CommandTimeout != "" {
		text += "; a command has " + shown.CommandTimeout
	}
	return text, nil
}

// root is where runs keep their files on the system.
func (p *patient) root() (string, error) {
	if root := p.settings.Text("remote_root"); root != "" {
		return path.Clean(root), firecrest.CheckPath(root)
	}
	if p.system.WorkDir() == "" {
		return "", withHint(errors.New("the service does not say where users work"), "set remote_root in the profile")
	}
	return path.Join(p.system.WorkDir(), p.user.User.Name, "fcflow"), nil
}
