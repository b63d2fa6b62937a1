package main

import (
	"strings"
	"testing"

	"github.com/fcflow/fcflow/internal/compare"
)

// TestChangeText: of long values people see where they begin to differ.
func TestChangeText(t *testing.T) {
	t.Parallel()
	same := strings.Repeat("x", 100)
	for want, c := range map[string]compare.Change{
		"n: 2 → 4":                                {Name: "n", A: []byte("2"), B: []byte("4")},
		"n: – → 4":                                {Name: "n", B: []byte("4")},
		"n: …xxxxxxxx1 → …xxxxxxxx2":              {Name: "n", A: []byte(same + "1"), B: []byte(same + "2")},
		"n: …xxxxxxxx → …xxxxxxxx2":               {Name: "n", A: []byte(same), B: []byte(same + "2")},
		"n: " + strings.Repeat("y", 47) + "… → 1": {Name: "n", A: []byte(strings.Repeat("y", 60)), B: []byte("1")},
	} {
		if got := changeText(&c); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
