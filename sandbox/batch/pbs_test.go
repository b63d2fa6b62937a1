package batch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPBSDirectives(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 15, 16, 17, 0, time.Local)
	base := func(change func(*record)) *record {
		r := &record{Job: Job{Nodes: 1}, Requeue: true}
		if change != nil {
			change(r)
		}
		return r
	}
	for name, tt := range map[string]struct {
		script string
		given  Spec
		want   *record
	}{
		"none":        {"echo\n", Spec{}, base(nil)},
		"not Slurm's": {"#SBATCH -J a\n#PBSX -N b\n ##PBS -N c\n", Spec{}, base(nil)},
		"names": {
			"#PBS -N a -q b@server -P c\n#PBS -oout -e err -j oe\n", Spec{},
			base(func(r *record) {
				r.Spec = Spec{Name: "a", Partition: "b", Account: "c", Stdout: "out", Stderr: "err"}
				r.join = true
			}),
		},
		"given wins": {
			"#PBS -N a -q b -v K=1,L=2,M\n", Spec{Name: "x", Env: map[string]string{"L": "3"}},
			base(func(r *record) {
				r.Spec = Spec{Name: "x", Partition: "b", Env: map[string]string{"K": "1", "L": "3"}}
			}),
		},
		"select": {
			"#PBS -l select=2:ncpus=8:mpiprocs=4:mem=4gb+1:ncpus=2 -l walltime=1:02:03,place=scatter\n", Spec{},
			base(func(r *record) {
				r.Nodes, r.Tasks, r.CPUsPerTask = 3, 9, 2
				r.TimeLimit, r.timeGiven = time.Hour+2*time.Minute+3*time.Second, true
			}),
		},
		"nodes":  {"#PBS -l nodes=3:ppn=2,walltime=90\n", Spec{}, base(func(r *record) { r.Nodes, r.Tasks, r.TimeLimit, r.timeGiven = 3, 6, 90*time.Second, true })},
		"flags":  {"#PBS -V -h -m abe -M a@b -k oe -S /bin/sh\n#PBS -r n\n", Spec{}, base(func(r *record) { r.Held, r.Requeue = true, false })},
		"array":  {"#PBS -J 0-4:2\n", Spec{}, base(func(r *record) { r.array = &arraySpec{[]int{0, 2, 4}, 2, 0} })},
		"later":  {"#PBS -a 1600\n", Spec{}, base(func(r *record) { r.Begin = time.Date(2026, 3, 4, 16, 0, 0, 0, time.Local).UTC() })},
		"passed": {"#PBS -a 1500\n", Spec{}, base(func(r *record) { r.Begin = time.Date(2026, 3, 5, 15, 0, 0, 0, time.Local).UTC() })},
		"a date": {"#PBS -a 202605061630.30\n", Spec{}, base(func(r *record) { r.Begin = time.Date(2026, 5, 6, 16, 30, 30, 0, time.Local).UTC() })},
		"depends": {
			"#PBS -W depend=afterok:1.alps:2[].alps,afterany:3\n", Spec{},
			base(func(r *record) {
				r.KillOnInvalid = true
				r.Depends = &dependencies{Conditions: []condition{{Kind: "afterok", Job: "1"}, {Kind: "afterok", Job: "2"}, {Kind: "afterany", Job: "3"}}}
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := &record{Job: Job{Nodes: 1}}
			tt.given.Script, tt.want.Spec.Script = "#!/bin/sh\n"+tt.script, "#!/bin/sh\n"+tt.script
			if err := applyPBSDirectives(got, tt.given, now); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(record{}, arraySpec{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	for _, line := range []string{"name", "-N", "-l select=0", "-l walltime=soon", "-l walltime=1:2:3:4", "-l walltime=9999999:00:00", "-J 3", "-J 3-1", "-a soon", "-W depend=before:1"} {
		if err := applyPBSDirectives(&record{}, Spec{Script: "#PBS " + line + "\n"}, now); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func newPBS(t *testing.T) *bench {
	t.Helper()
	return newCluster(t, Cluster{PBS: true})
}

func TestPBSJob(t *testing.T) {
	t.Parallel()
	b := newPBS(t)
	work := filepath.Join(b.home, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	id := b.submitSpec(t, Spec{WorkingDir: work, Script: "#!/bin/sh\n#PBS -N mesh -l select=2 -q long\n" +
		"echo \"$PBS_JOBID $PBS_JOBNAME $PBS_QUEUE $PWD $PBS_O_WORKDIR $PBS_ENVIRONMENT ${SLURM_JOB_ID-}\"; cat \"$PBS_NODEFILE\"\n" +
		"qstat | tail -1 | cut -c1-5; echo oops >&2; exit 3\n"})
	job := b.wait(t, id)
	if diff := cmp.Diff(result{Failed, "NonZeroExitCode", 3, 0}, resultOf(job)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	want := id + ".alps mesh long " + b.home + " " + work + " PBS_BATCH \nnid001\nnid002\n" + (id + ".alps")[:5] + "\n"
	if got := b.output(t, "work/mesh.o"+id); got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got := b.output(t, "work/mesh.e"+id); got != "oops\n" {
		t.Errorf("stderr %q", got)
	}
}

func TestPBSArray(t *testing.T) {
	t.Parallel()
	b := newPBS(t)
	id := b.submit(t, "#!/bin/sh\n#PBS -N arr -J 1-2 -j oe\n#PBS -o out.^array_index^\necho \"$PBS_JOBID $PBS_ARRAY_ID $PBS_ARRAY_INDEX\"\n")
	plain := b.submit(t, "#!/bin/sh\n#PBS -J 0-1 -N plain\necho x\n")
	for _, array := range []string{id, plain} {
		for _, part := range b.Find("alps", array) {
			b.wait(t, part.ID)
		}
	}
	for _, n := range []string{"1", "2"} {
		if got, want := b.output(t, "out."+n), id+"["+n+"].alps "+id+"[].alps "+n+"\n"; got != want {
			t.Errorf("part %s wrote %q, want %q", n, got, want)
		}
	}
	if got := b.output(t, "plain.o"+plain+".1"); got != "x\n" {
		t.Errorf("part 1 wrote %q", got)
	}
}

// TestPBSDependency deletes a job whose dependencies cannot be met.
func TestPBSDependency(t *testing.T) {
	t.Parallel()
	b := newPBS(t)
	bad := b.submit(t, "#!/bin/sh\nexit 1\n")
	never := b.submit(t, "#!/bin/sh\n#PBS -W depend=afterok:"+bad+".alps\ntouch ran\n")
	after := b.submit(t, "#!/bin/sh\n#PBS -W depend=afternotok:"+bad+"\n")
	if job := b.wait(t, never); job.State != Cancelled || !job.Started.IsZero() {
		t.Errorf("%s, started %v", job.State, job.Started)
	}
	if job := b.wait(t, after); job.State != Completed {
		t.Errorf("%s", job.State)
	}
}

func TestPBSRefuses(t *testing.T) {
	t.Parallel()
	none := 0
	for name, tt := range map[string]struct {
		cluster    Cluster
		line, want string
	}{
		"queue":   {Cluster{Partitions: []Partition{{Name: "long"}}}, "-q short", "qsub: Unknown queue"},
		"drained": {Cluster{Partitions: []Partition{{Name: "long", State: "DRAIN"}}}, "", "qsub: Queue is not enabled"},
		"limit":   {Cluster{MaxSubmitPerUser: &none}, "-q long", "qsub: would exceed queue long's per-user limit"},
		"nodes":   {Cluster{}, "-l select=65535", "qsub: Requested node configuration is not available"},
		"depends": {Cluster{}, "-W depend=afterok:99.alps", "qsub: Job dependency problem"},
		"option":  {Cluster{}, "-l walltime=x", "qsub: Illegal attribute or resource value Resource_List.walltime"},
	} {
		tt.cluster.PBS = true
		b := newCluster(t, tt.cluster)
		_, err := b.Submit(Spec{System: "alps", User: "alice", WorkingDir: b.home, Script: "#!/bin/sh\n#PBS " + tt.line + "\n"})
		if err == nil || strings.TrimSpace(err.Error()) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}
