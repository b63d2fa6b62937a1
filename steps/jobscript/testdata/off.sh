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
cat >'/scratch/it'\''s/.fcflow/000/ftoken.sh' <<'END_6027cd81de8b7b6e92280f64c67a4b5a' || return 78
#!/bin/bash

#SBATCH --gres=gpu:2   # two
# a comment
srun ./model
#SBATCH --nodes=9
END_6027cd81de8b7b6e92280f64c67a4b5a
chmod u+x '/scratch/it'\''s/.fcflow/000/ftoken.sh' || return 78
mkdir -p -- '/scratch/it'\''s' && cd -- '/scratch/it'\''s' || return 78
fcflow_pid= fcflow_signal=
for fcflow_name in TERM INT USR1 USR2 CONT; do
trap "fcflow_signal=$fcflow_name; [ -z \"\$fcflow_pid\" ] || kill -s $fcflow_name \"\$fcflow_pid\" 2>/dev/null" "$fcflow_name"
done
(
trap - TERM INT QUIT USR1 USR2 CONT
export A='it'\''s'
export B='two'
exec '/scratch/it'\''s/.fcflow/000/ftoken.sh'
) &
fcflow_pid=$!
[ -z "$fcflow_signal" ] || kill -s "$fcflow_signal" "$fcflow_pid" 2>/dev/null
while :; do
fcflow_signal=
wait "$fcflow_pid"
fcflow_code=$?
[ -n "$fcflow_signal" ] || break
done
return "$fcflow_code"
}
fcflow_job; exit; }
