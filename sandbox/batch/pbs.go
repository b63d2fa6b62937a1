package batch

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// PBSID is how PBS names a job: 12.alps, or 12[3].alps for a part of an array.
func (j Job) PBSID() string {
	id := j.ID
	if a := j.Array; a != nil {
		id = fmt.Sprintf("%s[%d]", a.Job, a.Task)
	}
	return id + "." + j.Spec.System
}

// pbsRejected is the refusal of qsub itself.
func pbsRejected(format string, args ...any) error {
	return &RejectedError{Stderr: "qsub: " + fmt.Sprintf(format, args...), Status: 1}
}

// applyPBSDirectives is applyDirectives for the #PBS lines of a script.
func applyPBSDirectives(rec *record, spec Spec, now time.Time) error {
	rec.Requeue = true // PBS has jobs rerunnable unless they say they are not
	said := Spec{Env: map[string]string{}}
	for _, line := range directiveLines(spec.Script, "#PBS") {
		args := arguments(line)
		for len(args) > 0 {
			flag := args[0]
			args = args[1:]
			if len(flag) < 2 || flag[0] != '-' {
				return pbsRejected("illegal -- value")
			}
			letter, value := flag[1], flag[2:]
			if strings.IndexByte(pbsFlags, letter) >= 0 {
				value = ""
			} else if value == "" {
				if len(args) == 0 {
					return pbsRejected("option requires an argument -- '%c'", letter)
				}
				value, args = args[0], args[1:]
			}
			if err := rec.applyPBS(letter, value, &said, now); err != nil {
				return err
			}
		}
	}
	rec.Spec = spec.or(said)
	if len(said.Env) > 0 {
		maps.Copy(said.Env, spec.Env)
		rec.Spec.Env = said.Env
	}
	return nil
}

// pbsFlags are the options of qsub without a value.
const pbsFlags = "hIVXzf"

func (rec *record) applyPBS(letter byte, value string, said *Spec, now time.Time) error {
	switch letter {
	case 'N':
		said.Name = value
	case 'q':
		said.Partition, _, _ = strings.Cut(value, "@")
	case 'P', 'A':
		said.Account = value
	case 'o':
		said.Stdout = value
	case 'e':
		said.Stderr = value
	case 'j':
		rec.join = value == "oe" || value == "eo"
	case 'h':
		rec.Held = true
	case 'r':
		rec.Requeue = value != "n"
	case 'v':
		for _, item := range strings.Split(value, ",") {
			if name, text, ok := strings.Cut(item, "="); ok {
				said.Env[name] = text
			}
		}
	case 'a':
		begin, ok := parsePBSBegin(value, now)
		if !ok {
			return pbsRejected("illegal -a value")
		}
		rec.Begin = begin.UTC()
	case 'J':
		tasks, ok := parseArray(value)
		if !ok || len(tasks.tasks) < 2 {
			return pbsRejected("illegal -J value")
		}
		rec.array = &tasks
	case 'W':
		if _, list, ok := strings.Cut(value, "depend="); ok {
			return rec.applyPBSDependency(list)
		}
	case 'l':
		return rec.applyPBSResources(value)
	}
	return nil
}

var pbsServer = regexp.MustCompile(`(\[\])?\.[A-Za-z0-9._-]+`)

// applyPBSDependency reads the value of depend=. PBS deletes a job whose
// dependencies cannot be met.
func (rec *record) applyPBSDependency(list string) error {
	depends, ok := parseDependency(strings.ReplaceAll(pbsServer.ReplaceAllString(list, ""), "[]", ""))
	if !ok {
		return pbsRejected("illegal -W value")
	}
	rec.Depends, rec.KillOnInvalid = depends, true
	return nil
}

// applyPBSResources reads select=2:ncpus=4+1:ncpus=8,walltime=1:00:00 and the
// older nodes=2:ppn=4.
func (rec *record) applyPBSResources(list string) error {
	for _, item := range strings.Split(list, ",") {
		name, value, _ := strings.Cut(item, "=")
		switch name {
		case "walltime":
			limit, ok := parsePBSTime(value)
			if !ok {
				return pbsRejected("Illegal attribute or resource value Resource_List.walltime")
			}
			rec.TimeLimit, rec.timeGiven = limit, true
		case "select", "nodes":
			if !rec.applyChunks(value) {
				return pbsRejected("Illegal attribute or resource value Resource_List.%s", name)
			}
		}
	}
	return nil
}

