#!/bin/bash
#SBATCH --gres=gpu:2   # two
#SBATCH --no-requeue
#SBATCH --nodes=4
{ fcflow_job() {
fcflow_me=${SLURM_JOB_ID-}
case $fcflow_me in
'' | *[!0-9]*)
echo 'fcflow: this is the script of a job; it runs when it is submitted' >&2
return 78
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
fcflow_woken=1
[ "$1" != TERM ] || fcflow_told=1
if [ -n "$fcflow_pid" ]; then
kill -s "$1" "$fcflow_pid" 2>/dev/null
else
fcflow_signals="$fcflow_signals $1"
fi
}
fcflow_flush() {
set -- $fcflow_signals
fcflow_signals=
while [ $# -gt 0 ]; do
kill -s "$1" "$fcflow_pid" 2>/dev/null
shift
done
}
for fcflow_name in TERM INT USR1 USR2; do
trap "fcflow_send $fcflow_name" "$fcflow_name"
done
trap 'fcflow_pid=$!; fcflow_flush' URG
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
fcflow_flush
fcflow_code=255
while :; do
fcflow_woken=
fcflow_last=$fcflow_code
wait "$fcflow_pid"
fcflow_code=$?
[ "$fcflow_code" -ge 0 ] || fcflow_woken= fcflow_code=$fcflow_last
[ -n "$fcflow_woken" ] || break
done
return "$fcflow_code"
}
fcflow_job; exit; }
