package simulation

import "time"

// Seed is what a schedule follows from.
type Seed uint64

// dice are the chances of one decision: what is drawn from them depends on the
// seed and on what the decision is about, and on nothing else.
type dice struct{ state uint64 }

// about makes the dice of a decision, which is named by words.
func (s Seed) about(words ...string) *dice {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for _, word := range words {
		for i := range len(word) {
			h = (h ^ uint64(word[i])) * prime
		}
		h = (h ^ 0xff) * prime
	}
	return &dice{h ^ uint64(s)*0x9e3779b97f4a7c15}
}

// next is splitmix64.
func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below draws a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

// hits is true with a probability.
func (d *dice) hits(chance float64) bool { return float64(d.next()>>11)/(1<<53) < chance }

// between draws a span of time, to the nanosecond, so that no two are alike.
func (d *dice) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.next()%uint64(high-low+1))
}

// pick draws one of several.
func pick[T any](d *dice, of []T) T { return of[d.below(len(of))] }

// text draws letters and digits of the alphabet that ULIDs use.
func (d *dice) text(n int) string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[d.below(len(alphabet))]
	}
	return string(b)
}

// Text draws a name that follows from the seed, n letters and digits long.
func (s Seed) Text(what string, n int) string { return s.about(what).text(n) }

// Number draws a number that follows from the seed and some words.
func (s Seed) Number(words ...string) uint64 { return s.about(words...).next() }
