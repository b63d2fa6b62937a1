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

// environment is everything a job finds in its environment. Nothing of the
// sandbox's own process is in it.
func (t *Table) environment(job Job) []string {
	home := job.Spec.WorkingDir
	if t.cfg.Home != nil {
		home = t.cfg.Home(job.Spec.User)
	}
	uid := "1000"
	if t.cfg.UID != nil {
		uid = t.cfg.UID(job.Spec.User)
	}
	env := map[string]string{
		"PATH":    "/usr/local/bin:/usr/bin:/bin",
		"HOME":    home,
		"USER":    job.Spec.User,
		"LOGNAME": job.Spec.User,
		"SHELL":   "/bin/bash",
	}
	maps.Copy(env, job.Spec.Env)
	env["PATH"] = t.cfg.Bin + ":" + env["PATH"]
	maps.Copy(env, map[string]string{
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
	})
	known := func(name, value string) {
		if value != "" && value != "0" {
			env[name] = value
		}
	}
	known("SLURM_CPUS_PER_TASK", strconv.Itoa(job.CPUsPerTask))
	known("SLURM_JOB_ACCOUNT", job.Spec.Account)
	known("SLURM_JOB_PARTITION", job.Spec.Partition)
	known("SLURM_JOB_RESERVATION", job.Spec.Reservation)
	known("SLURM_NTASKS", strconv.Itoa(job.Tasks))

	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// resolvePaths makes the standard files of a job absolute and replaces the
// patterns in their names.
func resolvePaths(spec Spec, id string) Spec {
	resolve := func(path string) string {
		path = expandPattern(path, spec, id)
		if !filepath.IsAbs(path) {
			path = filepath.Join(spec.WorkingDir, path)
		}
		return path
	}
	spec.Stdin = resolve(cmp.Or(spec.Stdin, os.DevNull))
	spec.Stdout = resolve(cmp.Or(spec.Stdout, "slurm-%j.out"))
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
func expandPattern(s string, spec Spec, id string) string {
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
		value, numeric := patternValue(tail[0], spec, id)
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

func patternValue(letter byte, spec Spec, id string) (value string, numeric bool) {
	switch letter {
	case '%':
		return "%", false
	case 'A', 'J', 'j':
		return id, true
	case 'N':
		return "nid001", false
	case 'n', 't':
		return "0", true
	case 'a':
		return "4294967294", true // no array task
	case 's':
		return "batch", false
	case 'u':
		return spec.User, false
	case 'x':
		return spec.Name, false
	}
	return "", false
}
