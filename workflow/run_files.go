package workflow

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// RunFiles are what is known of file inputs where they are so many that the event
// before them has no room: the first of the run, or a [RunReplanned]. They are
// durable together with it.
type RunFiles struct {
	Files map[string]FileFacts `json:"files"`
}

// Kind names the event.
func (*RunFiles) Kind() EventKind { return "run.files" }

func (p *RunFiles) apply(r *Run, _ *Event) error {
	if r.State.Terminal() {
		return errors.New("the run is " + string(r.State))
	}
	all := maps.Clone(r.Created.Files) // the map is that of an event
	if all == nil {
		all = map[string]FileFacts{}
	}
	maps.Copy(all, p.Files)
	r.Created.Files = all
	return nil
}

const (
	// maxOwnFiles bounds what an event keeps itself that has the inputs, too.
	maxOwnFiles = 16 << 10
	// maxFilesPart bounds an event that has nothing else.
	maxFilesPart = 32 << 10
)

// CutFiles takes the files out of the event if they are too many for it, and returns
// the events that are to follow.
func (p *RunCreated) CutFiles() []Payload { return cutFiles(&p.Files) }

// cutFiles does that for any event.
func cutFiles(files *map[string]FileFacts) (rest []Payload) {
	sizes, all := map[string]int{}, 0
	for name, facts := range *files {
		text, err := json.Marshal(map[string]FileFacts{name: facts})
		if err != nil { // an instant beyond the year 9999: whoever stores the event refuses it
			return nil
		}
		sizes[name] = len(text)
		all += len(text)
	}
	if all <= maxOwnFiles {
		return nil
	}
	part, size := &RunFiles{}, 0
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		if size += sizes[name]; part.Files == nil || size > maxFilesPart {
			part, size = &RunFiles{Files: map[string]FileFacts{}}, sizes[name]
			rest = append(rest, part)
		}
		part.Files[name] = (*files)[name]
	}
	*files = nil
	return rest
}
