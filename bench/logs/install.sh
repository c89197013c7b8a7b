#!/bin/sh
# Installs the programs that the benchmark compares with (Debian, Ubuntu), without letting any
# of them start as a service.
set -eu

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# runit (svlogd) without runit-init; s6 (s6-log); daemontools (multilog); supervisor.
apt-get install -y -qq --no-install-recommends runit s6 daemontools supervisor
