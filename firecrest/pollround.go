package firecrest

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// listing is what one list showed.
type listing struct {
	at    time.Time     // asked for
	reach time.Duration // how far back it goes; negative: there is no list
	rows  []Job
}

// reaches reports whether a job submitted at a time would be in the list, if
// the scheduler knew of it.
func (l listing) reaches(since time.Time) bool {
	return l.reach >= l.at.Sub(since)+clockSlack
}

// ask lists the jobs once and tells the watches what is new. It reports
// whether the state of a job changed.
func (p *Poller) ask(watches []*watch) (changed bool) {
	p.starved = false
	list, err := p.list(watches)
	if p.context.Err() != nil {
		return false
	}
	if err != nil {
		for _, w := range watches {
			p.tellOutage(w, list.at, err)
		}
		return false
	}
	rows := make([][]Job, len(watches))
	witness := false
	index := indexed(list.rows)
	for i, w := range watches {
		rows[i] = index.match(w.query)
		witness = witness || len(rows[i]) > 0
	}
	for i, w := range watches {
		if p.update(w, list, rows[i], witness) {
			changed = true
		}
	}
	return changed
}

// update looks at the rows of one watch; without any it asks by id, now and
// then.
func (p *Poller) update(w *watch, list listing, rows []Job, witness bool) (changed bool) {
	job, listed := Aggregate(rows)
	at := list.at
	switch {
	case !listed && w.query.ID == "":
		p.tellAbsent(w, list, witness)
		return false
	case !listed:
		return p.updateUnlisted(w, at)
	case job.Status.State.IsTerminal() && job.Status.ExitCode == nil && !w.confirmed:
		// Only the queue knows of the end as yet; the rest may be had by id.
		found, err := p.lookup(w, job.ID)
		if err == errStarved {
			return false
		}
		w.confirmed = true
		if err == nil {
			job, at = found, w.looked
		}
	}
	return p.tell(w, at, job)
}

func (p *Poller) updateUnlisted(w *watch, at time.Time) (changed bool) {
	listless := p.maxWindow < 0
	due := w.looked.IsZero() || time.Since(w.looked) >= p.settings.LookupEvery
	job, err := Job{}, errStarved
	if due {
		job, err = p.lookup(w, w.query.ID)
	}
	switch {
	case p.context.Err() != nil:
		return false
	case err == errStarved:
		if !listless {
			p.tellNoOutage(w, at)
		}
		return false
	case err == nil:
		return p.tell(w, w.looked, job)
	case errors.Is(err, ErrNotFound):
		p.tellUnknown(w, w.looked)
	case listless:
		p.tellOutage(w, w.looked, err)
	default:
		p.tellNoOutage(w, at)
	}
	return false
}

// errStarved is what a lookup ends with that has to be left for later.
var errStarved = errors.New("too many jobs were asked for by id in this minute")

// lookup asks for one job by id.
func (p *Poller) lookup(w *watch, id JobID) (Job, error) {
	end, ok := p.BeginLookup()
	if !ok {
		p.starved = true
		return Job{}, errStarved
	}
	defer end()
	w.looked = time.Now()
	rows, err := p.reader.Get(withoutRetry(p.context), p.system, id)
	if err != nil {
		return Job{}, err
	}
	job, found := Aggregate(w.query.matchAnswer(rows))
	if !found {
		return Job{}, ErrNotFound // PBS answers with no rows, or the id is somebody else's by now
	}
	return job, nil
}

// tell reports a job if something about it is new, and ends the watch of one
// that is over.
func (p *Poller) tell(w *watch, at time.Time, job Job) (changed bool) {
	changed = w.job.ID == "" || job.Status.State.Name() != w.job.Status.State.Name()
	isNew := changed || job.Status.Reason != w.job.Status.Reason || w.outage || w.unknown
	w.job, w.outage, w.unknown = job, false, false
	if !isNew {
		return false
	}
	if job.Status.State.IsTerminal() {
		w.release()
		p.forget(w)
	}
	w.notify(Observation{At: at, Job: job})
	return changed
}

func (p *Poller) tellOutage(w *watch, at time.Time, err error) {
	if !w.outage {
		w.outage = true
		w.notify(Observation{At: at, Job: w.job, Outage: err})
	}
}

// tellNoOutage ends an outage for a watch whose job is not to be seen.
func (p *Poller) tellNoOutage(w *watch, at time.Time) {
	if w.outage {
		w.outage = false
		w.notify(Observation{At: at, Job: w.job, Unknown: w.unknown})
	}
}

