package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fcflow/fcflow/engine"
	"github.com/fcflow/fcflow/workflow"
)

// keptLogs are the logs of a run on this machine, as its directory had them when it was
// listed: once for all attempts, of which there may be many thousands.
type keptLogs struct {
	dir   string
	names []string // sorted
}

// keptLog is a log of an attempt.
type keptLog struct {
	path string
	name string // what the attempt calls it, such as job.log
}

func listLogs(dir string) (keptLogs, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return keptLogs{}, err
	}
	logs := keptLogs{dir: dir}
	for _, e := range entries {
		logs.names = append(logs.names, e.Name())
	}
	return logs, nil
}

// of lists the logs of an attempt by their names.
func (l keptLogs) of(u workflow.UnitRef, attempt int) (logs []keptLog) {
	prefix := engine.LogName(u, attempt, "")
	first, _ := slices.BinarySearch(l.names, prefix)
	for _, file := range l.names[first:] {
		name, ok := strings.CutPrefix(file, prefix)
		if !ok {
			break
		}
		logs = append(logs, keptLog{filepath.Join(l.dir, file), name})
	}
	return logs
}
