#!/bin/bash
# Runs in the guest, in Debian's root filesystem: tests of the mount, as root or as an ordinary
# user. Their TAP goes to the standard output.
#
# usage: guest_long.sh root|user SECONDS TEST...
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
who=$1 seconds=$2
shift 2
export QUIVERFS=/usr/local/bin/quiverfs QUIVERFS_SOURCE=/payload/source
export QUIVERFS_BUILD=/payload/build QUIVERFS_TEST_SEED QUIVERFS_KERNEL_GUEST=1
mkdir -p /tmp/home
chown 1000 /tmp/home
cd /payload/source/tests/mount || exit 1
export PYTHONDONTWRITEBYTECODE=1
for test in "$@"; do
	command=(timeout "$seconds" python3 ../run_pytest --color=no "test_$test.py")
	if [ "$who" = user ]; then
		command=(setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/tmp/home "${command[@]}")
	fi
	"${command[@]}" 2>/dev/console | sed "s/^\(\(not \)\?ok [0-9]* - \)/\1$who: /"
	[ "${PIPESTATUS[0]}" = 0 ] || echo "not ok 0 - $who: $test ends by itself"
done