// tellAbsent tells of each list that would show a job of the token. One that
// goes back less far says nothing but that the server answers.
func (p *Poller) tellAbsent(w *watch, list listing, witness bool) {
	switch {
	case list.reaches(w.query.Since):
		w.outage = false
		w.notify(Observation{At: list.at, Job: w.job, Absent: true, Witness: witness})
	case list.reach >= 0:
		p.tellNoOutage(w, list.at)
	}
}

func (p *Poller) tellUnknown(w *watch, at time.Time) {
	if time.Since(w.query.Since) < p.settings.Grace || w.unknown && !w.outage {
		p.tellNoOutage(w, at)
		return
	}
	w.unknown, w.outage = true, false
	w.notify(Observation{At: at, Job: w.job, Unknown: true})
}

// windows that a list can be asked for, and how far back each goes.
var windows = []struct {
	window Window
	span   time.Duration
}{
	{Window1h, time.Hour},
	{Window8h, 8 * time.Hour},
	{Window24h, 24 * time.Hour},
	{Window3d, 3 * 24 * time.Hour},
	{Window7d, 7 * 24 * time.Hour},
}

// clockSlack is how far the clocks here and there may be apart.
const clockSlack = 5 * time.Minute

// list lists the jobs with the smallest window that reaches back to the oldest
// submission. If the server cannot give such a list, because it would be too
// long, smaller windows are tried, from then on. With none left there are no
// rows and no error: jobs are asked for by id.
func (p *Poller) list(watches []*watch) (listing, error) {
	now := time.Now()
	oldest := now
	for _, w := range watches {
		oldest = earlier(oldest, w.query.Since)
	}
	need := 0
	for need < len(windows)-1 && windows[need].span < now.Sub(oldest)+clockSlack {
		need++
	}
	for p.maxWindow >= 0 {
		window := min(need, p.maxWindow)
		list := listing{at: now, reach: windows[window].span}
		rows, err := p.reader.List(withoutRetry(p.context), p.system, &JobListOptions{Window: windows[window].window})
		if err == nil || !isOutputLimit(err) {
			list.rows = rows
			return list, err
		}
		p.maxWindow = window - 1
		now = time.Now()
	}
	return listing{at: now, reach: -1}, nil
}

// isOutputLimit reports whether a list was too long for the server.
func isOutputLimit(err error) bool {
	var failure *Error
	if !errors.As(err, &failure) {
		return false
	}
	const text = "output exceeded buffer limit"
	return failure.Status == http.StatusRequestEntityTooLarge || strings.Contains(failure.Message, text) ||
		slices.ContainsFunc(failure.CausedBy, func(s string) bool { return strings.Contains(s, text) })
}

// index finds the rows of a job among thousands.
type index struct {
	byID   map[JobID][]Job // by the id without the part of an array
	byName []Job           // sorted
}

func indexed(rows []Job) index {
	x := index{byID: map[JobID][]Job{}, byName: slices.Clone(rows)}
	for _, row := range rows {
		if row.ID != "" {
			x.byID[row.ID.Base()] = append(x.byID[row.ID.Base()], row)
		}
	}
	slices.SortStableFunc(x.byName, func(a, b Job) int { return strings.Compare(a.Name, b.Name) })
	return x
}

// match picks the rows of a list that belong to the job. Without an id, of
// several jobs whose names fit the one submitted first is meant.
func (x index) match(q Query) []Job {
	id := q.ID
	if id == "" {
		first, _ := slices.BinarySearchFunc(x.byName, q.Token, func(row Job, token string) int { return strings.Compare(row.Name, token) })
		for _, row := range x.byName[first:] {
			if !q.fits(row) {
				break
			}
			if base := row.ID.Base(); base != "" && (id == "" || base.Compare(id) < 0) {
				id = base
			}
		}
	}
	return q.matchAnswer(x.byID[id])
}

// matchAnswer picks rows of an answer that was asked for by id. Tasks of
// arrays may come under ids of their own.
func (q Query) matchAnswer(rows []Job) []Job {
	var matched []Job
	for _, row := range rows {
		if q.fits(row) {
			matched = append(matched, row)
		}
	}
	return matched
}

func (q Query) fits(row Job) bool {
	return q.Token == "" && q.ID != "" || q.Token != "" && strings.HasPrefix(row.Name, q.Token)
}

// Compare orders ids as numbers: the one that was given out first is less.
func (id JobID) Compare(other JobID) int {
	return cmp.Or(len(id)-len(other), cmp.Compare(id, other))
}
