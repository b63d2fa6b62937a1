package datatransfer

import (
	"net/http"
	"sync"
	"testing"
)

// TestChunkSize: whatever the size of a file, no connection is left without work
// while others have two pieces, and pieces are of whole mebibytes.
func TestChunkSize(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	tests := []struct {
		size, want int64 // bytes
	}{
		{0, mib},
		{1, mib},
		{5*mib + 1, mib},
		{8 * mib, mib},
		{40 * mib, 5 * mib},
		{64 * mib, 8 * mib},
		{72 * mib, 9 * mib},
		{128 * mib, 8 * mib},
		{1 << 30, 32 * mib},
		{1<<30 + 1, 33 * mib},
		{1 << 40, 64 * mib},
	}
	for _, test := range tests {
		m := &Mover{settings: Settings{Connections: 8}}
		if got := m.chunkSize(test.size); got != test.want {
			t.Errorf("of %d bytes: ranges of %d, not %d", test.size, got, test.want)
		}
	}
	for size := int64(1); size < 3<<30; size += 5*mib + 12345 {
		for _, connections := range []int64{1, 3, 8} {
			m := &Mover{settings: Settings{Connections: int(connections)}}
			chunk := m.chunkSize(size)
			if chunk%mib != 0 || chunk <= 0 || chunk > maxChunk {
				t.Fatalf("of %d bytes on %d connections: ranges of %d", size, connections, chunk)
			}
			pieces := (size + chunk - 1) / chunk
			turns := (pieces + connections - 1) / connections
			if longest, even := turns*chunk, size/connections; longest > even+turns*mib {
				t.Fatalf("of %d bytes on %d connections: one has to fetch %d, with ranges of %d", size, connections, longest, chunk)
			}
		}
	}
	if got := (&Mover{settings: Settings{Connections: 8, Chunk: 1000}}).chunkSize(1 << 30); got != 1000 {
		t.Errorf("the setting gives ranges of %d", got)
	}
}

// TestConnectionsAreUsedAgain: what looked at the object fetches a range of it, and
// then the next.
func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.set(content(300))
	peers := map[string]int{}
	var mu sync.Mutex
	s.misbehave(func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		mu.Lock()
		defer mu.Unlock()
		peers[r.RemoteAddr]++
		return false
	})
	m := s.mover()
	m.settings.Connections = 1
	if _, err := m.lookAt(t.Context(), s.link("")); err != nil {
		t.Fatal(err)
	}
	got, err := fetched(t.Context(), t, m, &ranges{link: s.link(""), size: 300, chunk: 100})
	if err != nil || !s.holds(got) {
		t.Fatalf("%d other bytes, %v", len(got), err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(peers) != 1 {
		t.Errorf("4 requests came over %d connections: %v", len(peers), peers)
	}
}
