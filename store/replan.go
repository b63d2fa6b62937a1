package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fcflow/fcflow/workflow"
)

// replacedName is where the workflow is kept that a run executed before the n-th
// change of it.
func replacedName(n int) string { return fmt.Sprintf("workflow.%d.yaml", n) }

// PutReplaced keeps, for people, the workflow that the n-th change of it replaces.
// The owner of the run calls it before the change.
func (s *Store) PutReplaced(id workflow.RunID, n int, frozen []byte) error {
	return s.putText(id, replacedName(n), frozen)
}

// PutWorkflow replaces the copy, for people, of the workflow that a run executes.
func (s *Store) PutWorkflow(id workflow.RunID, frozen []byte) error {
	return s.putText(id, frozenName, frozen)
}

// PutPlan writes what the n-th change of the workflow of a run comes to, and
// returns where.
func (s *Store) PutPlan(id workflow.RunID, n int, plan any) (string, error) {
	text, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		return "", fmt.Errorf("plan for run %s: %w", id, err)
	}
	name := fmt.Sprintf("plan.%d.json", n)
	return filepath.Join(s.dir(id), name), s.putText(id, name, append(text, '\n'))
}

func (s *Store) putText(id workflow.RunID, name string, text []byte) error {
	if err := writeFile(s.dir(id), name, text); err != nil {
		return fmt.Errorf("%s of run %s: %w", name, id, err)
	}
	return nil
}

// firstCopy reads the copy of the workflow that the run began with.
func (s *Store) firstCopy(id workflow.RunID) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(s.dir(id), replacedName(1)))
	if os.IsNotExist(err) {
		text, err = os.ReadFile(s.Paths(id).Frozen)
	}
	return text, err
}
