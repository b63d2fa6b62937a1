package datatransfer

import (
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

// TestDeclaredSize: the service is told of as large a file as gives addresses for
// parts of the size that is wanted, and of more parts than an object may have,
// never.
func TestDeclaredSize(t *testing.T) {
	t.Parallel()
	const mebibyte, own = int64(1 << 20), int64(1 << 30)
	facts := &firecrest.System{Transfer: &firecrest.Transfer{MaxPartSize: own}}
	for _, test := range []struct{ size, part, want int64 }{
		{20 * mebibyte, 0, 20 * mebibyte},
		{20 * mebibyte, mebibyte, 20 * mebibyte},
		{20 * mebibyte, 5 * mebibyte, 3*own + 1},
		{20*mebibyte + 1, 5 * mebibyte, 4*own + 1},
		{20 * mebibyte, 2 * own, 20 * mebibyte},
		{mostParts * 5 * mebibyte, 5 * mebibyte, (mostParts-1)*own + 1},
		{mostParts*5*mebibyte + 1, 5 * mebibyte, mostParts*5*mebibyte + 1},
	} {
		u := &Upload{PartSize: test.part, state: uploadState{Size: test.size}}
		if got := u.declared(facts); got != test.want {
			t.Errorf("%d bytes in parts of %d: %d, want %d", test.size, test.part, got, test.want)
		}
	}
}
