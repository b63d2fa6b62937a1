package sandbox

import (
	"cmp"
	"slices"

	"github.com/fcflow/fcflow/sandbox/batch"
)

// defaultNodes are the nodes of a system that lists none.
var defaultNodes = []NodeConfig{{Name: "nid[001-004]"}}

// node is one node with what it has.
type node struct {
	NodeConfig
	name string
}

// isDown says whether a node runs nothing.
func (n node) isDown() bool {
	return slices.Contains([]string{"DOWN", "OFFLINE", "UNKNOWN", "DRAIN", "POWERING_DOWN"}, n.State)
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
		names, _ := batch.Hosts(c.Name) // checked when the description was read
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
	names, _ := batch.Hosts(list) // checked when the description was read
	return names
}
