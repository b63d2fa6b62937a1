package steps

import (
	"errors"

	"github.com/fcflow/fcflow/firecrest"
)

// change carries out what must not be done twice without looking: where an
// earlier entry, or this very request, may already have done it, done reads
// whether it is done.
func (c *call) change(do func() error, done func() (bool, error)) error {
	if c.again() {
		if ok, err := done(); ok || err != nil {
			return err
		}
	}
	err := do()
	var answer *firecrest.Error
	if !errors.As(err, &answer) || !answer.Retryable() {
		return err
	}
	if ok, readErr := done(); readErr == nil && ok {
		return nil
	}
	return err // an outage: entered again later, which looks first
}
