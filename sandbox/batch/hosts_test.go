package batch

import (
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"nid001":                 "nid001",
		"nid[001-003]":           "nid001 nid002 nid003",
		"nid[9-10,12],login1,n2": "nid9 nid10 nid12 login1 n2",
		"":                       "",
	} {
		got, err := Hosts(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q is %q, %v, want %q", list, got, err, want)
		}
		if again, err := Hosts(hostList(got)); err != nil || strings.Join(again, " ") != want {
			t.Errorf("%q is written as %q and read as %q, %v", list, hostList(got), again, err)
		}
	}
	for _, list := range []string{"n[", "n[1-]", "n[a-b]", "n[3-1]", "n[1-99999]", "n[1-2],n[0-9223372036854775807]", "a b", "n[1-2]x"} {
		if got, err := Hosts(list); err == nil {
			t.Errorf("%q is %q, want an error", list, got)
		}
	}
	for names, want := range map[string]string{
		"nid001":                   "nid001",
		"nid001 nid002 nid003 x":   "nid[001-003],x",
		"n9 n10 n12":               "n[9-10],n12",
		"nid098 nid099 nid100":     "nid[098-100]",
		"login nid001 other1 nid2": "login,nid001,other1,nid2",
	} {
		if got := hostList(strings.Fields(names)); got != want {
			t.Errorf("%q is written as %q, want %q", names, got, want)
		}
	}
}
