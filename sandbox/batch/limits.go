package batch

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// parseTimeLimit reads the forms of --time: minutes, MM:SS, HH:MM:SS, D-HH,
// D-HH:MM, D-HH:MM:SS, and the words for no limit, which is 0. Slurm rounds up
// to the minute; here the second counts, so that trying a limit out does not
// take a minute.
func parseTimeLimit(s string) (time.Duration, bool) {
	switch strings.ToUpper(s) {
	case "-1", "INFINITE", "UNLIMITED":
		return 0, true
	}
	days, clock, hasDays := strings.Cut(s, "-")
	if !hasDays {
		days, clock = "0", s
	}
	fields := strings.Split(clock, ":")
	if len(fields) > 3 {
		return 0, false
	}
	// The first field is hours after days or among three, else minutes.
	units := []int64{60, 1}
	if hasDays || len(fields) == 3 {
		units = []int64{3600, 60, 1}
	}
	d, ok := digits(days)
	seconds := d * 24 * 3600
	for i, field := range fields {
		n, valid := digits(field)
		ok = ok && valid
		seconds += n * units[min(i, len(units)-1)]
	}
	if !ok || seconds > int64(math.MaxInt64/time.Second) {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}

// digits reads an unsigned number small enough that a sum of products of a few
// of them cannot overflow.
func digits(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int64(n), err == nil
}

// parseWarning reads the value of --signal: [B:]SIGNAL[@SECONDS]. Without B:
// the signal is for what srun started, as the script itself may not expect it.
func parseWarning(s string) (warning, bool) {
	w := warning{Before: time.Minute, Target: JobSteps}
	if rest, ok := strings.CutPrefix(s, "B:"); ok {
		w.Target, s = BatchShell, rest
	}
	name, before, hasBefore := strings.Cut(s, "@")
	if hasBefore {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil {
			return warning{}, false
		}
		w.Before = time.Duration(n) * time.Second
	}
	var ok bool
	w.Signal, ok = parseSignal(name)
	return w, ok
}

func parseSignal(s string) (syscall.Signal, bool) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil {
		return syscall.Signal(n), n > 0 && n < 65
	}
	switch strings.TrimPrefix(strings.ToUpper(s), "SIG") {
	case "HUP":
		return syscall.SIGHUP, true
	case "INT":
		return syscall.SIGINT, true
	case "QUIT":
		return syscall.SIGQUIT, true
	case "ABRT":
		return syscall.SIGABRT, true
	case "KILL":
		return syscall.SIGKILL, true
	case "USR1":
		return syscall.SIGUSR1, true
	case "USR2":
		return syscall.SIGUSR2, true
	case "ALRM":
		return syscall.SIGALRM, true
	case "TERM":
		return syscall.SIGTERM, true
	case "CONT":
		return syscall.SIGCONT, true
	case "STOP":
		return syscall.SIGSTOP, true
	case "TSTP":
		return syscall.SIGTSTP, true
	case "URG":
		return syscall.SIGURG, true
	case "XCPU":
		return syscall.SIGXCPU, true
	}
	return 0, false
}

// signalText is the name of a signal as Slurm puts it into a reason.
func signalText(n int) string {
	if n >= 34 {
		return fmt.Sprintf("Real-time_signal_%d", n-34)
	}
	text := strings.ReplaceAll(syscall.Signal(n).String(), " ", "_")
	return strings.ToUpper(text[:1]) + text[1:]
}
