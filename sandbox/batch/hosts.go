package batch

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var hostItem = regexp.MustCompile(`^([A-Za-z0-9.-]+)(?:\[([0-9,-]+)\])?$`)

// maxHosts is far above any system worth imitating.
const maxHosts = 10_000

// Hosts is the names in a host list: nid001, nid[001-004,007], or several of
// them with commas between. An empty list names nobody.
func Hosts(list string) ([]string, error) {
	var names []string
	for _, item := range splitOutside(list) {
		m := hostItem.FindStringSubmatch(item)
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
			if err := cmp.Or(err1, err2); err != nil || to < from || to-from >= maxHosts-len(names) {
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

// hostList is the short form of names: neighbours that count up become a range.
func hostList(names []string) string {
	var items []string
	for len(names) > 0 {
		prefix, digits := splitNumber(names[0])
		n, _ := strconv.Atoi(digits)
		run := 1
		for run < len(names) && digits != "" && names[run] == fmt.Sprintf("%s%0*d", prefix, len(digits), n+run) {
			run++
		}
		if run == 1 {
			items = append(items, names[0])
		} else {
			items = append(items, fmt.Sprintf("%s[%s-%0*d]", prefix, digits, len(digits), n+run-1))
		}
		names = names[run:]
	}
	return strings.Join(items, ",")
}

func splitNumber(name string) (prefix, digits string) {
	prefix = strings.TrimRight(name, "0123456789")
	return prefix, name[len(prefix):]
}
