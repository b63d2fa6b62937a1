package batch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ArrayTask says which part of a job array a job is. All parts are jobs of
// their own; they are accepted together or not at all.
type ArrayTask struct {
	Job  string `json:"job"`  // the id of the array, which is that of its last part too
	Task int    `json:"task"` // the index of this part
	// Count, Min, Max and Step describe all indices.
	Count int `json:"count"`
	Min   int `json:"min"`
	Max   int `json:"max"`
	Step  int `json:"step"`
	// Limit is how many parts may run at once; 0 for any number.
	Limit int `json:"limit,omitempty"`
}

// Label is the id of a job as people write it: N_k for a part of an array.
func (j Job) Label() string {
	if j.Array == nil {
		return j.ID
	}
	return j.Array.Job + "_" + strconv.Itoa(j.Array.Task)
}

// inTurn orders records the way they were accepted, parts of an array by index.
func inTurn(a, b *record) int {
	return cmp.Or(cmp.Compare(a.turn(), b.turn()), cmp.Compare(a.index(), b.index()))
}

func (r *record) turn() uint64 {
	if r.Array == nil {
		return r.number()
	}
	n, _ := strconv.ParseUint(r.Array.Job, 10, 64) // made by split
	return n
}

func (r *record) index() int {
	if r.Array == nil {
		return 0
	}
	return r.Array.Task
}

// maxArrayIndex is the MaxArraySize of Slurm, which no index may reach.
const maxArrayIndex = 1001

// arraySpec is the value of --array: 0-9:2%3, or 1,3,5-7.
type arraySpec struct {
	tasks []int // ascending, each once
	step  int
	limit int
}

func parseArray(s string) (arraySpec, bool) {
	list, limit, limited := strings.Cut(s, "%")
	a := arraySpec{step: 1}
	if limited {
		n, err := strconv.ParseUint(limit, 10, 31)
		if err != nil || n == 0 {
			return arraySpec{}, false
		}
		a.limit = int(n)
	}
	items := strings.Split(list, ",")
	if len(items) > maxArrayIndex { // some say the same
		return arraySpec{}, false
	}
	for _, item := range items {
		first, last, isSpan := strings.Cut(item, "-")
		step := "1"
		if isSpan {
			if end, by, stepped := strings.Cut(last, ":"); stepped {
				last, step = end, by
			}
		} else {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 31)
		to, err2 := strconv.ParseUint(last, 10, 31)
		by, err3 := strconv.ParseUint(step, 10, 31)
		if err1 != nil || err2 != nil || err3 != nil || to < from || to >= maxArrayIndex || by == 0 {
			return arraySpec{}, false
		}
		for n := from; n <= to; n += by {
			a.tasks = append(a.tasks, int(n))
		}
		a.step = int(by)
	}
	slices.Sort(a.tasks)
	a.tasks = slices.Compact(a.tasks)
	return a, true
}

// split makes one record for each part of an array. The ids are those from
// first on; the last part has the first of them, which is the array's own.
func (rec *record) split(a arraySpec, first uint64) []*record {
	count := len(a.tasks)
	parts := make([]*record, count)
	for i, task := range a.tasks {
		part := *rec
		part.ID = strconv.FormatUint(first+uint64(i+1)%uint64(count), 10)
		part.Array = &ArrayTask{
			Job: strconv.FormatUint(first, 10), Task: task, Limit: a.limit,
			Count: count, Min: a.tasks[0], Max: a.tasks[count-1], Step: a.step,
		}
		parts[i] = &part
	}
	return parts
}

// Indices is the short form of the indices of jobs of one array: 0,3-5.
func Indices(parts []Job) string {
	var items []string
	for i := 0; i < len(parts); {
		first, run := parts[i].Array.Task, 1
		for i+run < len(parts) && parts[i+run].Array.Task == first+run {
			run++
		}
		item := strconv.Itoa(first)
		if run > 1 {
			item = fmt.Sprintf("%d-%d", first, first+run-1)
		}
		items = append(items, item)
		i += run
	}
	return strings.Join(items, ",")
}
