set -eu
# The first of a pipeline fails, and the shell with it, when the last has ended.
(i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; echo row; exit 4) | sort | grep -q header
