package jobscript

import (
	"bytes"
	"fmt"
	"path"
)

// Fence says how a job makes sure that it is the only one of its token.
type Fence string

const (
	// FenceClaim lets the job run that makes the link Token in Control. A job
	// that comes second, or finds the link planted by somebody else, ends with
	// 79. Control must exist: one that was purged would let a job run twice.
	FenceClaim Fence = "claim"
	// FenceBlind is FenceClaim in a directory that the job makes, for systems
	// where nobody else can.
	FenceBlind Fence = "blind"
	// FenceOff lets every job of a token run.
	FenceOff Fence = "off"
)

// writePrologue writes what comes before the payload: who the job is, where its
// output goes, and its claim.
func (s Script) writePrologue(b *bytes.Buffer) {
	if s.PBS {
		b.WriteString("fcflow_me=${PBS_JOBID-}\nfcflow_me=${fcflow_me%%.*}\n")
	} else {
		b.WriteString("fcflow_me=${SLURM_JOB_ID-}\n")
	}
	b.WriteString(checkID)
	if s.Fence == FenceBlind {
		fmt.Fprintf(b, "mkdir -p -- %s || return 78\n", quote(s.Control))
	}
	if s.PBS {
		fmt.Fprintf(b, redirect, quote(path.Join(s.Control, s.Token+".out.")))
	}
	if s.Fence != FenceOff {
		fmt.Fprintf(b, "fcflow_at=%s\n", quote(path.Join(s.Control, s.Token)))
		b.WriteString(claim)
	}
}

// checkID refuses to be run by hand, which would be a second job that nobody
// knows of.
const checkID = `case $fcflow_me in
'' | *[!0-9]*)
echo 'fcflow: this is the script of a job; it runs when it is submitted' >&2
return 78
esac
`

// redirect sends the output to a file of the job's own, where it can be read
// while the job runs. A redirection that fails may end a shell when it is
// exec's, hence the try. Appended, because a job that is run again goes on.
const redirect = `fcflow_out=%s$fcflow_me
{ true >>"$fcflow_out"; } 2>/dev/null || {
printf 'fcflow: cannot write %%s\n' "$fcflow_out" >&2
return 78
}
exec >>"$fcflow_out" 2>&1
`

// claim makes this job the owner of the token, or ends it. To make a link is
// atomic and fails if there is one; whether it was made is read back, since a
// file system may report the failure of a call that it has repeated, and since
// ln puts its link into a directory that it meets. The job that made the link
// goes on when the scheduler runs it again, unless it had left its exit marker.
// A marker of somebody else fences a token whose link was lost.
const claim = `[ -d "${fcflow_at%/*}" ] || {
printf 'fcflow: %s is gone; nothing was run\n' "${fcflow_at%/*}" >&2
return 78
}
fcflow_own=$(readlink "$fcflow_at.x")
case $fcflow_own in
'') ;;
x-*".$fcflow_me")
fcflow_own=${fcflow_own#x-}
return "${fcflow_own%%.*}" ;;
*)
printf 'fcflow: job %s has done this; nothing was run\n' "${fcflow_own##*.}" >&2
return 79 ;;
esac
fcflow_why=
[ -d "$fcflow_at" ] || fcflow_why=$(ln -s ".o-$fcflow_me" "$fcflow_at" 2>&1)
fcflow_own=$(readlink "$fcflow_at")
case $fcflow_own in
".o-$fcflow_me") ;;
'')
printf 'fcflow: %s cannot be claimed; nothing was run\n%s\n' "$fcflow_at" "$fcflow_why" >&2
return 78 ;;
*)
printf 'fcflow: this belongs to %s; nothing was run\n' "${fcflow_own##*.o-}" >&2
return 79 ;;
esac
`

// catchSignals passes signals on to the payload. Those that come before it is
// there to get them wait for it: a new process of a shell loses what it is sent
// before its own traps are gone, so it says by URG that they are. The handler of
// a signal may interrupt that of another: so what a handler is about to do is in
// its arguments, which nobody else changes, and it decides by case, since to dash
// the test of a handler that was interrupted came out as that other command ended
// which the first of them had interrupted. CONT is not among the signals: Slurm sends it
// together with its warnings, and of two signals that come at once bash loses one
// while it waits, and may lose the exit code of the payload. The names are unlikely
// to be those of exported variables, which the payload would inherit changed.
const catchSignals = `fcflow_pid= fcflow_signals= fcflow_told=
fcflow_send() {
case $1 in
TERM) fcflow_told=1 ;;
esac
case $fcflow_pid in
'') fcflow_signals="$fcflow_signals $1" ;;
*) kill -s "$1" "$fcflow_pid" 2>/dev/null ;;
esac
}
fcflow_flush() {
fcflow_signals=
case $# in
0) ;;
*)
kill -s "$1" "$fcflow_pid" 2>/dev/null
shift
fcflow_flush "$@" ;;
esac
}
for fcflow_name in TERM INT USR1 USR2; do
trap "fcflow_send $fcflow_name" "$fcflow_name"
done
trap 'fcflow_pid=$!; fcflow_flush $fcflow_signals' URG
(
trap - TERM INT QUIT USR1 USR2 URG
kill -s URG $$
`

// waitForPayload waits until the payload gets signals, then until it has ended. A
// signal that is handled ends a wait, and may end the next one too, whose code says
// then nothing of the payload. So it has ended when there is no such process; then
// signals are ignored, a wait takes what is left of one, and the next gives the code.
// Bash may have forgotten it, and says -1, if a signal came as the payload ended: then
// it passes for ended by that signal, whose number is in the code of a wait before.
// So no signal may be made while it waits, and the first loop does without.
const waitForPayload = `for fcflow_pause in 0 0 0 0 0 0 0 0 1 1 2 4; do
[ -z "$fcflow_pid" ] && kill -0 "$!" 2>/dev/null || break
sleep "$fcflow_pause"
done
fcflow_pid=$!
fcflow_flush $fcflow_signals
fcflow_last=255
while :; do
wait "$fcflow_pid"
fcflow_code=$?
[ "$fcflow_code" -lt 0 ] || fcflow_last=$fcflow_code
kill -0 "$fcflow_pid" 2>/dev/null || break
done
trap '' TERM INT USR1 USR2
wait "$fcflow_pid"
wait "$fcflow_pid"
fcflow_code=$?
[ "$fcflow_code" -ge 0 ] || fcflow_code=$fcflow_last
`

// unlessTold leaves no exit marker if the job was told to end: Slurm does so also
// before it runs the job again, and the next start must not take how the payload
// came down for its result. 143 is a payload that was hit before the batch shell.
const unlessTold = `[ -z "$fcflow_told" ] && [ "$fcflow_code" -ne 143 ] || return "$fcflow_code"
`

// mark leaves the exit code beside the claim. The scheduler may be ending the
// job, so signals are ignored by now, also by ln. It is written once: whatever
// marker is there stays.
const mark = `for fcflow_pause in 0 1 2 4; do
sleep "$fcflow_pause"
[ -d "$fcflow_at.x" ] || fcflow_why=$(ln -s "x-$fcflow_code.$fcflow_me" "$fcflow_at.x" 2>&1)
[ -z "$(readlink "$fcflow_at.x")" ] || return "$fcflow_code"
done
printf 'fcflow: the exit code %s could not be left at %s\n%s\n' "$fcflow_code" "$fcflow_at.x" "$fcflow_why" >&2
`
