package oracle

import "fmt"

// scope is what an expression may name.
type scope struct {
	roots  map[string]any  // inputs, matrix, each, steps, attempt
	status map[string]bool // success and the like
	item   any             // of the closure
}

// evaluate computes an expression. A result of nothing is an error.
func evaluate(n *node, sc scope) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			failure, ok := p.(evalError)
			if !ok {
				panic(p)
			}
			err = failure.error
		}
	}()
	if v = sc.eval(n); v == nil {
		evalFail("the expression gives nothing")
	}
	return v, nil
}

// evalError is thrown by what cannot be evaluated.
type evalError struct{ error }

func evalFail(format string, args ...any) { panic(evalError{fmt.Errorf(format, args...)}) }

func (sc scope) eval(n *node) any {
	switch n.kind {
	case literalNode:
		return n.value
	case listNode:
		list := []any{}
		for _, kid := range n.kids {
			list = append(list, sc.eval(kid))
		}
		return list
	case nameNode:
		if n.text == "#" {
			return sc.item
		}
		return sc.roots[n.text]
	case memberNode:
		v, _ := sc.member(n)
		return v
	case indexNode:
		list, i := sc.list(n.kids[0]), int(sc.number(n.kids[1]))
		if i < 0 || i >= len(list) {
			evalFail("there is no item %d", i)
		}
		return list[i]
	case callNode:
		return sc.call(n)
	case notNode:
		return !sc.truth(n.kids[0])
	case condNode:
		if sc.truth(n.kids[0]) {
			return sc.eval(n.kids[1])
		}
		return sc.eval(n.kids[2])
	}
	return sc.binary(n)
}

// member follows a chain. A ?. behind which there is nothing ends the whole chain,
// which is nothing then; any other member of nothing is an error.
func (sc scope) member(n *node) (v any, ended bool) {
	of := n.kids[0]
	var from any
	if of.kind == memberNode {
		if from, ended = sc.member(of); ended {
			return nil, true
		}
	} else {
		from = sc.eval(of)
	}
	if from == nil && n.optional {
		return nil, true
	}
	o, ok := from.(*object)
	if !ok {
		evalFail("there is no value to take %s from", n.text)
	}
	return o.get(n.text), false
}

func (sc scope) truth(n *node) bool {
	v, ok := sc.eval(n).(bool)
	if !ok {
		evalFail("neither true nor false")
	}
	return v
}

func (sc scope) number(n *node) float64 {
	v, ok := sc.eval(n).(float64)
	if !ok {
		evalFail("no number")
	}
	return v
}

func (sc scope) list(n *node) []any {
	v, ok := sc.eval(n).([]any)
	if !ok {
		evalFail("no list")
	}
	return v
}

func (sc scope) binary(n *node) any {
	left, right := n.kids[0], n.kids[1]
	switch n.text {
	case "||", "or":
		return sc.truth(left) || sc.truth(right)
	case "&&", "and":
		return sc.truth(left) && sc.truth(right)
	case "??":
		if v := sc.eval(left); v != nil {
			return v
		}
		return sc.eval(right)
	case "==":
		return same(sc.eval(left), sc.eval(right))
	case "!=":
		return !same(sc.eval(left), sc.eval(right))
	case "in":
		v := sc.eval(left)
		for _, item := range sc.list(right) {
			if same(v, item) {
				return true
			}
		}
		return false
	}
	a, b := sc.number(left), sc.number(right)
	switch n.text {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "-":
		return a - b
	}
	return a + b
}

func (sc scope) call(n *node) any {
	if answer, ok := sc.status[n.text]; ok && len(n.kids) == 0 {
		return answer
	}
	list := sc.list(n.kids[0])
	switch n.text {
	case "len":
		return float64(len(list))
	case "sum":
		total := 0.0
		for _, item := range list {
			v, ok := item.(float64)
			if !ok {
				evalFail("no number")
			}
			total += v
		}
		return total
	}
	kept := []any{}
	for _, item := range list {
		sc.item = item
		switch n.text {
		case "map":
			kept = append(kept, sc.eval(n.kids[1]))
		case "filter":
			if sc.truth(n.kids[1]) {
				kept = append(kept, item)
			}
		case "any", "all": // until one decides
			if sc.truth(n.kids[1]) == (n.text == "any") {
				return n.text == "any"
			}
		default:
			evalFail("there is no function %s", n.text)
		}
	}
	if n.text == "any" || n.text == "all" {
		return n.text == "all"
	}
	return kept
}
