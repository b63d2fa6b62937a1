package batch

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStandIns(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"srun runs the command", "srun -N 1 --cpus-per-task 4 --mpi=pmix -u echo hello world", "hello world\n"},
		{"srun keeps arguments apart", `srun --exclusive -- printf '%s\n' 'a b' '$c' -n`, "a b\n$c\n-n\n"},
		{"srun passes stdin and status on", "echo fed | srun -n1 sh -c 'cat; exit 7'; echo $?", "fed\n7\n"},
		{"srun runs each task", "srun -n 3 sh -c 'echo $SLURM_PROCID of $SLURM_NTASKS' | sort", "0 of 3\n1 of 3\n2 of 3\n"},
		{"srun fails with the worst task", "srun --ntasks=3 sh -c 'exit $SLURM_PROCID'; echo $?", "2\n"},
		{"srun redirects", "srun -o out.txt sh -c 'echo a; echo b >&2'; cat out.txt", "a\nb\n"},
		{"srun without a command", "srun -n 2; echo $?", "srun: error: no command given to execute.\n1\n"},
		{"srun refuses nonsense", "srun -n x true; echo $?", "srun: error: Invalid numeric value \"x\" for --ntasks.\n1\n"},
		{
			"sbatch refuses", "sbatch job.sh; echo $?",
			"sbatch: error: the sandbox takes no submissions from inside a job; submit through its API\n1\n",
		},
		{"module is quiet", "module load gcc/12 && module purge && echo ok", "ok\n"},
		{"module has none", "module show gcc; echo $?", "module: the sandbox has no modules, hence nothing to say about gcc\n1\n"},
		{"scontrol names the nodes", "scontrol show hostnames", "nid001\n"},
		{"scontrol shows the job", "scontrol show job $SLURM_JOB_ID | head -n 1", "JobId=ID JobName=sbatch\n"},
		{"scontrol refuses others", "scontrol show job 999; echo $?", "scontrol: error: in the sandbox a job can only show itself\n1\n"},
		{"squeue shows the job", "squeue -h -j $SLURM_JOB_ID | tr -s ' ' | cut -d ' ' -f 2", "ID\n"},
		{"squeue refuses formats", "squeue -o %T; echo $?", "squeue: error: the sandbox does not know -o\n1\n"},
	}
	b := newBench(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id := b.submit(t, "#!/bin/sh\n"+test.body+"\n")
			b.wait(t, id)
			want := strings.ReplaceAll(test.want, "ID", id)
			if diff := cmp.Diff(want, b.output(t, "slurm-"+id+".out")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	help := b.submit(t, "#!/bin/sh\nsrun --help\n")
	b.wait(t, help)
	if got := b.output(t, "slurm-"+help+".out"); !strings.Contains(got, "have no effect") {
		t.Errorf("help does not say what srun leaves out:\n%s", got)
	}
}
