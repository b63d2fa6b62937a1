package steps

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fcflow/fcflow/firecrest"
	"github.com/fcflow/fcflow/workflow"
)

// outputIn declares an output of a job: where to read it and how.
type outputIn struct {
	From  string `json:"from" default:"stdout" doc:"File to read: stdout, or a remote path, relative to workdir. Its last 1 MiB is read."`
	Regex string `json:"regex" doc:"Regular expression; its last match counts, of that the first group if there is one."`
	JSON  string `json:"json" doc:"Path in a JSON document, such as energy.total[0]. The file must be one document, of at most 1 MiB."`
	CSV   string `json:"csv" doc:"Column of a CSV file with a header row, which may be of any size; its last row counts."`
	Type  string `json:"type" enum:"string int float bool" default:"string" doc:"Type of the output."`
}

// maxOutputFile is how much of a file, from its end, is searched, in bytes.
const maxOutputFile = 1 << 20

var outputName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// declaredOutputs lists the outputs that the inputs of a job declare.
func declaredOutputs(with json.RawMessage) []workflow.Field {
	in := literal[struct{ Outputs map[string]outputIn }](with)
	var list []workflow.Field
	for _, name := range slices.Sorted(maps.Keys(in.Outputs)) {
		kind := workflow.Kind(in.Outputs[name].Type)
		if kind == "" {
			kind = workflow.String
		}
		list = append(list, workflow.Field{
			Name: name, Type: workflow.Type{Kind: kind}, Required: true, Doc: "Declared by the step.",
		})
	}
	return list
}

func checkJob(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
	problems := checkBatch(with, dynamic)
	in := literal[struct{ Outputs map[string]outputIn }](with)
	for _, name := range slices.Sorted(maps.Keys(in.Outputs)) {
		for _, err := range in.Outputs[name].check(name) {
			problems = append(problems, workflow.FieldProblem{Path: []string{"outputs", name}, Code: codeJobOutput, Message: err.Error()})
		}
	}
	return problems
}

func (o outputIn) check(name string) (errs []error) {
	ways := 0
	for _, way := range []string{o.Regex, o.JSON, o.CSV} {
		if way != "" {
			ways++
		}
	}
	_, reserved := findField(jobOutputs(), name)
	if reserved {
		errs = append(errs, fmt.Errorf("every job has an output %q already", name))
	} else if !outputName.MatchString(name) {
		errs = append(errs, fmt.Errorf("%q cannot be the name of an output: use lower-case letters, digits and _", name))
	}
	if ways != 1 {
		errs = append(errs, fmt.Errorf("output %q needs exactly one of `regex`, `json` and `csv`", name))
	}
	if _, err := regexp.Compile(o.Regex); err != nil {
		errs = append(errs, fmt.Errorf("output %q: %v", name, err))
	}
	if _, err := jsonPath(o.JSON); err != nil && o.JSON != "" {
		errs = append(errs, fmt.Errorf("output %q: %v", name, err))
	}
	return errs
}

func findField(list []workflow.Field, name string) (workflow.Field, bool) {
	for _, f := range list {
		if f.Name == name {
			return f, true
		}
	}
	return workflow.Field{}, false
}

// readOutputs reads what a job declares, with one request for each file, and one
// more for the header of a large table.
func (c *call) readOutputs(ctx context.Context, in jobIn, stdout, workdir string) (map[string]any, error) {
	values, texts, tables := map[string]any{}, map[string]string{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(in.Outputs)) {
		o := in.Outputs[name]
		file := stdout
		if o.From != "" && o.From != "stdout" {
			file = o.From
			if !path.IsAbs(file) {
				file = path.Join(workdir, file)
			}
		}
		text, ok := texts[file]
		if !ok {
			content, err := c.files().Tail(ctx, c.system(), file, &firecrest.PartOptions{Bytes: maxOutputFile})
			if isNotFound(err) {
				return nil, fail(workflow.CauseOutputMissing, "output %q: the job left no file %s", name, file)
			}
			if err != nil {
				return nil, err
			}
			text = content.Content
			texts[file] = text
		}
		if o.CSV != "" && isCut(text) {
			if text, ok = tables[file]; !ok {
				header, err := c.files().Head(ctx, c.system(), file, &firecrest.PartOptions{Lines: 1})
				if err != nil {
					return nil, err
				}
				text = endOfTable(header.Content, texts[file])
				tables[file] = text
			}
		}
		value, err := o.extract(text)
		if err != nil {
			return nil, fail(workflow.CauseOutputMissing, "output %q, from %s: %v", name, file, err)
		}
		values[name] = value
	}
	return values, nil
}

