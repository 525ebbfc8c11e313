#!/bin/sh
# A job for each file in notes/, called like it. AGENT is echo unless you say another.
set -eu
cd "$(dirname "$0")"
: "${MUXQ_HOME:?say which home: MUXQ_HOME=\$HOME/jobs sh run.sh}" "${AGENT:=echo}"

muxq batch --files 'notes/*.txt' --prompt "Summarise in one sentence: {{ row.text }}" --agent "$AGENT" \
    --name summaries --name-from stem >/dev/null
muxq work --drain --quiet --jobs 2
for note in notes/*.txt; do
    name=$(basename "$note" .txt)
    printf '%s: %s\n' "$name" "$(muxq output "$name")"
done
