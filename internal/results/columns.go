package results

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fcflow/fcflow/workflow"
)

// Column is a column of a table as programs see it. What columns a table has
// follows from the definition alone.
type Column struct {
	Name string
	Unit string // of numbers, if the name does not say it
	// Brief columns are what people look at first.
	Brief bool
	// State columns hold states.
	State bool
	// Own columns are fcflow's; the others have names of the workflow or of a step
	// type.
	Own bool

	step int // 0 is that of the table; its pairs follow
	cell func(*Row) string
}

// Columns lists the columns of the table: the instance and its parameters, what
// became of it, its outputs, what it took; and the same of each step that is
// paired with it, with the id of that step and a dot before the name.
func (t *Table) Columns() []Column {
	columns := []Column{{Name: "instance", Own: true, cell: func(r *Row) string { return r.Instance }}}
	taken := reserved()
	for _, name := range t.Parameters {
		c := Column{Name: free(taken, name, "_parameter"), Brief: true, cell: func(r *Row) string { return cellText(r.Parameters[name]) }}
		columns, taken = append(columns, c), append(taken, c.Name)
	}
	for i, s := range t.sources {
		prefix := ""
		if i > 0 {
			prefix, taken = s.step.ID+".", reserved()
		}
		for _, c := range s.columns(taken) {
			c.Name, c.step = prefix+c.Name, i
			columns = append(columns, c)
		}
	}
	return columns
}

// columns are those of one step; the names of its outputs are none of those that
// are taken.
func (s *source) columns(taken []string) []Column {
	columns := outcomeColumns()
	for i := range columns {
		columns[i].Brief = columns[i].Brief && (s.root == s.step || columns[i].Name != "attempts")
	}
	columns = append(columns, s.outputColumns(taken)...)
	for _, c := range costColumns() {
		c.Brief = c.Brief && (s.root == s.step || s.job())
		columns = append(columns, c)
	}
	return columns
}

// outputColumns are those of the outputs of a step. Those of the step type choose
// their names first: they are the same whatever the workflow declares.
func (s *source) outputColumns(taken []string) []Column {
	taken = slices.Clone(taken)
	choose := func(from, to int) (columns []Column) {
		for i := from; i < to; i++ {
			if s.outputs[i].Name == "job_id" {
				continue // is there already
			}
			c := outputColumn(s.outputs[i], s.briefOutput(i))
			c.Name = free(taken, c.Name, "_output")
			columns, taken = append(columns, c), append(taken, c.Name)
		}
		return columns
	}
	own := choose(s.declared, len(s.outputs))
	return append(choose(0, s.declared), own...)
}

// reserved are the names that no parameter and no output has.
func reserved() []string {
	names := []string{"instance"}
	for _, c := range append(outcomeColumns(), costColumns()...) {
		names = append(names, c.Name)
	}
	return names
}

func free(taken []string, name, suffix string) string {
	for slices.Contains(taken, name) {
		name += suffix
	}
	return name
}

// briefOutput reports whether people want to see the output at first: those that
// the workflow declares, and of a step that declares none and has no job all.
func (s *source) briefOutput(i int) bool {
	return i < s.declared || s.declared == 0 && !s.job() && s.root == s.step
}

func outcomeColumns() []Column {
	return []Column{
		{Name: "state", Own: true, Brief: true, State: true, cell: func(r *Row) string { return string(r.State) }},
		{Name: "cause", Own: true, Brief: true, cell: func(r *Row) string { return string(r.Cause) }},
		{Name: "attempts", Own: true, Brief: true, cell: func(r *Row) string { return strconv.Itoa(r.Attempts) }},
		{Name: "job_id", Own: true, cell: func(r *Row) string { return r.JobID }},
	}
}

