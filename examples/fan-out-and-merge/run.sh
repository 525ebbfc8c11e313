#!/bin/sh
# One job for each row of towns.csv, then one that merges their results. AGENT is echo by default.
set -eu
cd "$(dirname "$0")"
: "${MUXQ_HOME:?say which home: MUXQ_HOME=\$HOME/jobs sh run.sh}" "${AGENT:=echo}"

muxq ls >/dev/null # makes the home
cp merge.md "$MUXQ_HOME/prompts/"
parts=$(muxq batch towns.csv --agent "$AGENT" --prompt "Answer in one line: what is {{ row.town }} known for?")
merged=$(muxq add --template merge --after "$parts" --agent "$AGENT" --name merged)
muxq work --drain --quiet --jobs 3
muxq output "$merged"
