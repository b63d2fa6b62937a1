package datatransfer

import "testing"

func TestMentions(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]bool{
		`curl -o "/a/b.bin" x`: true, "x=/a/b.bin\n": true, "/a/b.bin": true, "rm '/a/b.bin'": true,
		"/a/b.bin.1": false, "/a/b.bin2 ": false, "": false, "/a/b.binx /a/b.bin ": true,
	} {
		if got := mentions(script, "/a/b.bin"); got != want {
			t.Errorf("%q: %v", script, got)
		}
	}
}