func costColumns() []Column {
	return []Column{
		{Name: "started_at", Own: true, cell: func(r *Row) string { return instantText(r.StartedAt) }},
		{Name: "ended_at", Own: true, cell: func(r *Row) string { return instantText(r.EndedAt) }},
		{Name: "seconds", Own: true, Brief: true, cell: func(r *Row) string { return numberText(r.Seconds, 3) }},
		{Name: "node_hours", Own: true, Brief: true, cell: func(r *Row) string { return numberText(r.NodeHours, 6) }},
	}
}

func outputColumn(f workflow.Field, brief bool) Column {
	c := Column{Name: f.Name, Unit: f.Unit, Brief: brief}
	if strings.Contains(f.Name, f.Unit) {
		c.Unit = ""
	}
	c.cell = func(r *Row) string { return cellText(r.outputs[f.Name]) }
	if f.Type.Kind == workflow.Duration {
		c.Name += "_seconds"
		c.cell = func(r *Row) string { return secondsText(r.outputs[f.Name]) }
	}
	return c
}

// cellText is a JSON value as a cell: text as it is, nothing for null.
func cellText(value json.RawMessage) string {
	switch {
	case len(value) == 0 || string(value) == "null":
		return ""
	case value[0] == '"':
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text
		}
	case value[0] == '{' || value[0] == '[':
		var b bytes.Buffer
		if json.Compact(&b, value) == nil {
			return b.String()
		}
	}
	return string(value)
}

func secondsText(value json.RawMessage) string {
	text := cellText(value)
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

func numberText(n *float64, digits int) string {
	if n == nil {
		return ""
	}
	text := strconv.FormatFloat(*n, 'f', digits, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func instantText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Cells are the values of the columns for each row.
func (t *Table) Cells(columns []Column) [][]string {
	cells := make([][]string, len(t.Rows))
	for i := range t.Rows {
		cells[i] = make([]string, len(columns))
		for j := range columns {
			cells[i][j] = columns[j].of(t, &t.Rows[i])
		}
	}
	return cells
}

// of is the cell of a row; empty if a pair has no such instance.
func (c *Column) of(t *Table, r *Row) string {
	if c.step == 0 {
		return c.cell(r)
	}
	for i := range r.Pairs {
		if r.Pairs[i].Step == t.sources[c.step].step.ID {
			return c.cell(&r.Pairs[i])
		}
	}
	return ""
}

// Sort orders the rows by a column, numbers by size; with "-" before its name in
// descending order. Rows without a value come last. It reports whether the table
// has that column.
func (t *Table) Sort(by string) bool {
	name, descending := strings.CutPrefix(by, "-")
	columns := t.Columns()
	at := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
	if at < 0 {
		at = slices.IndexFunc(columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
	}
	if at < 0 {
		return false
	}
	type keyed struct {
		row Row
		key sortKey
	}
	rows := make([]keyed, len(t.Rows))
	for i := range t.Rows {
		rows[i] = keyed{t.Rows[i], newSortKey(columns[at].of(t, &t.Rows[i]))}
	}
	slices.SortStableFunc(rows, func(a, b keyed) int { return a.key.compare(b.key, descending) })
	for i := range rows {
		t.Rows[i] = rows[i].row
	}
	return true
}

// sortKey is a cell to sort by: numbers before text.
type sortKey struct {
	text   string
	number float64
	isNum  bool
}

func newSortKey(text string) sortKey {
	n, err := strconv.ParseFloat(text, 64)
	return sortKey{text, n, err == nil}
}

func (k sortKey) compare(other sortKey, descending bool) int {
	order := 0
	switch {
	case k.text == "" || other.text == "":
		return boolOrder(k.text == "", other.text == "")
	case k.isNum != other.isNum:
		order = boolOrder(!k.isNum, !other.isNum)
	case k.isNum && k.number != other.number:
		order = cmp.Compare(k.number, other.number)
	default:
		order = strings.Compare(k.text, other.text)
	}
	if descending {
		return -order
	}
	return order
}

// boolOrder puts what is true last.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// IsNumber reports whether a cell is a number.
func IsNumber(text string) bool {
	return newSortKey(text).isNum
}
