set -eu
. ./lib.sh
i=0
while [ $i -lt 20000 ]; do i=$((i + 1)); done
case $name in
worker) tick
while :; do sleep 60; done
