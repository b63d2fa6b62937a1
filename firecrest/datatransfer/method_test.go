package datatransfer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fcflow/fcflow/firecrest"
)

// How a file goes, by what releases of the server say of a system.
func TestMethodOfASystem(t *testing.T) {
	t.Parallel()
	const limit = 5 << 20
	for name, test := range map[string]struct {
		system    string
		want, got firecrest.TransferMethod
		complaint string // "" is none
	}{
		"told":              {`{"dataOperation":{"max_ops_file_size":5242880,"data_transfer":{"serviceType":"streamer"}}}`, Auto, firecrest.MethodStreamer, ""},
		"another is wanted": {`{"dataOperation":{"max_ops_file_size":5242880,"data_transfer":{"serviceType":"streamer"}}}`, firecrest.MethodS3, "", "by streamer, not by s3"},
		"none":              {`{"name":"nodt","dataOperation":{"max_ops_file_size":5242880,"data_transfer":null}}`, Auto, "", "nodt moves no file of 5242881 bytes: at most 5242880"},
		"not told":          {`{"datatransferJobsDirectives":[]}`, Auto, firecrest.MethodS3, ""},
	} {
		var facts firecrest.System
		if err := json.Unmarshal([]byte(test.system), &facts); err != nil {
			t.Fatal(err)
		}
		got, err := method(&facts, test.want, limit+1, limit)
		if got != test.got || (err != nil) != (test.complaint != "") || err != nil && !strings.Contains(err.Error(), test.complaint) {
			t.Errorf("%s: got %q, %v; want %q, %q", name, got, err, test.got, test.complaint)
		}
	}
}
