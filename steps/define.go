package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// stepType is a step type before it is bound to a client.
type stepType struct {
	workflow.StepSpec
	run func(ctx context.Context, c *call, with any) engine.Outcome
}

// define completes a specification with what the structs of inputs and outputs
// say. A nil run makes a type that can be written and checked, not executed.
func define[In, Out any](spec workflow.StepSpec, run func(ctx context.Context, c *call, in In) engine.Outcome) stepType {
	spec.Inputs = fields(reflect.TypeFor[In]())
	spec.Outputs = fields(reflect.TypeFor[Out]())
	for i := range spec.Outputs {
		spec.Outputs[i].Required = true // every output is delivered, if only empty
	}
	spec.Version = max(spec.Version, 1)
	defaults := defaultsOf(spec.Inputs)
	spec.Decode = func(raw json.RawMessage) (any, error) { return decode[In](raw, defaults) }
	t := stepType{StepSpec: spec}
	if run != nil {
		t.run = func(ctx context.Context, c *call, with any) engine.Outcome { return run(ctx, c, with.(In)) }
	}
	return t
}

// operation turns a function that works by itself, without waiting, into one
// that says how its error ends the attempt.
func operation[In, Out any](f func(context.Context, *call, In) (Out, error)) func(context.Context, *call, In) engine.Outcome {
	return atOnce(f, (*call).failed)
}

func atOnce[In, Out any](f func(context.Context, *call, In) (Out, error), failed func(*call, context.Context, error) engine.Outcome) func(context.Context, *call, In) engine.Outcome {
	return func(ctx context.Context, c *call, in In) engine.Outcome {
		if c.Stopping() {
			return engine.Ended("nothing of the step was under way")
		}
		out, err := f(ctx, c, in)
		if err != nil {
			return failed(c, ctx, err)
		}
		return engine.Success(out)
	}
}

// decode reads inputs, over the defaults, and refuses keys it does not know.
func decode[In any](raw, defaults json.RawMessage) (any, error) {
	var in In
	if err := json.Unmarshal(defaults, &in); err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	if len(raw) == 0 {
		return in, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("with: %w", err)
	}
	return in, nil
}

// defaultsOf is an object of the defaults of fields, those of members included.
func defaultsOf(fields []workflow.Field) json.RawMessage {
	object := map[string]json.RawMessage{}
	for _, f := range fields {
		switch {
		case f.Default != nil:
			object[f.Name] = f.Default
		case f.Type.Kind == workflow.Object:
			object[f.Name] = defaultsOf(f.Type.Fields)
		}
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err) // the defaults are JSON
	}
	return text
}

// literal reads the literal part of `with` for CheckWith. What holds an
// expression is missing there, and what does not fit is reported by the checker
// itself.
func literal[In any](with json.RawMessage) In {
	var in In
	_ = json.Unmarshal(with, &in)
	return in
}
