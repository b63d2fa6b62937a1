package batch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseArray(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]arraySpec{
		"0-3":          {[]int{0, 1, 2, 3}, 1, 0},
		"0-9:4%2":      {[]int{0, 4, 8}, 4, 2},
		"1,3,5-7":      {[]int{1, 3, 5, 6, 7}, 1, 0},
		"7":            {[]int{7}, 1, 0},
		"5,1,5":        {[]int{1, 5}, 1, 0},
		"0-1000:500%1": {[]int{0, 500, 1000}, 500, 1},
	} {
		got, ok := parseArray(text)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(arraySpec{})); !ok || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", text, ok, diff)
		}
	}
	for _, text := range []string{"", "3-0", "a", "1-", "-1", "0-3%0", "0-3%", "0-3:0", "1001", "0-1001", "1;2", "0-3%-1", "1.5", strings.Repeat("0-1000,", 2000) + "0"} {
		if got, ok := parseArray(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestArray(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\n#SBATCH --array=1-7:3\n#SBATCH -o out-%A-%a-%j.txt\n"+
		`echo "$SLURM_JOB_ID $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_ARRAY_TASK_COUNT `+
		`$SLURM_ARRAY_TASK_MIN $SLURM_ARRAY_TASK_MAX $SLURM_ARRAY_TASK_STEP"; exit $SLURM_ARRAY_TASK_ID`+"\n")
	b.wait(t, id)
	until(t, "the end of all parts", func() bool {
		return !slices.ContainsFunc(b.Find("alps", id), func(job Job) bool { return !job.State.Terminal() })
	})
	parts := b.Find("alps", id)
	if len(parts) != 3 {
		t.Fatalf("%d parts, want 3", len(parts))
	}
	for i, part := range parts {
		task := 1 + 3*i
		if part.Label() != fmt.Sprintf("%s_%d", id, task) || part.State != Failed || part.ExitCode != task {
			t.Errorf("part %s is %s with exit code %d", part.Label(), part.State, part.ExitCode)
		}
		data, err := os.ReadFile(filepath.Join(b.home, fmt.Sprintf("out-%s-%d-%s.txt", id, task, part.ID)))
		if want := fmt.Sprintf("%s %s %d 3 1 7 3\n", part.ID, id, task); err != nil || string(data) != want {
			t.Errorf("part %d wrote %q, %v; want %q", task, data, err, want)
		}
	}
	if last := parts[2]; last.ID != id {
		t.Errorf("the last part has id %s, want that of the array, %s", last.ID, id)
	}
	next := b.submit(t, "#!/bin/sh\n")
	if want := fmt.Sprint(atoi(t, id) + 3); next != want {
		t.Errorf("the next job is %s, want %s", next, want)
	}
	if got := b.Find("daint", id); got != nil {
		t.Errorf("another system has %v", got)
	}
}

func atoi(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestArrayLimit lets two parts at a time run, and none before there is room.
func TestArrayLimit(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\n#SBATCH --array=0-4%2\nuntil [ -e go-$SLURM_ARRAY_TASK_ID ]; do sleep 0.01; done\n")
	states := func() string {
		var text []string
		for _, part := range b.Find("alps", id) {
			text = append(text, string(part.State[0]))
			if part.State == Pending && part.Reason == "JobArrayTaskLimit" {
				text[len(text)-1] = "L"
			}
		}
		return strings.Join(text, "")
	}
	for _, step := range []struct{ finish, want string }{{"", "RRLLL"}, {"1", "RCRLL"}, {"0", "CCRRL"}, {"3", "CCRCR"}, {"4", "CCRCC"}, {"2", "CCCCC"}} {
		if step.finish != "" {
			if err := os.WriteFile(filepath.Join(b.home, "go-"+step.finish), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "the states "+step.want+" of the parts", func() bool { return states() == step.want })
	}
}

func TestArrayCancel(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\n#SBATCH --array=0-3%2\nexec sleep 60\n")
	until(t, "two parts to run", func() bool { return b.Find("alps", id)[1].State == Running })
	parts := b.Find("alps", id)
	if err := b.Cancel("alps", parts[0].ID, "1000"); err != nil {
		t.Fatal(err)
	}
	b.wait(t, parts[0].ID)
	if got := b.Find("alps", id)[1]; got.State != Running {
		t.Errorf("part 1 is %s after part 0 was cancelled", got.State)
	}
	if err := b.Cancel("alps", id, "1000"); err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if job := b.wait(t, part.ID); job.State != Cancelled {
			t.Errorf("part %s is %s", job.Label(), job.State)
		}
	}
	if err := b.Cancel("alps", id, "1000"); err == nil || !strings.Contains(err.Error(), string(EndedJob)) {
		t.Errorf("cancelled again: %v", err)
	}
}

// TestArrayRestart reopens a table with an array on its way, and one that a
// crash kept from being accepted.
func TestArrayRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	script := "#!/bin/sh\n#SBATCH --array=0-2%1\necho part >>ran-$SLURM_ARRAY_TASK_ID\nuntil [ -e go ]; do sleep 0.01; done\n"
	id := b.submit(t, script)
	b.untilExists(t, "ran-0")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(b.cfg.Dir, "jobs", "77.array.tmp")
	if err := os.WriteFile(torn, []byte(`{"script":"","parts":[{"id":"77","array":{"job":"77",`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	if got := b.Find("alps", "77"); got != nil {
		t.Errorf("half an array is there: %v", got)
	}
	if _, err := os.Stat(torn); !os.IsNotExist(err) {
		t.Errorf("its file is still there: %v", err)
	}
	parts := b.Find("alps", id)
	if len(parts) != 3 || parts[0].State != Running || parts[1].State != Pending {
		t.Fatalf("parts %v", parts)
	}
	for _, part := range parts {
		if part.Spec.Script != script {
			t.Errorf("part %s has the script %q", part.Label(), part.Spec.Script)
		}
	}
	if err := os.WriteFile(filepath.Join(b.home, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, part := range parts {
		b.wait(t, part.ID)
		if data, err := os.ReadFile(filepath.Join(b.home, fmt.Sprint("ran-", i))); err != nil || string(data) != "part\n" {
			t.Errorf("part %d left %q, %v", i, data, err)
		}
	}
}

// TestLargeArray is accepted, and cancelled, with one file: a thousand take
// seconds, in which the table stands still.
func TestLargeArray(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	id := b.submit(t, "#!/bin/sh\n#SBATCH --hold --array=0-999\n")
	if err := b.Cancel("alps", id, "1000"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(b.cfg.Dir, "jobs"))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v; want one", len(entries), err)
	}
	b.reopen(t)
	parts := b.Find("alps", id)
	if i := slices.IndexFunc(parts, func(job Job) bool { return job.State != Cancelled }); len(parts) != 1000 || i >= 0 {
		t.Errorf("%d parts; part %d was not cancelled", len(parts), i)
	}
}

// TestArrayFiles: of a part that was written alone and with its array, the newer
// record holds.
func TestArrayFiles(t *testing.T) {
	t.Parallel()
	d := disk{t.TempDir(), true}
	var parts []*record
	for task, id := range []string{"6", "7", "5"} {
		parts = append(parts, &record{Job: Job{ID: id, Spec: Spec{Script: "#!/bin/sh\n"}, Array: &ArrayTask{Job: "5", Task: task}, State: Pending}})
	}
	written := func(part int, state State, write uint64) *record {
		rec := *parts[part]
		rec.State, rec.Write = state, write
		return &rec
	}
	for _, err := range []error{
		d.saveArray(parts),
		d.save(written(0, Running, 1)),
		d.save(written(1, Running, 2)),
		d.saveArray([]*record{written(0, Preempted, 3), written(1, Running, 2), written(2, Cancelled, 3)}),
		d.save(written(1, Failed, 4)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []*record{written(2, Cancelled, 3), written(0, Preempted, 3), written(1, Failed, 4)}
	got, err := d.load()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if err := os.Remove(filepath.Join(d.dir, "5.array")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.load(); err == nil || !strings.Contains(err.Error(), "array 5") {
		t.Errorf("without the array: %v", err)
	}
}

func TestIndices(t *testing.T) {
	t.Parallel()
	var parts []Job
	for _, n := range []int{0, 1, 2, 4, 6, 7} {
		parts = append(parts, Job{Array: &ArrayTask{Task: n}})
	}
	if got := Indices(parts); got != "0-2,4,6-7" {
		t.Errorf("indices %q", got)
	}
}
