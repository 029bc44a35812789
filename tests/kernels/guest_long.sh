#!/bin/bash
# Runs in the guest, in Debian's root filesystem: tests of the mount, as an ordinary user and as
# root. Their TAP goes to the standard output.
#
# usage: guest_long.sh SECONDS TEST...      SECONDS for each test
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
seconds=$1
shift
export QUIVERFS=/usr/local/bin/quiverfs QUIVERFS_SOURCE=/payload/source
export QUIVERFS_BUILD=/payload/build QUIVERFS_TEST_SEED QUIVERFS_KERNEL_GUEST=1
cd /payload/source/tests/mount || exit 1
export PYTHONDONTWRITEBYTECODE=1 QUIVERFS_TEST_HANG_SECONDS=$seconds
for test in "$@"; do
	timeout "$seconds" python3 run_users both --color=no "$PWD/test_$test.py" 2>/dev/console ||
		echo "not ok 0 - $test ends by itself"
done
