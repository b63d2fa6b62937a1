package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/fcflow/fcflow/workflow"
)

// followedAttempt is the newest attempt of a unit whose output is followed.
type followedAttempt struct {
	unit   workflow.UnitRef
	number int
	remote bool // it runs on a system: what is kept of it here comes when it is over
	over   bool
	local  map[string]*localFile // by path
	far    []*farFile
}

// update looks at what has changed of a unit. Of attempts that were over before
// it was seen first, the newest counts.
func (f *logFollower) update(ctx context.Context, u *workflow.UnitView) error {
	ref := unitRef(u)
	for i := range u.Attempts {
		t := &u.Attempts[i]
		now := f.attempts[ref]
		switch {
		case now == nil && i < len(u.Attempts)-1, now != nil && t.Attempt < now.number:
			continue
		case now == nil || t.Attempt > now.number:
			if now != nil {
				f.screen.head(fmt.Sprintf("%s, attempt %d ──", ref, t.Attempt))
			}
			now = &followedAttempt{unit: ref, number: t.Attempt, remote: t.System != "", local: map[string]*localFile{}}
			f.attempts[ref] = now
		}
		if err := f.refresh(ctx, now, t); err != nil {
			return err
		}
	}
	return nil
}

// refresh begins to follow what an attempt prints, and ends with it.
func (f *logFollower) refresh(ctx context.Context, now *followedAttempt, t *workflow.AttemptView) error {
	if now.over {
		return nil
	}
	ended := !t.EndedAt.IsZero()
	began := t.Job != nil && (t.Job.Active || t.Job.Terminal)
	switch {
	case began && !ended:
		return f.followJob(ctx, now, t)
	case !ended:
		return nil
	}
	now.over = true
	printed := slices.ContainsFunc(now.far, func(file *farFile) bool { return file.at >= 0 })
	if !printed {
		if err := f.readAttempt(now, true); err != nil {
			return err
		}
		if len(now.local) > 0 {
			for _, file := range now.far {
				f.far.drop(file)
			}
			return nil
		}
		if began && now.far == nil && f.chosen.ref.Step != "" {
			if err := f.followJob(ctx, now, t); err != nil {
				return err
			}
		}
	}
	for _, file := range now.far {
		f.far.finish(file)
	}
	return nil
}

// followJob begins with the files that the job of an attempt writes, also if it
// turns out to be another job.
func (f *logFollower) followJob(ctx context.Context, now *followedAttempt, t *workflow.AttemptView) error {
	for _, path := range jobFiles(t) {
		if slices.ContainsFunc(now.far, func(file *farFile) bool { return file.path == path }) {
			continue
		}
		file := &farFile{
			system: t.System, path: path, tail: f.tail,
			out: f.screen.output(f.title(now, fmt.Sprintf("job %s on %s, %s", t.JobID, t.System, path))),
		}
		if err := f.look(ctx, file); err != nil {
			return fmt.Errorf("output of job %s: %w", t.JobID, err)
		}
		now.far = append(now.far, file)
	}
	return nil
}

func (f *logFollower) title(now *followedAttempt, what string) string {
	return fmt.Sprintf("%s, attempt %d, %s", now.unit, now.number, what)
}

// readLocal prints what local commands have printed meanwhile.
func (f *logFollower) readLocal() error {
	var local []*followedAttempt
	for _, now := range f.attempts {
		if !now.over && !now.remote {
			local = append(local, now)
		}
	}
	if len(local) == 0 {
		return nil
	}
	if err := f.list(); err != nil {
		return err
	}
	for _, now := range local {
		if err := f.readAttempt(now, false); err != nil {
			return err
		}
	}
	return nil
}

// readAttempt prints what is new in the logs of an attempt on this machine, as last
// listed.
func (f *logFollower) readAttempt(now *followedAttempt, last bool) error {
	for _, log := range f.logs.of(now.unit, now.number) {
		file := now.local[log.path]
		if file == nil {
			file = &localFile{path: log.path, out: f.screen.output(f.title(now, log.name))}
			now.local[log.path] = file
			if f.tail > 0 {
				if err := file.skip(f.tail); err != nil {
					return err
				}
			}
		}
		if err := file.read(last); err != nil {
			return err
		}
		if last {
			file.out.close()
		}
	}
	return nil
}
