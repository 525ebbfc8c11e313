# Runs the script $1 and puts what it prints at $2, in one step and only if it succeeds.
# Errors stay on the terminal: they are the last words that a failure is reported with.
(umask 077 && : >"$2.part") # which keeps it private, unless the folder has a default ACL
sh "$1" </dev/null >"$2.part"
status=$?
if [ $status = 0 ]; then
    mv -f "$2.part" "$2" # no exec: mv closes the terminal before it ends, and tmux would hang up on it meanwhile
    exit
fi
rm -f "$2.part"
sleep 0.1 # tmux 3.3 forgets what it has not read of a program's screen when the program ends
exit $status
