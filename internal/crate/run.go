package crate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// Where things are explained that have no address of their own.
const (
	home = "https://github.com/fcflow/fcflow"
	docs = home + "/blob/main/docs/"
)

// term is the address of a word that docs/crate.md explains.
func term(name string) string { return docs + "crate.md#" + name }

// toolID is the address of a step type.
func toolID(uses string) string { return docs + "steps.md#" + uses }

func toolParam(uses, side, name string) string { return local(uses + "/" + side + "/" + name) }

func stepID(id string) string { return workflowName + local("steps/"+id) }

func workflowInput(name string) string { return workflowName + local("inputs/"+name) }

func workflowOutput(name string) string { return workflowName + local("outputs/"+name) }

// prospective describes what was to be done: the workflow, its steps, the step
// types.
func (w *writer) prospective() {
	flow := w.Run.Workflow
	e := entity{
		"@id": workflowName, "@type": []string{"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"},
		"name": flow.Name, "url": workflowName, "version": w.Run.Created.Definition, "sha256": w.Run.Created.Definition,
		"encodingFormat": "application/yaml", "contentSize": strconv.Itoa(len(w.Definition)),
		"programmingLanguage": ref{docs + "workflows.md"},
	}
	e.set("description", flow.Description)
	var ins, outs, steps, tools []string
	for _, in := range flow.Inputs {
		ins = append(ins, workflowInput(in.Name))
	}
	for _, out := range flow.Outputs {
		outs = append(outs, workflowOutput(out.Name))
	}
	for _, step := range w.steps {
		id := stepID(step.ID)
		steps = append(steps, id)
		howTo := entity{"@id": id, "@type": "HowToStep", "name": step.ID, "position": strconv.Itoa(step.Index), "workExample": ref{toolID(step.Uses)}}
		howTo.set("description", step.Name)
		w.graph.add(howTo)
		if !slices.Contains(tools, step.Uses) {
			tools = append(tools, step.Uses)
			w.tool(step)
		}
	}
	// A tool of the workflow is one that an action has run.
	ran := slices.DeleteFunc(slices.Clone(tools), func(uses string) bool { return !w.tools[uses] })
	for i, uses := range ran {
		ran[i] = toolID(uses)
	}
	e.set("input", refs(ins))
	e.set("output", refs(outs))
	e.set("step", refs(steps))
	e.set("hasPart", refs(ran))
	w.graph.lead(e)
	w.graph.lead(entity{
		"@id": docs + "workflows.md", "@type": "ComputerLanguage", "name": "fcflow workflow", "url": docs + "workflows.md", "version": "1",
	})
}

// tool describes the step type of a step.
func (w *writer) tool(step *workflow.Step) {
	spec := step.Spec()
	e := entity{"@id": toolID(step.Uses), "@type": "SoftwareApplication", "name": step.Uses, "url": toolID(step.Uses), "description": spec.Summary}
	e.set("softwareVersion", w.Versions)
	for member, side := range map[string]string{"input": "inputs", "output": "outputs"} {
		var ids []string
		for _, p := range w.order {
			if strings.HasPrefix(p.id, local(step.Uses+"/"+side+"/")) {
				ids = append(ids, p.id)
			}
		}
		e.set(member, refs(ids))
	}
	w.graph.add(e)
}

// run describes the execution of the whole.
func (w *writer) run() error {
	r := w.Run
	e := entity{
		"@id": w.runID(), "@type": "ActivateAction", "name": fmt.Sprintf("run %s of %s", r.ID, r.Workflow.Name), "description": w.summary(),
		"identifier": string(r.ID), "instrument": ref{workflowName},
	}
	w.agent(e)
	e.set("startTime", r.StartedAt)
	e.set("endTime", r.EndedAt)
	w.status(e)
	objects, err := w.runInputs()
	if err != nil {
		return err
	}
	e.set("object", refs(objects))
	results, err := w.runOutputs()
	if err != nil {
		return err
	}
	if results = append(results, w.fetched...); len(results) > 0 {
		e["@type"], e["result"] = "CreateAction", oneOrMore(refs(results))
	}
	w.graph.lead(e)
	return nil
}

func (w *writer) runID() string { return local(string(w.Run.ID)) }

func (w *writer) status(e entity) {
	if w.Run.State == workflow.RunSucceeded {
		e["actionStatus"] = completed
		return
	}
	e["actionStatus"], e["error"] = failed, failure(string(w.Run.State), w.Run.Cause, w.Run.Message)
}

func (w *writer) summary() string {
	text := "run by fcflow: " + string(w.Run.State)
	units := w.Run.Summarize().Units
	for _, state := range []workflow.State{workflow.Succeeded, workflow.Failed, workflow.Skipped, workflow.Cancelled} {
		if n := units[state]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, state)
		}
	}
	return text
}

func (w *writer) runInputs() (ids []string, err error) {
	for _, in := range w.Run.Workflow.Inputs {
		text := w.Run.Created.Inputs[in.Name]
		object, err := decodeObject([]byte(`{"value":` + string(text) + `}`))
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		kind, files := kindOf(in.Type), fileNames(in, text)
		if len(files) > 0 {
			kind = "File"
		}
		p := w.param(workflowInput(in.Name), in.Name, kind)
		p.isInput, p.required, p.description = true, in.Default == nil, in.Description
		if len(files) == 0 {
			ids = append(ids, w.value(p, object["value"]))
		}
	}
	for _, f := range w.inputs {
		ids = append(ids, f.id)
	}
	return ids, nil
}

func (w *writer) runOutputs() (ids []string, err error) {
	values, err := w.load(w.Run.Outputs)
	if err != nil {
		return nil, err
	}
	for _, out := range w.Run.Workflow.Outputs {
		kind := structured
		if values[out.Name] != nil {
			kind = kindOfValue(values[out.Name])
		}
		p := w.param(workflowOutput(out.Name), out.Name, kind)
		if values[out.Name] != nil {
			ids = append(ids, w.value(p, values[out.Name]))
		}
	}
	return ids, nil
}
