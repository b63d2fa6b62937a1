package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/workflow"
)

// languagePage is the reference of the keys of workflow files: a table for each
// mapping, in the order in which they are met.
func languagePage() string {
	var b strings.Builder
	b.WriteString(generated + "# Keys of workflow files\n\nWhat may stand where; [workflows.md](workflows.md) shows how it is meant.\n")
	mappings := []*workflow.Shape{workflow.Language()}
	for i := 0; i < len(mappings); i++ {
		s := mappings[i]
		fmt.Fprintf(&b, "\n## %s\n\n| Key | Value | Meaning |\n|---|---|---|\n", s.Title)
		for _, k := range s.Keys {
			facts := valueOf(k.Shape)
			switch {
			case k.Required:
				facts += ", required"
			case k.Default != "":
				facts += ", default `" + k.Default + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.Name, tableCell.Replace(facts), tableCell.Replace(k.Doc))
			if m := mappingIn(k.Shape); m != nil && !slices.Contains(mappings, m) {
				mappings = append(mappings, m)
			}
		}
		if s.Values != nil {
			fmt.Fprintf(&b, "| any other name | %s | |\n", valueOf(s.Values))
		}
	}
	return b.String()
}

// mappingIn finds the mapping with keys of its own in a shape.
func mappingIn(s *workflow.Shape) *workflow.Shape {
	for ; s != nil && len(s.Keys) == 0; s = inner(s) {
	}
	return s
}

func inner(s *workflow.Shape) *workflow.Shape {
	if s.Kind == workflow.ListShape {
		return s.Items
	}
	return s.Values
}

// valueOf says in words what a value must be.
func valueOf(s *workflow.Shape) string {
	switch {
	case len(s.Enum) > 0:
		return "`" + strings.Join(s.Enum, "`, `") + "`"
	case s.Kind == workflow.MappingShape && len(s.Keys) > 0:
		return fmt.Sprintf("[%s](#%s)", s.Title, strings.Trim(strings.ReplaceAll(s.Title, " ", "-"), "`"))
	case s.Kind == workflow.MappingShape:
		return "by name: " + valueOf(s.Values)
	case s.Kind == workflow.ListShape && s.OrOne:
		return valueOf(s.Items) + ", or a list of them"
	case s.Kind == workflow.ListShape:
		return "list: " + valueOf(s.Items)
	case s.Kind == workflow.ForEachShape:
		return "id of a step, expression or list"
	case s.Kind == workflow.IntShape && s.Min == s.Max:
		return fmt.Sprint(s.Min)
	case s.Kind == workflow.IntShape && s.Max > 0:
		return fmt.Sprintf("%d to %d", s.Min, s.Max)
	case s.Kind == workflow.IntShape:
		return fmt.Sprintf("int from %d", s.Min)
	}
	return string(s.Kind)
}
