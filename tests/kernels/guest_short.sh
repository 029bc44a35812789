#!/bin/sh
# Runs in the guest, from the initial RAM disk: the promises of contract.c as root and as an
# ordinary user, over both transports where there are two, rsync, kill -9 and the recovery, and two
# mounts of one store, as those of two machines. TAP without numbers goes to the standard output.
export PATH=/bin HOME=/ LC_ALL=C LD_LIBRARY_PATH=/lib
cross_seconds=5

result() { # result STATUS NAME
	if [ "$1" = 0 ]; then echo "ok - $2"; else echo "not ok - $2"; fi
}

mounted() { grep -q " $1 fuse" /proc/mounts; }

ended() { # ended PID: waits for up to a minute of work
	n=0
	while kill -0 "$1" 2>/dev/null && [ $n -lt 600 ]; do usleep 100000; n=$((n + 1)); done
	! kill -0 "$1" 2>/dev/null
}



as() { # as root|user COMMAND...
	who=$1
	shift
	if [ "$who" = root ]; then "$@"; else /bin/setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; fi
}

rounds() { # rounds WHO FOLDER OPTIONS
	who=$1 w=$2 name="$1${3:+ $3}"
	as "$who" mkdir "$w" "$w/m"
	as "$who" quiverfs create "$w/s" --dim 25 >/dev/null
	as "$who" quiverfs mount "$w/s" "$w/m" ${3:+-o "$3"}
	result $? "$name: mount"
	mounted "$w/m" || return
	as "$who" contract "$w/m" "$name"

	as "$who" mkdir "$w/in" "$w/out"
	i=1
	while [ $i -le 60 ]; do
		as "$who" dd if=/dev/urandom of="$w/in/$i" bs=100 count=1 2>/dev/null
		i=$((i + 1))
	done
	as "$who" rsync -a "$w/in/" "$w/m/vectors/"
	result $? "$name: rsync in"
	again=$(as "$who" rsync -ai "$w/in/" "$w/m/vectors/" 2>&1)
	result $? "$name: rsync in again"
	[ -z "$again" ]
	result $? "$name: rsync in again transfers nothing"
	[ -z "$again" ] || echo "# $again"
	said=$(as "$who" rsync -aI --delay-updates "$w/in/" "$w/m/vectors/" 2>&1) && [ -z "$said" ]
	result $? "$name: rsync --delay-updates"
	[ -z "$said" ] || echo "# $said"
	as "$who" rsync -a "$w/m/vectors/" "$w/out/"
	result $? "$name: rsync out"
	diff -r "$w/in" "$w/out" >/dev/null
	result $? "$name: what comes out is what went in"

	pid=$(as "$who" sed -n 's/^pid //p' "$w/m/control/stats")
	kill -9 "$pid"
	ended "$pid"
	umount -l "$w/m"
	as "$who" quiverfs mount "$w/s" "$w/m" ${3:+-o "$3"}
	result $? "$name: mount after kill -9"
	as "$who" diff -r "$w/in" "$w/m/vectors" >/dev/null
	result $? "$name: nothing is lost by kill -9"
	pid=$(as "$who" sed -n 's/^pid //p' "$w/m/control/stats")
	kill -TERM "$pid"
	ended "$pid"
	result $? "$name: SIGTERM ends the daemon"
	! mounted "$w/m"
	result $? "$name: and the mount"
	as "$who" quiverfs check "$w/s" >/dev/null
	result $? "$name: check finds no faults"
}

# Servers that hand out no more memory than they have: only what is used may count.
strict() {
	echo 2 >/proc/sys/vm/overcommit_memory
	mkdir /tmp/strict /tmp/strict/m
	quiverfs create /tmp/strict/s --dim 25 >/dev/null
	quiverfs mount /tmp/strict/s /tmp/strict/m && mounted /tmp/strict/m
	result $? "a mount where memory is not overcommitted"
	head -c 100 /dev/urandom >/tmp/strict/1
	cp /tmp/strict/1 /tmp/strict/m/vectors/1 && cmp /tmp/strict/1 /tmp/strict/m/vectors/1
	result $? "a vector there"
	umount /tmp/strict/m
	echo 0 >/proc/sys/vm/overcommit_memory
}

# What one mount has written the other shows at once, and whole.
two_mounts() { # two_mounts WHO
	who=$1 w=/tmp/two_$1
	as "$who" mkdir "$w" "$w/one" "$w/other"
	as "$who" quiverfs-shared create "$w/s" --dim 768 >/dev/null
	for mount in one other; do as "$who" quiverfs-shared mount "$w/s" "$w/$mount"; done
	mounted "$w/one" && mounted "$w/other"
	result $? "$who: two mounts of one store"
	said=$(as "$who" cross "$w/one/vectors" "$w/other/vectors" 3072 $cross_seconds 2>&1)
	result $? "$who: no read of the other is torn or older than the last close before its open"
	echo "# $(echo "$said" | tr '\n' ' ')"
	umount "$w/one" "$w/other"
}

strict
rounds root /tmp/root ""
uring=/sys/module/fuse/parameters/enable_uring
if [ -e $uring ]; then
	echo Y >$uring
	rounds root /tmp/uring io_uring=on
fi
rounds user /tmp/user ""
two_mounts root
two_mounts user
