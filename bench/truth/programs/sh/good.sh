set -eu
. ./lib.sh
mkdir -p run
for file in a b c d e; do sed -e s/x/y/ lib.sh >"run/$file"; done
tick
while :; do sleep 60; done
