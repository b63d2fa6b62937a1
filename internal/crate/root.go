package crate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// engine describes what drove the run.
func (w *writer) engine() {
	e := entity{"@id": home, "@type": "SoftwareApplication", "name": "fcflow", "url": home}
	e.set("softwareVersion", w.Versions)
	e.set("softwareRequirements", refs(w.services()))
	w.graph.add(e)
	if len(w.controls) == 0 {
		return // it had nothing to organize
	}
	action := entity{
		"@id": w.runID() + "/engine", "@type": "OrganizeAction", "name": "fcflow, for run " + string(w.Run.ID),
		"instrument": ref{home}, "object": oneOrMore(refs(w.controls)), "result": ref{w.runID()},
	}
	w.agent(action)
	action.set("startTime", w.Run.StartedAt)
	action.set("endTime", w.Run.EndedAt)
	w.status(action)
	w.graph.add(action)
}

// schedulers are the batch systems that servers know, with their addresses.
var schedulers = map[string]struct{ name, url string }{
	"slurm": {"Slurm", "https://slurm.schedmd.com/"},
	"pbs":   {"PBS", "https://www.openpbs.org/"},
}

const firecrest = "https://github.com/eth-cscs/firecrest-v2"

// services describes the server and the schedulers that the run worked with.
func (w *writer) services() []string {
	versions := map[string][]string{}
	var ids []string
	note := func(id, version string) {
		if _, known := versions[id]; !known {
			ids = append(ids, id)
			versions[id] = nil
		}
		if version != "" && !slices.Contains(versions[id], version) {
			versions[id] = append(versions[id], version)
		}
	}
	names := map[string]string{firecrest: "FirecREST"}
	for _, site := range w.sorted() {
		note(firecrest, site.Version)
		if s, ok := schedulers[strings.ToLower(site.Scheduler)]; ok {
			names[s.url] = s.name
			note(s.url, site.SchedulerVersion)
		}
	}
	for _, id := range ids {
		e := entity{"@id": id, "@type": "SoftwareApplication", "name": names[id], "url": id}
		e.set("softwareVersion", versions[id])
		w.graph.add(e)
	}
	return ids
}

func (w *writer) sorted() []workflow.RunBound {
	var list []workflow.RunBound
	for _, system := range slices.Sorted(maps.Keys(w.Run.Sites)) {
		list = append(list, w.Run.Sites[system])
	}
	return list
}

func systemID(name string) string { return local("system/" + name) }

// sites describes the systems that attempts ran on.
func (w *writer) sites() {
	for _, site := range w.sorted() {
		var facts []string
		for _, f := range [][2]string{
			{"user", site.User},
			{"remote_dir", site.RemoteDir},
			{"scheduler", site.Scheduler},
			{"scheduler_version", site.SchedulerVersion},
			{"firecrest_version", site.Version},
			{"firecrest_url", w.Run.Created.Profile.URL},
		} {
			if f[1] != "" {
				facts = append(facts, w.property(f[0], f[1], ""))
			}
		}
		e := entity{"@id": systemID(site.System), "@type": "Place", "name": site.System}
		e.set("additionalProperty", refs(facts))
		w.graph.add(e)
	}
}

// agent says who had an action done.
func (w *writer) agent(e entity) {
	if by := w.Run.Created.By; by != "" {
		e["agent"] = ref{local("person/" + by)}
	}
}

var profiles = []struct{ id, name, version string }{
	{"https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"},
	{"https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"},
	{"https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"},
	{"https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"},
}

// root describes the crate itself. A run in which nothing ran has no provenance
// of its steps, and does not claim that profile.
func (w *writer) root() {
	claimed := profiles
	if len(w.actions) == 0 {
		claimed = claimed[:3]
	}
	var conforms []string
	for _, p := range claimed {
		conforms = append(conforms, p.id)
		w.graph.add(entity{"@id": p.id, "@type": "CreativeWork", "name": p.name, "version": p.version})
	}
	license := w.license()
	e := entity{
		"@id": "./", "@type": "Dataset", "name": "Run " + string(w.Run.ID) + " of " + w.Run.Workflow.Name,
		"description":   "A run of the workflow " + w.Run.Workflow.Name + " as fcflow recorded it: " + string(w.Run.State) + ".",
		"datePublished": instant(w.Run.EndedAt), "license": ref{license}, "mainEntity": ref{workflowName},
		"conformsTo": oneOrMore(refs(conforms)), "hasPart": oneOrMore(refs(w.files)),
		"mentions": oneOrMore(refs(append([]string{w.runID()}, w.actions...))),
	}
	if by := w.Run.Created.By; by != "" {
		id := local("person/" + by)
		name, _, _ := strings.Cut(by, "@")
		e["author"] = ref{id}
		w.graph.add(entity{"@id": id, "@type": "Person", "name": name, "description": by})
	}
	head := w.graph.head.String()
	w.graph.head.Reset()
	w.graph.lead(entity{
		"@id": metadataName, "@type": "CreativeWork", "about": ref{"./"},
		"conformsTo": []ref{{"https://w3id.org/ro/crate/1.1"}, {"https://w3id.org/workflowhub/workflow-ro-crate/1.0"}},
	})
	w.graph.lead(e)
	w.graph.head.WriteString(head)
}

const readmeName = "README.md"

// readme puts a page for people into the crate.
func (w *writer) readme() error {
	r := w.Run
	var b strings.Builder
	fmt.Fprintf(&b, "# Run %s of %s\n\n", r.ID, r.Workflow.Name)
	if r.Workflow.Description != "" {
		fmt.Fprintf(&b, "%s\n\n", r.Workflow.Description)
	}
	fmt.Fprintf(&b, "From %s to %s: %s.\n\n", instant(r.StartedAt), instant(r.EndedAt), r.State)
	b.WriteString("This folder is a [Workflow Run RO-Crate](https://www.researchobject.org/workflow-run-crate/), written by\n")
	fmt.Fprintf(&b, "[fcflow](%s). Programs read `%s`, which describes every step that ran.\n\n", home, metadataName)
	fmt.Fprintf(&b, "- `%s` is the workflow as it was executed.\n", workflowName)
	for _, dir := range []struct{ name, holds string }{
		{"scripts", "holds the scripts as they ran."},
		{"inputs", "holds the files that the run was given."},
		{"logs", "holds what steps and jobs printed."},
	} {
		if slices.ContainsFunc(w.files, func(f string) bool { return strings.HasPrefix(f, dir.name+"/") }) {
			fmt.Fprintf(&b, "- `%s/` %s\n", dir.name, dir.holds)
		}
	}
	text := b.String()
	w.files = append(w.files, readmeName)
	w.graph.add(entity{
		"@id": readmeName, "@type": "File", "name": readmeName, "about": ref{"./"}, "encodingFormat": "text/markdown",
		"contentSize": strconv.Itoa(len(text)), "sha256": workflow.NewBlob([]byte(text)).Digest,
	})
	return w.put(readmeName, strings.NewReader(text))
}

// license describes the license of the crate and returns its id.
func (w *writer) license() string {
	if w.License == "" {
		id := "#no-license"
		w.graph.add(entity{
			"@id": id, "@type": "CreativeWork", "name": "no license stated",
			"description": "Whoever exported this run stated no license: ask them before you use it.",
		})
		return id
	}
	id := w.License
	if !strings.Contains(id, "://") {
		id = "https://spdx.org/licenses/" + id
	}
	w.graph.add(entity{"@id": id, "@type": "CreativeWork", "name": w.License, "description": "The license of this crate."})
	return id
}
