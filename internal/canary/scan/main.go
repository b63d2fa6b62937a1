// Command scan looks through directories for canaries: values of environment
// variables that were given to programs as secrets.
//
//	CANARY_A=… CANARY_B=… go run ./internal/canary/scan DIR…
//
// Every variable whose name begins with CANARY_ is one. Found values are not
// printed.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/fcflow/fcflow/internal/canary"
)

func main() {
	found, err := scan(os.Args[1:], os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "scan:", err)
		os.Exit(2)
	}
	if found {
		os.Exit(1)
	}
}

func scan(dirs, environment []string) (found bool, err error) {
	canaries := map[string]string{}
	for _, v := range environment {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CANARY_") {
			canaries[name] = value
		}
	}
	if len(canaries) == 0 || len(dirs) == 0 {
		return false, fmt.Errorf("name directories, and set a variable CANARY_… for each canary")
	}
	scanner, err := canary.NewScanner(canaries)
	if err != nil {
		return false, err
	}
	for _, dir := range dirs {
		hits, seen, err := scanner.Tree(dir)
		if err != nil {
			return false, err
		}
		for _, h := range hits {
			fmt.Println(h)
		}
		fmt.Printf("%s: %s, %d hits of %d canaries\n", dir, seen, len(hits), len(canaries))
		found = found || len(hits) > 0
	}
	return found, nil
}
