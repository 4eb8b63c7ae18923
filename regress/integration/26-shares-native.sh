#!/bin/sh
# SPDX-License-Identifier: ISC
# Shares of VMs: who serves them, with which rights, and what becomes of it.
# T66, F1.
. regress/lib/lib.sh

OWNER=65533

start() {
	chmod 711 "$T"
	mkdir -p "$T/home" "$T/ro/below" "$T/closed/in" "$T/open"
	chown -R "$OWNER:65532" "$T/home" "$T/ro" "$T/closed/in"
	chmod 700 "$T/closed"
	ln -s "$T/closed" "$T/open/link"
	echo file >"$T/file"
	{
		flat a '' "owner $OWNER:65532" "share \"$T/home\" tag home rw" \
		    "share \"$T/ro\" tag ro"
		flat root '' "share \"$T/home\" tag home"
		flat closed '' "owner $OWNER:65532" \
		    "share \"$T/closed/in\" tag x"
		flat link '' "owner $OWNER:65532" \
		    "share \"$T/open/link/in\" tag x"
		flat file '' "share \"$T/file\" tag x"
		flat none '' "share \"$T/none\" tag x"
		flat plain ''
	} | start_vmd
	vmctl start a
}

share_field() {
	vmctl status -j "$1" | jq -r ".shares[${3:-0}].$2"
}

# The inner process of VM's share N: it has the guest's memory.
inner() {
	pgrep -P "$(share_field "$1" pid "${2:-0}")"
}


vmd_launch() {
	pgrep -P "$(vmd_pid)" -f '^vmd: launch'
}

shown() {
	vm_says a "fs0 $T/home, share, tag home\$"
	vm_says a "fs1 $T/ro, share, read-only, tag ro\$"
	vm_says a "process $(share_field a pid), virtiofsd\$"
	equal "$(vmctl status -j a | jq -c '.shares | map(.tag, .readonly)')" \
	    '["home",false,"ro",true]'
	equal "$(vmctl status -j a | jq -c .disks)" '[]'
}

# The row of launch, and the parent's that it may have made weaker.
rows() {
	wait_for 5 "$B/regress/sandbox/check_live" launch "$(vmd_launch)" 0 0 \
	    parent "$(vmd_pid)" 0 0
}

field() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

# One user, one mount, no network, nothing that it could get back.
boxed() {
	for n in 0 1; do
		pid=$(inner a "$n")
		equal "$(field "$pid" Uid | tr '\t' ' ')" \
		    "$OWNER $OWNER $OWNER $OWNER"
		equal "$(field "$pid" Gid | tr '\t' ' ')" '65532 65532 65532 65532'
		equal "$(field "$pid" Groups)" ''
		equal "$(tr -s ' ' <"/proc/$pid/uid_map")" " 0 $OWNER 1"
		equal "$(tr -s ' ' <"/proc/$pid/gid_map")" ' 0 65532 1'
		equal "$(field "$pid" CapBnd)" 0000000000000000
		equal "$(field "$pid" NoNewPrivs) $(field "$pid" Seccomp)" '1 2'
		[ "$(field "$pid" Seccomp_filters)" -ge 3 ]
		equal "$(wc -l <"/proc/$pid/mountinfo")" 1
		for ns in user mnt pid net ipc; do
			[ "$(readlink "/proc/$pid/ns/$ns")" != \
			    "$(readlink /proc/self/ns/"$ns")" ]
		done
		not setpriv --reuid "$OWNER" --regid 65532 --clear-groups \
		    cat "/proc/$pid/maps"
	done
	cut -d ' ' -f 6 "/proc/$(inner a)/mountinfo" | grep '^rw,nosuid,nodev,noexec'
	cut -d ' ' -f 6 "/proc/$(inner a 1)/mountinfo" | grep '^ro,nosuid,nodev,noexec'
	equal "$(ls "/proc/$(inner a 1)/root")" below
}

roots_own() {
	vmctl start root
	equal "$(tr -s ' ' <"/proc/$(inner root)/uid_map")" ' 0 0 1'
	equal "$(field "$(inner root)" CapBnd)" 0000000000000000
	vmctl stop -f -w root
}

refused() {
	vmctl start closed
	vmctl stop -f -w closed
	not vmctl start link 2>"$T/said"
	grep 'symbolic link leads there' "$T/said"
	not vmctl start file 2>"$T/said"
	grep "share $T/file: Not a directory" "$T/said"
	not vmctl start none 2>"$T/said"
	grep "share $T/none: No such file" "$T/said"
	equal "$(find "$T/state" -name '*.fs*')" ''
}

new_share_pid() {
	new=$(share_field a pid)
	[ "$new" != null ] && [ "$new" != "$1" ]
}

killed() {
	for n in 1 2; do
		old=$(share_field a pid)
		kill -KILL "$old"
		wait_for 5 new_share_pid "$old"
		not alive "$old"
	done
	logged 'share fs0 .* killed by signal 9 (Killed); another takes over: mount it again'
	logged 'share fs0 is served again, by process'
	equal "$(share_field a replaced)" 2
	# The inner one takes the outer along.
	old=$(share_field a pid)
	kill -KILL "$(inner a)"
	wait_for 5 new_share_pid "$old"
	equal "$(share_field a state)" up
	vm_is a running
}

# Another vmd takes them back, those that are there and those that are not.
adopted() {
	pid=$(share_field a pid 0) other=$(share_field a pid 1)
	kill -KILL "$(vmd_pid)"
	kill -KILL "$other"
	run_vmd
	wait_for 10 vm_is a running
	equal "$(share_field a pid 0)" "$pid"
	wait_for 10 new_share_1 "$other"
	kill -KILL "$pid"
	wait_for 10 new_share_pid "$pid"
}

new_share_1() {
	new=$(share_field a pid 1)
	[ "$new" != null ] && [ "$new" != "$1" ]
}

# Without launch what is served goes on; what is to come says why it does not.
no_launch() {
	kill -KILL "$(vmd_launch)"
	wait_for 5 logged 'launch died .* and is not started again'
	vm_is a running
	equal "$(share_field a state)" up
	not vmctl start root 2>"$T/said"
	grep 'shares need a restart of vmd' "$T/said"
	kill -KILL "$(share_field a pid)"
	wait_for 5 share_lost
	vm_is a running
}

share_lost() {
	[ "$(share_field a state)" = lost ]
}

ends() {
	pid=$(share_field a pid 1)
	vmctl stop -f -w a
	not alive "$pid"
	stop_vmd
	nothing_left
}

# No share at the start: no launch, and words for one that comes.
comes_late() {
	flat late '' | start_vmd
	equal "$(vmd_launch)" ''
	{
		flat late ''
		flat other '' "share \"$T/home\" tag home"
	} | vmd_conf
	vmctl reload
	not vmctl start other 2>"$T/said"
	grep "share $T/home: shares need a restart of vmd" "$T/said"
	vmctl start late
	vmctl stop -f -w late
	stop_vmd
}

check 'a VM with two shares starts' start
check 'they are shown' shown
check 'launch is as its row says' rows
check 'T66 virtiofsd is its owner and nobody else' boxed
check 'a VM of root has a share of root' roots_own
check 'T66 what is no directory of its own is refused' refused
check 'F1 a virtiofsd that dies is replaced' killed
check 'another vmd takes them back' adopted
check 'launch dies' no_launch
check 'all ends with the VM' ends
check 'a first share that comes later' comes_late
finish
