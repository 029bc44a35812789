# Sourced by run_short and run_long: kernels of Debian under qemu, without /dev/kvm. A guest writes
# TAP without numbers to its second serial port, then "end".

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
qemu=

guest_cleanup() {
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
	rm -rf "$work"
}
trap guest_cleanup EXIT

skip() { echo "1..0 # SKIP $*"; exit 0; }

guest_needs() { # guest_needs TOOL...
	local tool
	[ "$(uname -m)" = x86_64 ] || skip "the guest runs programs of this machine, which is no x86_64"
	for tool in qemu-system-x86_64 busybox cpio depmod "$@"; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$tool" >/dev/null || skip "there is no $tool"
	done
}

# guest_kernel RELEASE FOLDER: gets the kernel; sets `kernel`, its folder, and `version`.
guest_kernel() {
	local status=0
	kernel=$2/$1
	version=$("$here/kernel_package" "$1" "$kernel") || status=$?
	[ $status != 77 ] || skip "the kernel of $1 cannot be fetched"
	return $status
}

# guest_disk_root: begins an initial RAM disk in $work/root, with busybox.
guest_disk_root() {
	mkdir -p "$work"/root/{bin,lib,lib64,dev,proc,sys,tmp,etc,run,modules}
	chmod 1777 "$work/root/tmp"
	cp "$(command -v busybox)" "$work/root/bin/busybox"
}

# guest_modules MODULE...: adds modules of the kernel, with what they need; /modules/order names
# them in the order to load them.
guest_modules() {
	local name how file module
	: >>"$work/root/modules/order"
	for name in "$@"; do
		PATH=$PATH:/usr/sbin:/sbin modprobe -d "$kernel" -S "$version" --show-depends "$name" \
			2>/dev/null | while read -r how file _; do
			[ "$how" = insmod ] || continue # it is in the kernel itself
			module=$(basename "$file")
			module=${module%.xz}
			grep -qx "$module" "$work/root/modules/order" && continue
			case $file in
			*.xz) xz -dc "$file" >"$work/root/modules/$module" ;;
			*) cp "$file" "$work/root/modules/$module" ;;
			esac
			echo "$module" >>"$work/root/modules/order"
		done
	done
}

# guest_init: the first process's script, from standard input, behind what all have in common.
guest_init() {
	{
		cat <<-'INIT'
		#!/bin/busybox sh
		for applet in $(/bin/busybox --list); do
			[ -e "/bin/$applet" ] || /bin/busybox ln -s busybox "/bin/$applet"
		done
		export PATH=/bin
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs dev /dev
		while read -r module; do insmod "/modules/$module"; done </modules/order
		[ ! -e /dev/fuse ] || chmod 666 /dev/fuse
		echo "# Linux $(uname -r)" >/dev/ttyS1
		INIT
		cat
		cat <<-'INIT'
		echo end >/dev/ttyS1
		sync
		poweroff -f
		INIT
	} >"$work/root/init"
	chmod 755 "$work/root/init"
}

# guest_seconds: what qemu has used of the processors.
guest_seconds() {
	local line fields=()
	line=$(cat "/proc/$qemu/stat" 2>/dev/null) || { echo 0; return; }
	read -ra fields <<<"${line##*) }"
	echo $(((fields[11] + fields[12]) / $(getconf CLK_TCK)))
}

# guest_run SECONDS MEGABYTES [OPTION_OF_QEMU...]: boots, waits for the end, prints TAP. The end must
# come before qemu has used so many seconds of the processors; by the clock on the wall one that uses
# none has ten times as long.
guest_run() {
	local seconds=$1 megabytes=$2 i
	shift 2
	(cd "$work/root" && find . | cpio -o -H newc -R 0:0 2>/dev/null | gzip -1) >"$work/initrd"
	: >"$work/results"
	# Software emulation even where there is /dev/kvm: in a machine that is virtual itself that
	# one may be there and not work.
	qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -m "$megabytes" -smp 2 \
		-display none -monitor none -no-reboot -nic none \
		-kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check" \
		-serial file:"$work/console" -serial file:"$work/results" "$@" \
		</dev/null >"$work/qemu" 2>&1 &
	qemu=$!
	for ((i = 0; i < 10 * seconds; i++)); do
		kill -0 $qemu 2>/dev/null || break
		[ "$(guest_seconds)" -le "$seconds" ] || break
		sleep 1
	done
	if kill -0 $qemu 2>/dev/null; then
		echo "not ok - the guest ends within $seconds s of the processors" >>"$work/results"
	else
		qemu=
		tr -d '\r' <"$work/results" | grep -qx end ||
			echo "not ok - the guest runs to its end" >>"$work/results"
	fi
	tr -d '\r' <"$work/results" | awk '
		/^1\.\.[0-9]+/ { next }
		/^(not )?ok [0-9]* *- / { sub(/ok [0-9]* *- /, "ok " ++count " - ") }
		$0 != "end" { print }
		END { print "1.." count + 0 }'
	if grep -q '^not ok - the guest' "$work/results"; then
		sed 's/^/# /' "$work/qemu"
		tail -n 60 "$work/console" | tr -d '\r' | sed 's/^/# console: /'
	fi
}
