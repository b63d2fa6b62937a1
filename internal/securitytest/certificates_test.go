package securitytest

import (
	"encoding/pem"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/sandbox"
)

// TestCertificates: a server must prove who it is, to the authorities of the
// system or those of the profile. Leaving that out takes two words in two places,
// is said each time, and stays in the record of the run.
func TestCertificates(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	service, err := sandbox.Open(sandbox.Config{Root: filepath.Join(l.dir, "sandbox"), Systems: []string{"sandbox"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	server := httptest.NewTLSServer(service.Handler())
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	l.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	credentials := service.Credentials()
	l.environment = []string{
		"FIRECREST_URL=" + server.URL, "AUTH_TOKEN_URL=" + server.URL + credentials.TokenPath, "FIRECREST_SYSTEM=sandbox",
		"FIRECREST_CLIENT_ID=" + credentials.ClientID, "FIRECREST_CLIENT_SECRET=" + credentials.ClientSecret, "FCFLOW_PATIENCE=1s",
	}
	l.write("work/w.yaml", "version: 1\nname: tls\nsteps:\n  - { id: look, uses: list_files, with: { path: . } }\n")
	const insecure = "certificates are not verified"
	said := func(p *process, text string) bool { return strings.Contains(p.output("out")+p.output("err"), text) }
	run := func(variables []string, args ...string) *process {
		p := l.start(variables, args...)
		p.wait()
		return p
	}

	if p := run(nil, "run", "w.yaml"); p.exit() == 0 || !said(p, "certificate") {
		t.Errorf("a certificate that nobody trusts was accepted: exit %d", p.exit())
	}
	if p := run([]string{"FCFLOW_CA_BUNDLE=" + l.path("ca.pem")}, "run", "w.yaml"); p.exit() != 0 || said(p, insecure) {
		t.Errorf("with the authority of the profile: exit %d", p.exit())
	}
	if shown := l.run(0, "runs", "show", "last"); strings.Contains(shown, "not verified") {
		t.Errorf("%s", shown)
	}
	// The variable alone changes nothing.
	if p := run([]string{"FCFLOW_INSECURE=1"}, "run", "w.yaml"); p.exit() == 0 || said(p, insecure) {
		t.Errorf("with FCFLOW_INSECURE alone: exit %d", p.exit())
	}
	interrupted := run([]string{"FCFLOW_CA_BUNDLE=" + l.path("ca.pem"), "FCFLOW_CRASH_AT=attempt.started:1"}, "run", "w.yaml")
	if interrupted.exit() != -1 {
		t.Fatalf("exit %d, not killed", interrupted.exit())
	}

	l.write("home/.config/fcflow/config.yaml", "profile: here\nprofiles: { here: { verify: false } }\n")
	// Nor does the setting alone.
	if p := run(nil, "run", "w.yaml"); p.exit() != 2 || !said(p, "FCFLOW_INSECURE=1") || !said(p, "ca_bundle") {
		t.Errorf("with verify: false alone: exit %d", p.exit())
	}
	// A run that began with verified certificates does not go on without.
	if p := run([]string{"FCFLOW_INSECURE=1"}, "resume", "last"); p.exit() != 6 || !said(p, "began with verified certificates") {
		t.Errorf("a run goes on without verification: exit %d", p.exit())
	}
	for _, args := range [][]string{{"run", "w.yaml"}, {"doctor"}, {"systems", "list"}} {
		if p := run([]string{"FCFLOW_INSECURE=1"}, args...); p.exit() != 0 || !said(p, insecure) {
			t.Errorf("%q with both: exit %d, said %v", args, p.exit(), said(p, insecure))
		}
	}
	if shown := l.run(0, "runs", "show", "last"); !strings.Contains(shown, "certificates not verified") {
		t.Errorf("the record does not say it:\n%s", shown)
	}
	if record := l.run(0, "runs", "events", "last", "--output", "json"); !strings.Contains(record, `"insecure":true`) {
		t.Errorf("the record does not say it:\n%s", record)
	}
}
