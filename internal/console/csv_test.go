package console

import (
	"bytes"
	"encoding/csv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCSV(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	streams := Plain(nil, &b, &b)
	streams.Secrets.Add("hunter2")
	records := [][]string{
		{"a", "b", "c"},
		{"plain", `say "hi"`, "1,5"},
		{"", " x", "two\nlines"},
		{"hunter2", "", "\x1b[2J"},
	}
	streams.Out.CSV(records)
	want := "a,b,c\r\nplain,\"say \"\"hi\"\"\",\"1,5\"\r\n,\" x\",\"two\nlines\"\r\n«redacted»,,\\x1b[2J\r\n"
	if got := b.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	back, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	records[3] = []string{"«redacted»", "", `\x1b[2J`}
	if diff := cmp.Diff(records, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}
