package crate

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// attempt describes one try of an instance: what ran, with what, where, and what
// became of it; and that the engine had it run for a step.
func (w *writer) attempt(unit *workflow.Unit, a *workflow.Attempt) error {
	step := unit.Step.Step
	name := unit.Ref().String()
	id := local(string(w.Run.ID) + "/" + name + "/" + strconv.Itoa(a.Number))
	w.tools[step.Uses] = true
	e := entity{
		"@id": id, "name": fmt.Sprintf("%s, attempt %d", name, a.Number), "description": describe(name, a),
		"instrument": ref{toolID(step.Uses)}, "startTime": instant(a.StartedAt),
	}
	w.agent(e)
	ending(e, a)
	if err := w.given(e, unit, a); err != nil {
		return err
	}
	if err := w.delivered(e, unit, a); err != nil {
		return err
	}
	if a.System != "" {
		e["location"] = ref{systemID(a.System)}
	}
	w.job(e, a)
	w.graph.add(e)
	if err := w.logs(unit, a.Number, id); err != nil {
		return err
	}
	w.control(step, id, fmt.Sprintf("control of %s, attempt %d", name, a.Number), a)
	return nil
}

// control says that the engine had an action run for a step.
func (w *writer) control(step *workflow.Step, action, name string, a *workflow.Attempt) {
	e := entity{
		"@id": action + "/control", "@type": "ControlAction", "name": name,
		"instrument": ref{stepID(step.ID)}, "object": ref{action},
	}
	ending(e, a)
	w.graph.add(e)
	w.actions, w.controls = append(w.actions, action), append(w.controls, action+"/control")
}

// ending says when and how an attempt ended.
func ending(e entity, a *workflow.Attempt) {
	e.set("endTime", a.EndedAt)
	switch {
	case a.End == nil:
	case a.End.State == workflow.Succeeded:
		e["actionStatus"] = completed
	default:
		e["actionStatus"] = failed
		e["error"] = failure(string(a.End.State), a.End.Cause, a.End.Message)
	}
}

const (
	completed = "http://schema.org/CompletedActionStatus"
	failed    = "http://schema.org/FailedActionStatus"
)

func failure(state string, cause workflow.Cause, message string) string {
	parts := []string{string(cause), message}
	if cause == "" {
		parts[0] = state
	}
	if message == "" {
		parts = parts[:1]
	}
	return strings.Join(parts, ": ")
}

// describe puts an attempt into a sentence.
func describe(name string, a *workflow.Attempt) string {
	text := name
	if a.System != "" {
		text += " on " + a.System
	}
	if s := a.Submission; s != nil && s.JobID != "" {
		text += ", job " + s.JobID + " (" + s.Intent.JobName + ")"
	}
	if j := a.Job; j != nil {
		text += ", last seen as " + j.State
		if !j.StartedAt.IsZero() && !j.EndedAt.IsZero() {
			text += fmt.Sprintf(", ran from %s to %s", j.StartedAt.UTC().Format(time.RFC3339), j.EndedAt.UTC().Format(time.RFC3339))
		}
	}
	if a.End == nil {
		return text
	}
	text += ": " + string(a.End.State)
	if a.End.Evidence != "" {
		text += "; " + a.End.Evidence
	}
	return text
}

// given adds what an attempt was started with.
func (w *writer) given(e entity, unit *workflow.Unit, a *workflow.Attempt) error {
	with, err := w.load(a.With)
	if err != nil {
		return err
	}
	objects := w.parameters(unit)
	if s := a.Submission; s != nil && s.Intent.Script != "" {
		text, err := w.Blobs(s.Intent.Script)
		if err != nil {
			return fmt.Errorf("its script: %w", err)
		}
		if with == nil {
			with = map[string]any{}
		}
		with["script"] = string(text) // as it was sent
	}
	spec := unit.Step.Step.Spec()
	for _, name := range names(with) {
		switch value := with[name].(type) {
		case map[string]any:
			if name == "env" {
				e.set("environment", refs(w.environment(value)))
				continue
			}
		case string:
			if name == "script" {
				id, err := w.script(unit, a.Number, spec.Name, []byte(value))
				if err != nil {
					return err
				}
				objects = append(objects, id)
				continue
			}
			field, _ := spec.Input(name)
			if f := w.inputAt(value); field.Path == workflow.LocalPath && f != nil {
				f.example(w.toolInput(spec, name, "File").id)
				objects = append(objects, f.id)
				continue
			}
		}
		kind := kindOfValue(with[name])
		if field, ok := spec.Input(name); ok && kind != structured {
			kind = kindOf(field.Type)
		}
		objects = append(objects, w.value(w.toolInput(spec, name, kind), with[name]))
	}
	e.set("object", refs(objects))
	return nil
}

