package crate

import (
	"strconv"

	"github.com/fcflow/fcflow/workflow"
)

// job adds which job an attempt was and what it used.
func (w *writer) job(e entity, a *workflow.Attempt) {
	job := a.Job
	if s := a.Submission; s != nil && s.JobID != "" {
		e["identifier"] = ref{w.jobID(a.System, s.JobID)}
	} else if job != nil && job.JobID != "" {
		e["identifier"] = ref{w.jobID(a.System, job.JobID)}
	}
	if job == nil {
		return
	}
	var usage []string
	if job.ElapsedMS > 0 {
		seconds := strconv.FormatFloat(float64(job.ElapsedMS)/1000, 'f', -1, 64)
		usage = append(usage, w.property("elapsed", seconds, "SEC"))
	}
	if job.Nodes > 0 {
		usage = append(usage, w.property("nodes", strconv.Itoa(job.Nodes), "C62"))
	}
	if job.ExitCode != nil {
		usage = append(usage, w.property("exit_code", strconv.Itoa(*job.ExitCode), "C62"))
	}
	e.set("resourceUsage", refs(usage))
}

func (w *writer) jobID(system, id string) string {
	entityID := local("job/" + system + "/" + id)
	if !w.graph.has(entityID) {
		w.graph.add(entity{"@id": entityID, "@type": "PropertyValue", "name": "job id on " + system, "propertyID": term("job_id"), "value": id})
	}
	return entityID
}

// property adds a value of a term that docs/crate.md explains, with the code of its
// unit, once for all who share it.
func (w *writer) property(name, value, unit string) string {
	return w.named(name, name, value, unit)
}

// named is property for a value that has a name beside its term.
func (w *writer) named(kind, name, value, unit string) string {
	id := "property/" + kind
	if name != kind {
		id += "/" + name
	}
	if len(value) <= longest {
		id = local(id + "/" + value)
	} else {
		id = local(id + "/" + workflow.NewBlob([]byte(value)).Digest[:16])
	}
	if w.graph.has(id) {
		return id
	}
	e := entity{"@id": id, "@type": "PropertyValue", "name": name, "propertyID": term(kind), "value": value}
	e.set("unitCode", unit)
	w.graph.add(e)
	return id
}
