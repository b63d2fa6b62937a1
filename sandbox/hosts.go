package sandbox

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// defaultNodes are the nodes of a system that lists none.
var defaultNodes = []NodeConfig{{Name: "nid[001-004]"}}

var hostList = regexp.MustCompile(`^([A-Za-z0-9.-]+)(?:\[([0-9,-]+)\])?$`)

// maxHosts is far above any system worth imitating.
const maxHosts = 10_000

// expandHosts is the names in a host list: nid001, nid[001-004,007], or several
// of them with commas between.
func expandHosts(list string) ([]string, error) {
	var names []string
	for _, item := range splitOutside(list) {
		m := hostList.FindStringSubmatch(item)
		if m == nil {
			return nil, fmt.Errorf("host list %q: want names such as nid001 or nid[001-004]", list)
		}
		if m[2] == "" {
			names = append(names, item)
			continue
		}
		for _, span := range strings.Split(m[2], ",") {
			first, last, isSpan := strings.Cut(span, "-")
			if !isSpan {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err := cmp.Or(err1, err2); err != nil || to < from || len(names)+to-from > maxHosts {
				return nil, fmt.Errorf("host list %q: the range %q is no good", list, span)
			}
			for n := from; n <= to; n++ {
				names = append(names, fmt.Sprintf("%s%0*d", m[1], len(first), n))
			}
		}
	}
	return names, nil
}

// splitOutside splits at the commas that are not between brackets.
func splitOutside(list string) []string {
	depth := 0
	return strings.FieldsFunc(list, func(c rune) bool {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		}
		return c == ',' && depth == 0
	})
}

// node is one node with what it has.
type node struct {
	NodeConfig
	name string
}

// nodes of the system, in order.
func (sys *SystemConfig) nodes() []node {
	var all []node
	listed := sys.Nodes
	if len(listed) == 0 {
		listed = defaultNodes
	}
	for _, c := range listed {
		c.CPUs, c.Sockets, c.MemoryMB = cmp.Or(c.CPUs, 128), cmp.Or(c.Sockets, 1), cmp.Or(c.MemoryMB, 256_000)
		names, _ := expandHosts(c.Name) // checked when the description was read
		for _, name := range names {
			all = append(all, node{c, name})
		}
	}
	return all
}

// hosts are the names of the system's nodes.
func (sys *SystemConfig) hosts() []string {
	var names []string
	for _, n := range sys.nodes() {
		names = append(names, n.name)
	}
	return names
}

// hostsOf are the names in a list; "" stands for all of the system.
func (sys *SystemConfig) hostsOf(list string) []string {
	if list == "" {
		return sys.hosts()
	}
	names, _ := expandHosts(list) // checked when the description was read
	return names
}
