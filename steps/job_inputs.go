package steps

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fcflow/fcflow/steps/jobscript"
	"github.com/fcflow/fcflow/workflow"
)

// batchIn are the inputs that describe a batch job.
type batchIn struct {
	inWorkdir
	Script       string            `json:"script" is:"literal" doc:"Text of the job, beginning with #!. Values come in through env."`
	ScriptFile   string            `json:"script_file" is:"local,source" doc:"Local file with that text, instead; relative to the directory of the workflow file. It is read once, before the job is submitted."`
	RemoteScript string            `json:"remote_script" is:"remote,source" doc:"Script on the system, instead. It is submitted as it is, with its own directives and without env."`
	Name         string            `json:"name" doc:"Label in the name of the job, after the token by which it is found again. Default: the id of the step."`
	Account      string            `json:"account" is:"defaults" doc:"Account to charge, unless resources.account says otherwise."`
	Env          map[string]string `json:"env" doc:"Exported to the script, byte for byte. The scheduler keeps scripts readable, so no secrets here; secret_files takes them."`
	SecretFiles  map[string]string `json:"secret_files" is:"secret" doc:"Secrets for the script, as files that only you can read: where KEY is, KEY_FILE says. They are in the run's remote directory while the attempt lasts, and removed before it ends."`
	Resources    resourcesIn       `json:"resources" doc:"What the job asks the scheduler for; written as directives."`
	Directives   []string          `json:"directives" doc:"Further options of sbatch, or of qsub on PBS, one each, such as --gres=gpu:2."`
	Requeue      bool              `json:"requeue" default:"false" doc:"Let the scheduler run the job again after a failure of a node."`
	Fence        string            `json:"fence" enum:"auto blind off" default:"auto" doc:"How the job makes sure that it is the only one: auto claims a token in the run's remote directory; blind claims it too, and tells the outcome by its exit code alone; off runs the script as it is, and finds it again by its name. See docs/guarantees.md."`
}

type resourcesIn struct {
	Nodes        int64    `json:"nodes" unit:"nodes" doc:"Number of nodes."`
	TasksPerNode int64    `json:"tasks_per_node" unit:"tasks" doc:"Tasks on each node."`
	CPUsPerTask  int64    `json:"cpus_per_task" unit:"cores" doc:"Cores for each task."`
	GPUsPerNode  int64    `json:"gpus_per_node" unit:"devices" doc:"Graphics processors on each node."`
	Memory       size     `json:"memory" unit:"bytes" doc:"Memory on each node."`
	Time         duration `json:"time" doc:"Wall time, after which the job is ended."`
	Partition    string   `json:"partition" doc:"Partition or queue."`
	Account      string   `json:"account" doc:"Account to charge."`
	Reservation  string   `json:"reservation" doc:"Reservation to run in."`
	QOS          string   `json:"qos" doc:"Quality of service."`
	Constraint   string   `json:"constraint" doc:"Features that the nodes must have."`
	Exclusive    bool     `json:"exclusive" doc:"Share the nodes with no other job."`
}

// resources are those of the job, with the account from wherever it is given.
func (in batchIn) resources(fallback string) jobscript.Resources {
	r := in.Resources
	account := r.Account
	for _, other := range []string{in.Account, fallback} {
		if account == "" {
			account = other
		}
	}
	return jobscript.Resources{
		Nodes: r.Nodes, TasksPerNode: r.TasksPerNode, CPUsPerTask: r.CPUsPerTask, GPUsPerNode: r.GPUsPerNode,
		Memory: int64(r.Memory), Time: time.Duration(r.Time), Partition: r.Partition, Account: account,
		Reservation: r.Reservation, QOS: r.QOS, Constraint: r.Constraint, Exclusive: r.Exclusive,
	}
}

// given tells which keys of `resources` are set; the account counts wherever it
// comes from.
func given(with json.RawMessage, account string) func(key string) bool {
	var in struct {
		Resources map[string]json.RawMessage
	}
	_ = json.Unmarshal(with, &in) // see literal
	return func(key string) bool {
		_, ok := in.Resources[key]
		return ok || key == "account" && account != ""
	}
}

// script returns the text that the user wrote, "" for a remote one.
func (c *call) script(in batchIn) (string, error) {
	sources := 0
	for _, s := range []string{in.Script, in.ScriptFile, in.RemoteScript} {
		if s != "" {
			sources++
		}
	}
	if sources != 1 {
		return "", refuse("a job needs exactly one of script, script_file and remote_script")
	}
	if in.ScriptFile == "" {
		return in.Script, nil
	}
	file, err := c.localFile(in.ScriptFile)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err == nil && info.Size() > jobscript.MaxSize {
		return "", refuse("%s has %d bytes; a script has at most %d", file, info.Size(), jobscript.MaxSize)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", refuse("%v", err)
	}
	return string(text), nil
}

