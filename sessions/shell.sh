# Runs the script $1 and puts what it prints at $2, in one step and only if it succeeds.
# Errors stay on the terminal: they are the last words that a failure is reported with.
sh "$1" >"$2.part" || exit $?
mv -f "$2.part" "$2"
