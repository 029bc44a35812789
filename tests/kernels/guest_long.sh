#!/bin/bash
# Runs in the guest, in Debian's root filesystem: tests of the mount, as an ordinary user and as
# root. Their TAP goes to the standard output.
#
# usage: guest_long.sh SECONDS TEST...      SECONDS for each test
#
# shared/TEST is run with the program over a store that several daemons use at once.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
seconds=$1
shift
export QUIVERFS=/usr/local/bin/quiverfs QUIVERFS_SOURCE=/payload/source
export QUIVERFS_BUILD=/payload/build QUIVERFS_TEST_SEED QUIVERFS_KERNEL_GUEST=1
cd /payload/source/tests/mount || exit 1
export PYTHONDONTWRITEBYTECODE=1 QUIVERFS_TEST_HANG_SECONDS=$seconds
set -o pipefail
for test in "$@"; do
	programs=() over=
	case $test in
	shared/*)
		programs=(QUIVERFS=/payload/quiverfs-shared QUIVERFS_CROSS=/payload/cross
			QUIVERFS_DISK_SHIM=/payload/disk_shim.so QUIVERFS_KIND=shared)
		over="shared " ;;
	esac
	env "${programs[@]}" timeout "$seconds" \
		python3 run_users both --color=no "$PWD/test_${test#shared/}.py" 2>/dev/console |
		sed -uE "s/^((not )?ok [0-9]+ - )/\1$over/" ||
		echo "not ok 0 - $test ends by itself"
done
