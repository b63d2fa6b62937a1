package workflow

import (
	"syscall"
	"testing"
	"time"
)

// cpu is the time for which this process has kept processors busy: unlike that of the
// clock it does not depend on what else the machine does. It must not be asked while
// other tests run.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
