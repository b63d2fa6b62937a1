# Runs the batch script of the job folder $1 and leaves its end record there.
# Descriptor 3 carries the lock that shows this shell to be alive and 4 is the
# job's stderr. What the shell itself says on its stderr, that a signal ended
# the script, tells "exit 137" from SIGKILL. The umask is the script's; the records
# are for nobody else.
script_umask=$(umask)
umask 077
trap : HUP INT QUIT PIPE ALRM TERM USR1 USR2
command -p mkdir "$1/started" || exit
echo $$ >"$1/started/group"
/bin/sh -c 'echo $$ >"$0/started/shell"; umask "$1"; exec "$0/slurm_script" 2>&4 3>&- 4>&-' "$1" "$script_umask"
echo $? >"$1/end.tmp"
command -p mv "$1/end.tmp" "$1/end"
kill -KILL 0 # what the script left behind, and this shell
