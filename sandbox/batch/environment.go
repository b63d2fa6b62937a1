package batch

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func (t *Table) home(job Job) string {
	if t.cfg.Home != nil {
		return t.cfg.Home(job.Spec.User)
	}
	return job.Spec.WorkingDir
}

// environment is everything a job finds in its environment. Nothing of the
// sandbox's own process is in it.
func (t *Table) environment(job Job) []string {
	env := map[string]string{
		"PATH":    "/usr/local/bin:/usr/bin:/bin",
		"HOME":    t.home(job),
		"USER":    job.Spec.User,
		"LOGNAME": job.Spec.User,
		"SHELL":   "/bin/bash",
	}
	maps.Copy(env, job.Spec.Env)
	env["PATH"] = t.cfg.Bin + ":" + env["PATH"]
	if t.cluster(job.Spec.System).PBS {
		maps.Copy(env, t.pbsVariables(job))
	} else {
		maps.Copy(env, t.slurmVariables(job))
	}
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

func (t *Table) slurmVariables(job Job) map[string]string {
	uid := "1000"
	if t.cfg.UID != nil {
		uid = t.cfg.UID(job.Spec.User)
	}
	env := map[string]string{
		"SLURM_CLUSTER_NAME":  job.Spec.System,
		"SLURM_JOB_ID":        job.ID,
		"SLURM_JOBID":         job.ID,
		"SLURM_JOB_NAME":      job.Spec.Name,
		"SLURM_JOB_NODELIST":  job.NodeList,
		"SLURM_JOB_NUM_NODES": strconv.Itoa(job.Nodes),
		"SLURM_JOB_UID":       uid,
		"SLURM_JOB_USER":      job.Spec.User,
		"SLURM_NNODES":        strconv.Itoa(job.Nodes),
		"SLURM_SUBMIT_DIR":    job.Spec.WorkingDir,
	}
	known := func(name, value string) {
		if value != "" && value != "0" {
			env[name] = value
		}
	}
	known("SLURM_CPUS_PER_TASK", strconv.Itoa(job.CPUsPerTask))
	known("SLURM_JOB_ACCOUNT", job.Spec.Account)
	known("SLURM_JOB_PARTITION", job.Spec.Partition)
	known("SLURM_JOB_RESERVATION", job.Spec.Reservation)
	known("SLURM_JOB_QOS", job.Spec.QOS)
	known("SLURM_NTASKS", strconv.Itoa(job.Tasks))
	known("SLURM_RESTART_COUNT", strconv.Itoa(job.Restarts))
	if a := job.Array; a != nil {
		env["SLURM_ARRAY_JOB_ID"] = a.Job
		env["SLURM_ARRAY_TASK_ID"] = strconv.Itoa(a.Task)
		env["SLURM_ARRAY_TASK_COUNT"] = strconv.Itoa(a.Count)
		env["SLURM_ARRAY_TASK_MIN"] = strconv.Itoa(a.Min)
		env["SLURM_ARRAY_TASK_MAX"] = strconv.Itoa(a.Max)
		env["SLURM_ARRAY_TASK_STEP"] = strconv.Itoa(a.Step)
	}
	return env
}

// resolvePaths makes the standard files of a job absolute and replaces the
// patterns in their names.
func resolvePaths(job Job) Spec {
	spec, output := job.Spec, "slurm-%j.out"
	if job.Array != nil {
		output = "slurm-%A_%a.out"
	}
	resolve := func(path string) string {
		path = expandPattern(path, job)
		if !filepath.IsAbs(path) {
			path = filepath.Join(spec.WorkingDir, path)
		}
		return path
	}
	spec.Stdin = resolve(cmp.Or(spec.Stdin, os.DevNull))
	spec.Stdout = resolve(cmp.Or(spec.Stdout, output))
	if spec.Stderr == "" {
		spec.Stderr = spec.Stdout
	} else {
		spec.Stderr = resolve(spec.Stderr)
	}
	return spec
}

// expandPattern replaces %j and its like in a file name. A number between the
// two, at most 10, pads a numeric value with zeros. A backslash anywhere
// switches patterns off and is itself removed; what is not a pattern stays.
func expandPattern(s string, job Job) string {
	if strings.Contains(s, `\`) {
		return strings.ReplaceAll(s, `\`, "")
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		tail := strings.TrimLeft(rest, "0123456789")
		width, _ := strconv.Atoi(rest[:len(rest)-len(tail)])
		if tail == "" {
			b.WriteString("%" + rest)
			return b.String()
		}
		value, numeric := patternValue(tail[0], job)
		switch {
		case value == "":
			b.WriteString("%" + rest[:len(rest)-len(tail)+1])
		case numeric:
			b.WriteString(strings.Repeat("0", max(0, min(width, 10)-len(value))) + value)
		default:
			b.WriteString(value)
		}
		s = tail[1:]
	}
}

func patternValue(letter byte, job Job) (value string, numeric bool) {
	switch letter {
	case '%':
		return "%", false
	case 'A':
		if job.Array != nil {
			return job.Array.Job, true
		}
		return job.ID, true
	case 'J', 'j':
		return job.ID, true
	case 'N':
		return "nid001", false
	case 'n', 't':
		return "0", true
	case 'a':
		if job.Array != nil {
			return strconv.Itoa(job.Array.Task), true
		}
		return "4294967294", true // no array task
	case 's':
		return "batch", false
	case 'u':
		return job.Spec.User, false
	case 'x':
		return job.Spec.Name, false
	}
	return "", false
}
