#!/bin/sh
# A night: a review of each file of shop/, one page of all reviews, and the report. AGENT is claude by default, OUT the
# folder for the results.
set -eu
cd "$(dirname "$0")"
: "${MUXQ_HOME:?say which home: MUXQ_HOME=\$HOME/jobs sh run.sh}" "${AGENT:=claude}" "${OUT:=$MUXQ_HOME/morning}"

# In the evening: fill the queue. The page is made even if a review fails ("when": "any").
muxq ls >/dev/null # makes the home
cp review.md morning.md "$MUXQ_HOME/prompts/"
reviews=$(muxq batch --files 'shop/*.py' --name reviews --name-from name --template review --agent "$AGENT" \
    --permissions deny --retries 1 --check 'head -n 1 "$MUXQ_OUTPUT" | grep -q "^## "')
page=$(muxq add --from - --agent "$AGENT" <<END
{"template": "morning", "name": "page", "permissions": "deny", "after": [{"job": "$reviews", "when": "any"}]}
END
)

# At night: cron does this. Jobs that have not begun by the end wait for the next night.
code=0
muxq work --drain --jobs 3 --until "${UNTIL:-+8h}" --quiet || code=$?
case $code in
0 | 1 | 6) ;; # all is done, a job has failed, the window closed
*) exit "$code" ;;
esac

# In the morning.
mkdir -p "$OUT"
muxq report --since 24h --output "$OUT/report.html"
muxq report --since 24h --output "$OUT/report.txt"
muxq output "$page" >"$OUT/reviews.md"
ls "$OUT"
grep '^#' "$OUT/reviews.md"