func (rec *record) applyChunks(value string) bool {
	rec.Nodes, rec.Tasks = 0, 0
	for _, chunk := range strings.Split(value, "+") {
		fields := strings.Split(chunk, ":")
		count, err := strconv.ParseUint(fields[0], 10, 16)
		if err != nil {
			count = 1 // no number in front
		} else if count == 0 {
			return false
		}
		ranks := 1
		for _, field := range fields {
			name, text, _ := strings.Cut(field, "=")
			n, err := strconv.Atoi(text)
			switch {
			case err != nil || n < 1:
			case name == "mpiprocs" || name == "ppn":
				ranks = n
			case name == "ncpus":
				rec.CPUsPerTask = n
			}
		}
		rec.Nodes += int(count)
		rec.Tasks += int(count) * ranks
	}
	return true
}

// parsePBSTime reads seconds, MM:SS or HH:MM:SS, at most 292 years.
func parsePBSTime(s string) (time.Duration, bool) {
	total := int64(0)
	fields := strings.Split(s, ":")
	if len(fields) > 3 {
		return 0, false
	}
	for _, field := range fields {
		n, ok := digits(field)
		if !ok {
			return 0, false
		}
		total = total*60 + n
	}
	return time.Duration(total) * time.Second, total > 0 && total <= int64(math.MaxInt64/time.Second)
}

// parsePBSBegin reads [[[[CC]YY]MM]DD]hhmm[.SS].
func parsePBSBegin(s string, now time.Time) (time.Time, bool) {
	s, seconds, hasSeconds := strings.Cut(s, ".")
	if !hasSeconds {
		seconds = "00"
	}
	now = now.Local()
	const full = len("CCYYMMDDhhmm")
	if len(s) < 4 || len(s) > full {
		return time.Time{}, false
	}
	text := now.Format("200601021504")[:full-len(s)] + s + seconds
	t, err := time.ParseInLocation("20060102150405", text, time.Local)
	if err == nil && t.Before(now) && len(s) == 4 {
		t = t.AddDate(0, 0, 1)
	}
	return t, err == nil
}

// resolvePBSPaths is resolvePaths in the manner of PBS: a host in front of a
// path is dropped, and a folder gets the default names.
func (rec *record) resolvePBSPaths() {
	spec := &rec.Spec
	resolve := func(path, letter string) string {
		suffix := "." + letter + rec.ID
		if a := rec.Array; a != nil {
			suffix = fmt.Sprintf(".%s%s.%d", letter, a.Job, a.Task)
			path = strings.ReplaceAll(path, "^array_index^", strconv.Itoa(a.Task))
		}
		if host, rest, ok := strings.Cut(path, ":"); ok && !strings.Contains(host, "/") {
			path = rest
		}
		if path == "" || strings.HasSuffix(path, "/") {
			path += spec.Name + suffix
		}
		path = strings.ReplaceAll(path, "^array_index^", "")
		if !filepath.IsAbs(path) {
			path = filepath.Join(spec.WorkingDir, path)
		}
		return path
	}
	spec.Stdin = "/dev/null"
	stderr := spec.Stderr
	spec.Stdout = resolve(spec.Stdout, "o")
	spec.Stderr = resolve(stderr, "e")
	if rec.join {
		spec.Stderr = spec.Stdout
	}
}

func (t *Table) pbsVariables(job Job) map[string]string {
	env := map[string]string{
		"NCPUS":           strconv.Itoa(max(1, job.CPUsPerTask)),
		"PBS_ENVIRONMENT": "PBS_BATCH",
		"PBS_JOBID":       job.PBSID(),
		"PBS_JOBNAME":     job.Spec.Name,
		"PBS_NODEFILE":    filepath.Join(t.disk.runDir(job), nodesFile),
		"PBS_O_HOME":      t.home(job),
		"PBS_O_HOST":      job.Spec.System,
		"PBS_O_LOGNAME":   job.Spec.User,
		"PBS_O_QUEUE":     job.Spec.Partition,
		"PBS_O_SHELL":     "/bin/bash",
		"PBS_O_WORKDIR":   job.Spec.WorkingDir,
		"PBS_QUEUE":       cmp.Or(job.Spec.Partition, "workq"),
	}
	if a := job.Array; a != nil {
		env["PBS_ARRAY_ID"] = a.Job + "[]." + job.Spec.System
		env["PBS_ARRAY_INDEX"] = strconv.Itoa(a.Task)
	}
	return env
}
