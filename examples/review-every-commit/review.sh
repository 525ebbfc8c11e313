#!/bin/sh
# Add a job that reviews one commit, and print its id: review.sh [REPOSITORY [COMMIT [OPTION…]]]
# OPTIONs are those of `muxq add`. The default is Claude Code, which is allowed to read the history.
#
# As a hook of your repository, so that every commit is reviewed:
#   printf '#!/bin/sh\nexec %s/review.sh\n' "$PWD" > ~/project/.git/hooks/post-commit
#   chmod +x ~/project/.git/hooks/post-commit
# A worker does the reviews: muxq work
set -eu
[ -z "${MUXQ_RUN_DIR:-}" ] || exit 0 # a commit made by a job
here=$(cd "$(dirname "$0")" && pwd)
repository=$(git -C "${1:-.}" rev-parse --show-toplevel)
commit=$(git -C "$repository" rev-parse --short "${2:-HEAD}")
[ $# -lt 1 ] || shift
[ $# -lt 1 ] || shift
[ $# -gt 0 ] || set -- --allow "Bash(git show *)" --allow "Bash(git log *)" --allow "Bash(git diff *)"

# The worktree stays at that commit, whatever you do meanwhile; nothing is committed to it.
exec muxq add --from "$here/job.json" --name "review $commit" --workdir "$repository" --base "$commit" "$@"
