#!/bin/bash
# The newcomer's way through the README, on a system that has nothing but what it tells to install.
# What is typed comes out of the README itself. Prints TAP, and how long each step took.
#
# usage: walk.sh [STEP...]
set -euo pipefail
steps=(demo install five_minutes fstab sharing uninstall package run_tests numpy)
[ $# -eq 0 ] || steps=("$@")
readme=~/quiverfs/README.md
step_seconds=7200 # a build and all tests on a busy machine

# block HEADING NUMBER: what stands in one block of code below a heading.
block() {
	awk -v heading="## $1" -v wanted="$2" '
		/^```/ && inside { fenced = !fenced; if (fenced) number++; next }
		!fenced && /^## / { inside = $0 == heading; next }
		inside && fenced && number == wanted' "$readme"
}

is_mounted() { grep -qF " $1 fuse.quiverfs " /proc/self/mounts; }

refused() { if "$@"; then return 1; fi; } # since bash does not end at a "!"

# One step is one function, which ends with the first command that fails.

demo() {
	cd ~/quiverfs
	tools/demo
}

install() {
	cd ~/quiverfs
	bash -euxc "$(block Install 2)"
	sudo ldconfig
	# shellcheck disable=SC2046  # options
	gcc tests/mount/example.c $(pkg-config --cflags --libs libquiver) -o /tmp/example
	ldd /tmp/example | grep /usr/local/lib/libquiver
	# What is installed is the release, whatever was built before.
	grep -q -- '-O3' build-release/compile_commands.json
	sudo apt-get -qq install -y --no-install-recommends rsync man-db
	for page in quiverfs quiverfs-examples mount.quiverfs; do man -w $page; done
}

five_minutes() {
	mkdir ~/five
	cd ~/five
	bash -euxc "$(block "Five minutes" 1)"
	refused is_mounted ~/five/MNT
	[ "$(wc -l <all.jsonl)" = 1000 ]
	bash -euxc "$(block "Everyday jobs" 1)"
	refused is_mounted ~/five/MNT
	[ "$(find backup -type f | wc -l)" = 2000 ]
	cmp backup/42 backup/1000000
	[ ! -e backup/0 ]
	quiverfs check COPY
}

# Both lines of fstab are the README's; its ordinary user has the name of ours.
fstab() {
	block "On the system" 1 | sudo tee /etc/fstab
	sudo mkdir -p /srv /mnt/vectors
	sudo quiverfs create /srv/store --dim 8
	sudo mount -a
	is_mounted /mnt/vectors
	head -c 32 /dev/zero | sudo tee /mnt/vectors/vectors/1 >/dev/null
	sudo -u other cmp -n 32 /mnt/vectors/vectors/1 /dev/zero
	sudo mount -a
	sudo mount -o remount,ro /mnt/vectors
	refused sudo touch /mnt/vectors/vectors/1
	sudo mount -o remount,rw /mnt/vectors
	sudo touch /mnt/vectors/vectors/1
	sudo umount /mnt/vectors

	mkdir -p ~/MNT
	quiverfs create ~/STORE --dim 8
	refused is_mounted ~/MNT
	mount ~/MNT
	head -c 32 /dev/zero >~/MNT/vectors/7
	umount ~/MNT
	refused is_mounted ~/MNT
	# mount.fuse(8) tells nobody of nofail; who finds our helper in its place hears of it.
	if [ -e /sbin/mount.fuse.quiverfs ]; then
		echo '/srv/none /mnt/vectors fuse.quiverfs nofail 0 0' | sudo tee /etc/fstab
		sudo mount -a
	fi
	sudo rm -r /srv/store ~/STORE
}

sharing() {
	chmod 711 ~
	mkdir -p ~/MNT
	quiverfs create ~/STORE --dim 8
	refused quiverfs mount ~/STORE ~/MNT -o allow_other 2>/tmp/said
	grep -F /etc/fuse.conf /tmp/said
	quiverfs mount ~/STORE ~/MNT
	head -c 32 /dev/zero >~/MNT/vectors/7
	refused sudo -u other cat ~/MNT/vectors/7
	refused sudo cat ~/MNT/vectors/7
	kill "$(grep -lx quiverfs /proc/[0-9]*/comm | cut -d / -f 3)"
	for _ in $(seq 50); do is_mounted ~/MNT && sleep 0.2 || break; done
	refused is_mounted ~/MNT
	echo user_allow_other | sudo tee -a /etc/fuse.conf
	quiverfs mount ~/STORE ~/MNT -o allow_other
	sudo -u other cmp -n 32 ~/MNT/vectors/7 /dev/zero
	refused sudo -u other cat ~/MNT/matrix.npy
	umount ~/MNT
	sudo rm -r ~/STORE
}

uninstall() {
	cd ~/quiverfs
	sudo ninja -C build-release uninstall
	[ -z "$(find /usr/local -name '*quiver*' -print -quit)" ]
}

package() {
	local pages
	cd ~/quiverfs
	bash -euxc "$(block Install 1 | sed 's/apt install/apt-get -qq install -y --no-install-recommends/')"
	command -v quiverfs | grep -x /usr/bin/quiverfs
	fstab
	pages=$(dpkg -L quiverfs | grep -c '/man/man.*gz$')
	[ "$pages" -gt 10 ]
	sudo apt-get -qq purge -y quiverfs libquiver-dev libquiver2
}

run_tests() {
	cd ~/quiverfs
	sudo ln -s /proc/self/mounts /etc/mtab # which each system that was booted has
	tools/test --quick
}

# Runs at the end, since it is tools/setup that brings NumPy.
numpy() {
	local program=~/quiverfs/build-release/tools/quiverfs
	cd ~/quiverfs
	tools/setup
	mkdir -p ~/numpy/MNT
	cd ~/numpy
	"$program" create STORE --dim 768
	"$program" mount STORE MNT
	for id in 1 2 3 42; do head -c 3072 /dev/zero | tr '\0' $((id % 10)) >MNT/vectors/$id; done
	{
		block "Everyday jobs" 2
		echo 'assert some.shape == (3, 768) and (q[5000] == q[1]).all() and ids[0] == 2'
	} >read.py
	PYTHONPATH=~/quiverfs/tools/python python3 read.py
	umount MNT
}

echo "1..${#steps[@]}"
number=0 bad=0
for step in "${steps[@]}"; do
	number=$((number + 1)) began=$SECONDS status=0
	# A process of its own, since bash does not end a function at the first error where its
	# status is looked at.
	timeout --kill-after=60 $step_seconds bash -c "$(declare -f); $(declare -p readme)
		set -eEuxo pipefail; trap 'echo \"line \$LINENO: \$BASH_COMMAND\"' ERR; $step" \
		</dev/null >"/tmp/$step.log" 2>&1 || status=$?
	if [ $status = 0 ]; then
		echo "ok $number - $step # $((SECONDS - began)) s"
	else
		echo "not ok $number - $step # status $status, $((SECONDS - began)) s"
		tail -n 60 "/tmp/$step.log" | sed 's/^/# /'
		bad=$((bad + 1))
	fi
	sed -n 's/^\(-- .* s\|[0-9]* passed, .*\)$/# \1/p' "/tmp/$step.log"
done
[ $bad = 0 ]
