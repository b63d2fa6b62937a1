#!/bin/bash
#PBS -m abe
#PBS -S /bin/bash
#PBS -r n
#PBS -l select=4
{ fcflow_job() {
fcflow_me=${PBS_JOBID-}
fcflow_me=${fcflow_me%%.*}
case $fcflow_me in
'' | *[!0-9]*)
echo 'fcflow: this is the script of a job; it runs when it is submitted' >&2
return 78
esac
fcflow_out='/scratch/it'\''s/.fcflow/000/ftoken.out.'$fcflow_me
{ true >>"$fcflow_out"; } 2>/dev/null || {
printf 'fcflow: cannot write %s\n' "$fcflow_out" >&2
return 78
}
exec >>"$fcflow_out" 2>&1
fcflow_at='/scratch/it'\''s/.fcflow/000/ftoken'
[ -d "${fcflow_at%/*}" ] || {
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
cat >'/scratch/it'\''s/.fcflow/000/ftoken.sh' <<'END_fe2f21d1e14e7f8cc076b6bebcbbe7b7' || return 78
#!/bin/bash

#SBATCH --gres=gpu:2   # two
# a comment
#PBS -m abe
srun ./model
#SBATCH --nodes=9
END_fe2f21d1e14e7f8cc076b6bebcbbe7b7
chmod u+x '/scratch/it'\''s/.fcflow/000/ftoken.sh' || return 78
mkdir -p -- '/scratch/it'\''s' && cd -- '/scratch/it'\''s' || return 78
fcflow_pid= fcflow_signals= fcflow_told=
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
export A='it'\''s'
export B='two'
exec '/scratch/it'\''s/.fcflow/000/ftoken.sh'
) &
for fcflow_pause in 0 0 0 0 0 0 0 0 1 1 2 4; do
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
for fcflow_pause in 0 1 2 4; do
sleep "$fcflow_pause"
[ -d "$fcflow_at.x" ] || fcflow_why=$(ln -s "x-$fcflow_code.$fcflow_me" "$fcflow_at.x" 2>&1)
[ -z "$(readlink "$fcflow_at.x")" ] || return "$fcflow_code"
done
printf 'fcflow: the exit code %s could not be left at %s\n%s\n' "$fcflow_code" "$fcflow_at.x" "$fcflow_why" >&2
return "$fcflow_code"
}
fcflow_job; exit; }
