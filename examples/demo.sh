#!/bin/sh
# One job through the queue, with the echo agent: no account, no network, nothing left behind.
# Called by `make demo`; needs `muxq` and tmux on PATH.
set -eu
cd "$(dirname "$0")/.."

top=$(mktemp -d "${TMPDIR:-/tmp}/muxq-demo.XXXXXX")
worker=
MUXQ_HOME=$top/home
export MUXQ_HOME

# The worker drains: it ends by itself once no job is left, so nothing has to be killed, not even on Ctrl-C.
clean_up() {
    status=$?
    trap '' INT TERM HUP
    if [ -n "$worker" ]; then
        muxq cancel hello >/dev/null 2>&1 || :
        wait "$worker" || :
    fi
    rm -rf "$top"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
[ -t 1 ] && [ "${TERM:-dumb}" != dumb ] || say() { printf '\n%s\n' "$1"; }

say "1. Drop a job file into the queue: cp examples/hello.json \$MUXQ_HOME/queue/"
muxq ls >/dev/null # makes the home and its folders
cp examples/hello.json "$MUXQ_HOME/queue/"
muxq ls

say "2. A worker claims it and opens a tmux session for it: muxq work --drain"
muxq work --drain --quiet --on-stop kill &
worker=$!
tries=0
until muxq ls --state running | grep hello >"$top/line"; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || break # it has ended already; the next step shows how
done
cat "$top/line"

say "3. Wait for its end: muxq wait hello"
muxq wait hello --timeout 60s
wait "$worker"
worker=
muxq ls

say "4. The result: muxq output hello"
muxq output hello

say "5. And what happened: muxq logs hello"
muxq logs hello

cat <<'END'

That was all. Next, with a real agent:

    muxq doctor                       what is missing here for Claude Code
    muxq add "Say hello in French"    add a job; its id is printed
    muxq work --drain                 run what waits, then end
    muxq attach JOB                   watch a running job; F12 leaves it

(`muxq` is in .venv/bin after `make demo`. docs/quickstart.md goes on from here.)
END
