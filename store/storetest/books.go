package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fcflow/fcflow/workflow"
)

// Books tests a kind of book. Each call of place makes an empty one; the function
// it returns opens that same book again.
func Books(t *testing.T, place func(t *testing.T) (open func() (workflow.Book, error))) {
	for name, test := range map[string]func(*testing.T, func() (workflow.Book, error)){
		"values":    testBookValues,
		"outlives":  testBookOutlives,
		"one owner": testBookOwner,
		"nonce":     func(t *testing.T, open func() (workflow.Book, error)) { testBookNonce(t, open, place(t)) },
		"stops":     testBookStops,
		"closed":    testBookClosed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, place(t))
		})
	}
}

func openBook(t *testing.T, open func() (workflow.Book, error)) workflow.Book {
	t.Helper()
	b, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func write(t *testing.T, b workflow.Book, changes map[string][]byte) {
	t.Helper()
	if err := b.Write(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

// holds compares what a book has, in its order.
func holds(t *testing.T, b workflow.Book, want ...string) {
	t.Helper()
	got := []string{}
	err := b.Read(t.Context(), func(key string, value []byte) error {
		got = append(got, fmt.Sprintf("%s=%s", key, value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("the book holds (-want +got):\n%s", diff)
	}
}

func testBookValues(t *testing.T, open func() (workflow.Book, error)) {
	b := openBook(t, open)
	holds(t, b)
	mine := []byte("1")
	write(t, b, map[string][]byte{"b": mine, "a\x00x": []byte("2"), "empty": {}})
	mine[0] = '9' // the book has its own
	holds(t, b, "a\x00x=2", "b=1", "empty=")
	write(t, b, map[string][]byte{"b": []byte("3"), "a\x00x": nil, "never": nil})
	holds(t, b, "b=3", "empty=")
}

func testBookOutlives(t *testing.T, open func() (workflow.Book, error)) {
	b := openBook(t, open)
	write(t, b, map[string][]byte{"a": []byte("1")})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, openBook(t, open), "a=1")
}

func testBookOwner(t *testing.T, open func() (workflow.Book, error)) {
	b := openBook(t, open)
	if second, err := open(); !errors.Is(err, workflow.ErrOwned) {
		t.Fatalf("opened twice: %v, %v", second, err)
	}
	write(t, b, map[string][]byte{"a": []byte("1")})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	openBook(t, open)
}

func testBookNonce(t *testing.T, open, other func() (workflow.Book, error)) {
	b := openBook(t, open)
	nonce := b.Nonce()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openBook(t, open).Nonce(); again != nonce || len(nonce) < 20 {
		t.Errorf("the nonce is %q, then %q", nonce, again)
	}
	if openBook(t, other).Nonce() == nonce {
		t.Error("two books have one nonce")
	}
}

func testBookStops(t *testing.T, open func() (workflow.Book, error)) {
	b := openBook(t, open)
	write(t, b, map[string][]byte{"a": []byte("1"), "b": []byte("2")})
	enough, calls := errors.New("enough"), 0
	err := b.Read(t.Context(), func(string, []byte) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Write(ctx, map[string][]byte{"c": []byte("3")}); !errors.Is(err, context.Canceled) {
		t.Errorf("written: %v", err)
	}
	holds(t, b, "a=1", "b=2")
}

func testBookClosed(t *testing.T, open func() (workflow.Book, error)) {
	b := openBook(t, open)
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if err := b.Write(t.Context(), map[string][]byte{"a": []byte("1")}); err == nil {
		t.Error("written after it was closed")
	}
	if err := b.Read(t.Context(), func(string, []byte) error { return nil }); err == nil {
		t.Error("read after it was closed")
	}
}
