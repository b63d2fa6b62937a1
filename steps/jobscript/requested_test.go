package jobscript

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequested(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
		list         []string
		want         map[string]string
	}{
		{"nothing", "#!/bin/sh\ntrue\n#SBATCH -p late\n", nil, map[string]string{}},
		{
			"long", "#!/bin/sh\n#SBATCH --partition=debug --nodes 4 # four\n#SBATCH --time=1-12\n", nil,
			map[string]string{"partition": "debug", "nodes": "4", "time": "1-12"},
		},
		{
			"short", "#!/bin/sh\n#SBATCH -pdebug -N 2 -t 30\n#SBATCH -A 'my acc'\n", nil,
			map[string]string{"partition": "debug", "nodes": "2", "time": "30", "account": "my acc"},
		},
		{"after a flag", "", []string{"-Op normal", "--exclusive"}, map[string]string{"partition": "normal", "exclusive": ""}},
		{"the list is later", "#!/bin/sh\n#SBATCH -p a\n", []string{"--partition=b"}, map[string]string{"partition": "b"}},
		{"no value", "", []string{"--partition", "--gres=gpu:2", "-"}, map[string]string{"partition": ""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, Requested(Slurm, test.script, test.list)); diff != "" {
				t.Errorf("requested (-want +got):\n%s", diff)
			}
		})
	}
}
