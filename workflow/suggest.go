package workflow

import "fmt"

// Suggest returns the known name that name was probably meant to be, or "".
// Near means few edits for the length: one for up to four characters, two for
// up to eight, three beyond.
func Suggest(name string, known []string) string {
	const longest = 64 // nobody mistypes a longer name, and the cost is quadratic
	if len(name) > longest {
		return ""
	}
	best, limit := "", 1+min(2, max(0, len(name)-1)/4)
	for _, k := range known {
		if len(k) > longest || k == name {
			continue
		}
		if d := editDistance(name, k); d <= limit && d < len(name) {
			best, limit = k, d-1
		}
	}
	return best
}

// didYouMean is the hint for a name that is not known; "" when none is near.
func didYouMean(name string, known []string) string {
	if near := Suggest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