// batchScript is the text to submit; nil for a remote script.
func (c *call) batchScript(in batchIn, intent workflow.SubmissionIntent) ([]byte, error) {
	text, err := c.script(in)
	if err != nil {
		return nil, err
	}
	if in.RemoteScript != "" {
		return nil, refuseWithRemote(in)
	}
	fallback := c.library.config.Account
	if jobscript.Sets(c.scheduler(), text, in.Directives, "account") {
		fallback = "" // what the script says wins over the profile
	}
	resources := in.resources(fallback)
	options, err := resources.Options(c.scheduler())
	if err != nil {
		return nil, refuse("%v", err)
	}
	for _, p := range slices.Concat(
		jobscript.CheckScript(c.scheduler(), text, resources.Given),
		jobscript.CheckDirectives(c.scheduler(), in.Directives, resources.Given),
	) {
		return nil, refuse("%s; %s", p.Message, p.Hint)
	}
	for _, p := range in.checkSecretFiles() {
		return nil, refuse("%s; %s", p.Message, p.Hint)
	}
	secrets := ""
	if intent.SecretFiles {
		secrets = secretsDir(intent.Control, c.Token)
	}
	rendered, err := jobscript.Render(jobscript.Script{
		Payload: []byte(text), Control: intent.Control, Token: c.Token, Fence: jobscript.Fence(intent.Fence), PBS: c.pbs(),
		WorkDir: intent.WorkDir, Env: in.environment(intent.Control, c.Token), Options: slices.Concat(in.Directives, options), Requeue: in.Requeue, Secrets: secrets,
	})
	if err != nil {
		return nil, refuse("%v", err)
	}
	return rendered, nil
}

// refuseWithRemote refuses what could not reach a script that is submitted as
// it is.
func refuseWithRemote(in batchIn) error {
	for _, input := range []struct {
		key   string
		given bool
	}{
		{"env", len(in.Env) > 0}, {"secret_files", len(in.SecretFiles) > 0}, {"directives", len(in.Directives) > 0}, {"resources", in.Resources != (resourcesIn{})}, {"requeue", in.Requeue},
	} {
		if input.given {
			return refuse("`%s` cannot be given with `remote_script`, which brings its own directives", input.key)
		}
	}
	return nil
}

// checkBatch finds mistakes in the inputs of a job before anything runs.
func checkBatch(with json.RawMessage, dynamic func(string) bool) []workflow.FieldProblem {
	in := literal[batchIn](with)
	problems := checkSources(in, dynamic)
	set := given(with, in.Account)
	if in.Script != "" {
		for _, p := range jobscript.CheckScript(jobscript.Unknown, in.Script, set) {
			code := codeDirective
			if p.Line == 1 {
				code = codeScript
			}
			problems = append(problems, workflow.FieldProblem{
				Path: []string{"script"}, Line: p.Line, Code: code, Message: p.Message, Hint: p.Hint,
			})
		}
	}
	for _, p := range jobscript.CheckDirectives(jobscript.Guess(in.Script, in.Directives), in.Directives, set) {
		problems = append(problems, workflow.FieldProblem{Path: []string{"directives"}, Code: codeDirective, Message: p.Message, Hint: p.Hint})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Env)) {
		if err := jobscript.CheckEnv(name); err != nil {
			problems = append(problems, workflow.FieldProblem{
				Path: []string{"env", name}, Code: codeEnvName, Message: err.Error(), Hint: "choose another name",
			})
		}
	}
	return slices.Concat(problems, in.checkSecretFiles(), checkResources(in))
}

// checkSources counts the ways in which a script is given.
func checkSources(in batchIn, dynamic func(string) bool) []workflow.FieldProblem {
	var names []string
	for name, text := range map[string]string{"script": in.Script, "script_file": in.ScriptFile, "remote_script": in.RemoteScript} {
		if text != "" || dynamic(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return []workflow.FieldProblem{{Code: codeExclusive, Message: "a job needs `script`, `script_file` or `remote_script`"}}
	case len(names) > 1:
		return []workflow.FieldProblem{{
			Path: []string{names[1]}, Code: codeExclusive, Hint: "keep one of them",
			Message: fmt.Sprintf("`%s` exclude each other", strings.Join(names, "` and `")),
		}}
	case names[0] == "remote_script" && dynamic("secret_files"):
		return []workflow.FieldProblem{{
			Path: []string{"remote_script"}, Code: codeExclusive, Message: "`secret_files` and `remote_script` exclude each other",
			Hint: "use `script` or `script_file`, which is told where they are",
		}}
	case names[0] == "remote_script":
		if err := refuseWithRemote(in); err != nil {
			return []workflow.FieldProblem{{
				Path: []string{"remote_script"}, Code: codeExclusive, Message: err.Error(), Hint: "write them into the script",
			}}
		}
	}
	return nil
}

func checkResources(in batchIn) []workflow.FieldProblem {
	if _, err := in.resources("").Options(jobscript.Guess(in.Script, in.Directives)); err != nil {
		return []workflow.FieldProblem{{Path: []string{"resources"}, Code: codeOutOfRange, Message: err.Error()}}
	}
	return nil
}
