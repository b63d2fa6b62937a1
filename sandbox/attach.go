package sandbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// putAttach runs a command beside a job, inside its environment. What the
// command prints is lost, and it has as long as any command has.
func (s *Server) putAttach(c *call) (reply, error) {
	id, err := c.jobID()
	if err != nil {
		return reply{}, err
	}
	body := c.object()
	command := body.nullable("command")
	if err := body.err(); err != nil {
		return reply{}, err
	}
	if c.site.pbs() {
		return reply{}, unhandled("('Interactive attach is not supported in PBS CLI client',)")
	}
	if raw, has := body.members["command"]; !has || isNull(raw) {
		return reply{}, unhandled("('sequence item 3: expected str instance, NoneType found',)")
	}
	if _, err := s.loginUser(c); err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), s.cfg.CommandTimeout)
	defer cancel()
	err = s.jobs.Attach(ctx, c.system, id, s.users.uid(c.user), command)
	var failed *batch.AttachError
	switch {
	case err == nil:
		return reply{status: 204}, nil
	case ctx.Err() != nil:
		return reply{}, errCommandTime
	case errors.As(err, &failed):
		return reply{}, slurmFailed(failed.Status, failed.Stderr)
	}
	return reply{}, fmt.Errorf("attach: %w", err)
}
