#!/bin/sh
# A job for each file in notes/, with a result file of the same name. AGENT is echo by default, OUT the folder for the
# results.
set -eu
cd "$(dirname "$0")"
: "${MUXQ_HOME:?say which home: MUXQ_HOME=\$HOME/jobs sh run.sh}" "${AGENT:=echo}" "${OUT:=$MUXQ_HOME/summaries}"

muxq batch --files 'notes/*.txt' --prompt "Summarise in one sentence: {{ row.text }}" --agent "$AGENT" \
    --name summaries --name-from stem --output "$OUT/{{ row.stem }}.md" >/dev/null
muxq work --drain --quiet --jobs 2
for note in notes/*.txt; do
    name=$(basename "$note" .txt)
    printf '%s: %s\n' "$name" "$(cat "$OUT/$name.md")"
done