// parameters adds the values that make an instance what it is.
func (w *writer) parameters(unit *workflow.Unit) []string {
	values := unit.Parameters()
	var ids []string
	for _, name := range names(values) {
		ids = append(ids, w.named("parameter", name, plain(values[name]), ""))
	}
	return ids
}

// toolInput finds or makes the parameter of a step type.
func (w *writer) toolInput(spec *workflow.StepSpec, name, kind string) *param {
	p := w.param(toolParam(spec.Name, "inputs", name), name, kind)
	field, _ := spec.Input(name)
	p.isInput, p.required, p.description = true, field.Required, field.Doc
	return p
}

// environment adds the variables that were set. Secrets have their names only.
func (w *writer) environment(variables map[string]any) []string {
	var ids []string
	for _, name := range names(variables) {
		text := plain(variables[name])
		id := local("environment/" + name + "/" + workflow.NewBlob([]byte(text)).Digest[:16])
		ids = append(ids, id)
		if w.graph.has(id) {
			continue
		}
		w.graph.add(entity{"@id": id, "@type": "PropertyValue", "name": name, "value": text})
	}
	return ids
}

// delivered adds what an attempt delivered. One that created nothing is said to
// be an activation.
func (w *writer) delivered(e entity, unit *workflow.Unit, a *workflow.Attempt) error {
	e["@type"] = "ActivateAction"
	if a.End == nil {
		return nil
	}
	outputs, err := w.load(a.End.Outputs)
	if err != nil {
		return err
	}
	spec := unit.Step.Step.Spec()
	var results []string
	file := w.copied(unit, a, outputs)
	for _, name := range names(outputs) {
		if name == "path" && file != "" {
			results = append(results, file)
			continue
		}
		results = append(results, w.value(w.toolOutput(spec, name, kindOfValue(outputs[name])), outputs[name]))
	}
	if len(results) > 0 {
		e["@type"], e["result"] = "CreateAction", oneOrMore(refs(results))
	}
	return nil
}

func (w *writer) toolOutput(spec *workflow.StepSpec, name, kind string) *param {
	p := w.param(toolParam(spec.Name, "outputs", name), name, kind)
	for _, f := range spec.Outputs {
		if f.Name == name {
			p.description = f.Doc
		}
	}
	return p
}

// copied adds the file that a step made a copy of, where its digest is known, and
// returns its id. The digest of an upload is that of the input it came from.
func (w *writer) copied(unit *workflow.Unit, a *workflow.Attempt, outputs map[string]any) string {
	where, _ := outputs["path"].(string)
	digest, _ := outputs["sha256"].(string)
	if files, ok := outputs["files"]; where == "" || digest == "" || ok && plain(files) != "1" {
		return ""
	}
	w.sourceDigest(a, outputs, digest)
	spec := unit.Step.Step.Spec()
	side, here := "on "+a.System, within(where, w.Run.Created.OutputDir)
	if unit.Imported != nil {
		side = "of run " + string(unit.Imported.Run)
	}
	if here {
		side = "in the output directory of the run"
	}
	id := local("file/" + workflow.NewBlob([]byte(side + "\n" + where + "\n" + digest)).Digest[:16])
	if w.graph.has(id) {
		return id
	}
	if here {
		w.fetched = append(w.fetched, id)
	}
	e := entity{
		"@id": id, "@type": "File", "name": path.Base(where), "alternateName": where, "description": side,
		"sha256": digest, "encodingFormat": mediaType(where), "exampleOfWork": ref{w.toolOutput(spec, "path", "File").id},
	}
	if size, ok := outputs["size_bytes"]; ok {
		e["contentSize"] = plain(size)
	}
	w.graph.add(e)
	return id
}

// sourceDigest completes an input of the run that was too large to be read at its
// creation.
func (w *writer) sourceDigest(a *workflow.Attempt, outputs map[string]any, digest string) {
	with, err := w.load(a.With)
	from, _ := with["from"].(string)
	if err != nil || from == "" {
		return
	}
	f := w.inputAt(from)
	if f != nil && f.facts.SHA256 == "" && plain(outputs["size_bytes"]) == strconv.FormatInt(f.facts.SizeBytes, 10) {
		f.facts.SHA256 = digest
	}
}

func within(p, dir string) bool {
	return dir != "" && strings.HasPrefix(p, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}
