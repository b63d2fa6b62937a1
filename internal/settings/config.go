package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"gopkg.in/yaml.v3"

	"github.com/fcflow/fcflow/workflow"
)

// config is what the configuration file says.
type config struct {
	global   map[string]Value
	profiles map[string]map[string]Value
}

func (c config) names() []string { return slices.Sorted(maps.Keys(c.profiles)) }

const maxConfigBytes = 1 << 20

// readConfig reads the file. One that others may write is refused, and so is
// one that holds a secret and that others may read.
func readConfig(name string) (config, error) {
	c := config{global: map[string]Value{}, profiles: map[string]map[string]Value{}}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return c, fmt.Errorf("%w: %s: %w", ErrInvalid, name, err)
	}
	if len(text) > maxConfigBytes {
		return c, fmt.Errorf("%w: %s is larger than 1 MiB", ErrInvalid, name)
	}
	r := reader{file: name, config: c}
	r.read(text)
	if err := checkOwner(f, r.secret); err != nil {
		r.problems = append(r.problems, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	return c, errors.Join(r.problems...)
}

// checkOwner makes sure that the file is ours, that nobody else can write it,
// and, if it is private, that nobody else can read it.
func checkOwner(f *os.File, private bool) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return checkMode(f.Name(), info.Mode(), int(info.Sys().(*syscall.Stat_t).Uid), os.Geteuid(), private)
}

func checkMode(name string, mode fs.FileMode, owner, me int, private bool) error {
	switch mode = mode.Perm(); {
	case owner != me && owner != 0:
		return fmt.Errorf("%s belongs to user %d", name, owner)
	case private && mode&0o077 != 0:
		return fmt.Errorf("%s holds a secret and others may use it (mode %04o); run: chmod 600 %s", name, mode, name)
	case mode&0o022 != 0:
		return fmt.Errorf("%s may be written by others (mode %04o); run: chmod go-w %s", name, mode, name)
	}
	return nil
}

// reader walks the YAML tree and collects what is wrong.
type reader struct {
	file     string
	config   config
	secret   bool
	problems []error
}

func (r *reader) fail(line int, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%w: %s:%d: %s", ErrInvalid, r.file, line, fmt.Sprintf(format, args...)))
}

func (r *reader) read(text []byte) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		r.problems = append(r.problems, fmt.Errorf("%w: %s: %w", ErrInvalid, r.file, err))
		return
	}
	if len(document.Content) == 0 {
		return // empty, or comments only
	}
	global, local := map[string]Setting{}, map[string]Setting{}
	for _, s := range All() {
		if s.Global {
			global[s.Key] = s
		} else {
			local[s.Key] = s
		}
	}
	r.mapping(document.Content[0], "the file", func(key, value *yaml.Node) {
		if key.Value != "profiles" {
			r.setting(key, value, key.Value, global, []string{"profiles"}, r.config.global)
			return
		}
		r.mapping(value, "profiles", func(key, value *yaml.Node) {
			values := map[string]Value{}
			r.config.profiles[key.Value] = values
			r.profile(value, key.Value, local, values)
		})
	})
}

// profile reads the settings of one profile; a mapping in it is a group, whose
// members are settings with the group's name in front.
func (r *reader) profile(node *yaml.Node, name string, known map[string]Setting, values map[string]Value) {
	r.mapping(node, "profile "+name, func(key, value *yaml.Node) {
		group := key.Value + "."
		isGroup := func(k string) bool { return strings.HasPrefix(k, group) }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(known)), isGroup) {
			r.setting(key, value, key.Value, known, nil, values)
			return
		}
		r.mapping(value, key.Value, func(member, value *yaml.Node) {
			r.setting(member, value, group+member.Value, known, nil, values)
		})
	})
}

// setting reads one scalar.
func (r *reader) setting(key, value *yaml.Node, name string, known map[string]Setting, more []string, values map[string]Value) {
	setting, ok := known[name]
	switch {
	case !ok:
		hint := ""
		if near := workflow.Suggest(name, append(slices.Sorted(maps.Keys(known)), more...)); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		r.fail(key.Line, "unknown key %q%s", name, hint)
	case value.Kind != yaml.ScalarNode:
		r.fail(value.Line, "%s must be a single value", name)
	default:
		r.secret = r.secret || setting.Secret && value.Value != ""
		values[name] = Value{Text: value.Value, Source: fmt.Sprintf("%s:%d", r.file, value.Line)}
	}
}

// mapping calls each with the keys and values of a mapping.
func (r *reader) mapping(node *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		r.fail(node.Line, "%s must be a mapping", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if seen[key.Value] {
			r.fail(key.Line, "%q is written twice", key.Value)
			continue
		}
		seen[key.Value] = true
		each(key, node.Content[i+1])
	}
}