// isCut reports whether a text may be the end of a longer one. No file has more
// bytes than its text, in which U+FFFD stands for what is no UTF-8.
func isCut(text string) bool { return len(text) >= maxOutputFile }

// endOfTable is a table of the header of one that is cut, and its last whole rows.
func endOfTable(header, text string) string {
	_, rows, _ := strings.Cut(text, "\n")
	return strings.TrimRight(header, "\r\n") + "\n" + rows
}

// extract finds the value in a text.
func (o outputIn) extract(text string) (any, error) {
	var (
		found string
		err   error
	)
	switch {
	case o.Regex != "":
		found, err = lastMatch(o.Regex, text)
	case o.JSON != "":
		found, err = jsonValue(o.JSON, text)
	default:
		found, err = csvValue(o.CSV, text)
	}
	if err != nil {
		return nil, err
	}
	return typed(found, workflow.Kind(o.Type))
}

// typed brings a text to the type of an output.
func typed(text string, kind workflow.Kind) (any, error) {
	if kind != workflow.String && kind != "" {
		text = strings.TrimSpace(text)
	}
	switch kind {
	case workflow.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
		return n, nil
	case workflow.Float:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return f, nil
	case workflow.Bool:
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("%q is neither true nor false", text)
		}
		return text == "true", nil
	}
	return text, nil
}

func lastMatch(pattern, text string) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	matches := re.FindAllStringSubmatch(text, -1)
	if len(matches) == 0 {
		return "", fmt.Errorf("nothing matches %s", pattern)
	}
	last := matches[len(matches)-1]
	return last[min(1, len(last)-1)], nil
}

var (
	jsonPart     = regexp.MustCompile(`^([^.\[\]]*)((?:\[[0-9]+\])*)$`)
	jsonPosition = regexp.MustCompile(`[0-9]+`)
)

// jsonPath splits a path into names (string) and positions (int).
func jsonPath(p string) ([]any, error) {
	var steps []any
	for i, part := range strings.Split(p, ".") {
		m := jsonPart.FindStringSubmatch(part)
		if m == nil || m[1] == "" && (i > 0 || m[2] == "") {
			return nil, fmt.Errorf("%q is not a path such as energy.total[0]", p)
		}
		if m[1] != "" {
			steps = append(steps, m[1])
		}
		for _, digits := range jsonPosition.FindAllString(m[2], -1) {
			n, err := strconv.Atoi(digits)
			if err != nil {
				return nil, fmt.Errorf("%q: no list is that long", p)
			}
			steps = append(steps, n)
		}
	}
	return steps, nil
}

func jsonValue(p, text string) (string, error) {
	steps, err := jsonPath(p)
	if err != nil {
		return "", err
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var value any
	err = d.Decode(&value)
	if err != nil && !isCut(text) {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	var next any
	switch more := d.Decode(&next); {
	case isCut(text) && (err != nil || !errors.Is(more, io.EOF)): // what reads as a document may be a part of one
		return "", errors.New("not one JSON document in the last 1 MiB, which is all that is read; have the job write the value into a file of its own")
	case more == nil: // which of them is meant?
		return "", errors.New("more than one JSON document; have the job write the one that counts into a file of its own, or find the last value with `regex`")
	}
	for _, step := range steps {
		var ok bool
		switch step := step.(type) {
		case string:
			var object map[string]any
			object, _ = value.(map[string]any)
			value, ok = object[step]
		case int:
			list, _ := value.([]any)
			if ok = step < len(list); ok {
				value = list[step]
			}
		}
		if !ok {
			return "", fmt.Errorf("the document has no %s", p)
		}
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case json.Number:
		return string(value), nil
	case bool:
		return strconv.FormatBool(value), nil
	}
	return "", fmt.Errorf("%s is not a text, a number, true or false", p)
}

func csvValue(column, text string) (string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return "", fmt.Errorf("no header row: %w", err)
	}
	at := slices.IndexFunc(header, func(name string) bool { return strings.TrimSpace(name) == column })
	if at < 0 {
		return "", fmt.Errorf("no column %q; there are %s", column, strings.Join(header, ", "))
	}
	var last []string
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		last = row
	}
	if last == nil {
		return "", errors.New("no rows below the header")
	}
	return strings.TrimSpace(last[at]), nil
}
