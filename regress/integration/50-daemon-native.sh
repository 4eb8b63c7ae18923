#!/bin/sh
# SPDX-License-Identifier: ISC
# The daemon's own life: its signals, its reload, its sandboxes, who may do
# what, many guests and many starts.
. regress/lib/lib.sh

# ---- Signals ----

three() {
	{
		flat one c
		flat two c
		flat deaf d "stop timeout $1"
	} | start_vmd
	for vm in one two deaf; do
		vmctl start "$vm"
	done
}

# TERM: the button for all; the deaf one has its second; then vmd ends.
term() {
	three 1
	kill -TERM "$(vmd_pid)"
	wait_for 15 not alive "$(vmd_pid)"
	logged 'signal 15: stopping the guests'
	logged 'vm one: stopped'
	logged 'vm two: stopped'
	logged 'vm deaf: did not shut down in time'
	nothing_left
}

# The second TERM does not wait for ten minutes.
term_twice() {
	three 600
	pid=$(vm_pid deaf)
	kill -TERM "$(vmd_pid)"
	wait_for 10 vm_is one stopped
	vm_is deaf stopping
	not vmctl start one 2>"$T/said"
	grep -q 'vmd is stopping' "$T/said"
	alive "$pid"
	kill -TERM "$(vmd_pid)"
	wait_for 10 not alive "$(vmd_pid)"
	not alive "$pid"
	nothing_left
}

# USR2 leaves them, and the next vmd has them back with all they said.
usr2() {
	three 600
	pid=$(vm_pid one)
	watch_open one -a one
	watch_wait one 5
	kill -USR2 "$(vmd_pid)"
	wait_for 10 not alive "$(vmd_pid)"
	alive "$pid"
	run_vmd
	equal "$(vm_pid one)" "$pid"
	watch_more one 5
	watch_close one
	consecutive "$T/watch.one"
	vmctl stop -fw deaf
	stop_vmd 10
	nothing_left
}

# The state directory is one daemon's.
second_vmd() {
	flat one | start_vmd
	sed 's/vmd.sock/other.sock/' "$T/vm.conf" >"$T/other.conf"
	not "$B/vmd" -d -f "$T/other.conf" 2>"$T/said"
	grep -q 'another vmd runs with state directory' "$T/said"
	[ ! -e "$T/other.sock" ]
	vmctl status >/dev/null
	# A socket that a killed one left is not in the way.
	kill -KILL "$(vmd_pid)"
	wait_for 5 not alive "$(vmd_pid)"
	run_vmd
	stop_vmd 10
	nothing_left
}

# ---- Reload ----

memory_of() {
	vm_column "$1" 4
}

reload() {
	{
		flat keeps c
		flat grows c
		flat goes c
		flat idle
	} | start_vmd
	vmctl start keeps
	vmctl start grows
	vmctl start goes
	pid=$(vm_pid grows)

	# What does not parse changes nothing, by signal and by request.
	cp "$T/vm.conf" "$T/good.conf"
	echo 'vm "broken" {' >>"$T/vm.conf"
	kill -HUP "$(vmd_pid)"
	wait_for 5 logged 'not reloaded, the old configuration stays'
	logged 'vm.conf:[0-9]*:[0-9]*: '
	not vmctl reload 2>"$T/said"
	grep -q 'vm.conf:[0-9]*:[0-9]*: ' "$T/said"
	equal "$(vmctl status | wc -l)" 5

	# What runs goes on as it is; its new settings wait for its end.
	{
		flat keeps c
		flat grows c | sed 's/4M/8M/'
		flat fresh c
	} | vmd_conf
	kill -HUP "$(vmd_pid)"
	wait_for 5 vm_is fresh stopped
	not vmctl status idle 2>/dev/null
	equal "$(memory_of grows)" 4.0M
	equal "$(vm_pid grows)" "$pid"
	vm_is goes running
	vmctl stop -w grows
	equal "$(memory_of grows)" 8.0M
	vmctl start grows
	vmctl stop -w goes
	not vmctl status goes 2>"$T/said"
	grep -q 'no vm named goes' "$T/said"

	# load adds and takes nothing away.
	flat added c >"$T/add.conf"
	vmctl load "$T/add.conf"
	vm_is added stopped
	vm_is keeps running
	# "enable" counts at a reload, too.
	flat keeps c | sed 's/disable/enable/' | vmd_conf
	vmctl reload
	vm_is keeps running
	vmctl stop -fw keeps
	vmctl reload
	wait_for 5 vm_is keeps running
	stop_vmd 10
	nothing_left
}

# ---- Sandboxes, of the live processes (T65, T67) ----

uid_of() {
	stat -c %u "/proc/$1"
}

live() {
	lib_args="parent $(vmd_pid) 0 0"
	for role in control vmm; do
		pid=$(child_pid "$role")
		lib_args="$lib_args $role $pid $(uid_of "$pid") $(uid_of "$pid")"
	done
	for vm; do
		pid=$(vm_pid "$vm")
		lib_args="$lib_args vm $pid $(uid_of "$pid") $(uid_of "$pid")"
	done
	# shellcheck disable=SC2086 # a list
	"$B/regress/sandbox/check_live" $lib_args
}

sandboxes() {
	{
		flat one c
		flat two f
		flat three c 'cpus 4'
	} | start_vmd
	for vm in one two three; do
		vmctl start "$vm"
	done
	# At rest is after the links that a start makes.
	wait_for 10 live one two three
	# No two have one uid.
	equal "$(for vm in one two three; do uid_of "$(vm_pid "$vm")"; done |
	    sort -u | wc -l)" 3
	# Under load: clients, consoles, figures.
	con_open one
	con_wait one '^0' 10
	watch_open two two
	watch_wait two 100
	vmctl status -v >/dev/null
	wait_for 10 live one two three
	# And when all has been started anew or taken back.
	kill -KILL "$(child_pid control)" "$(child_pid vmm)"
	wait_for 10 child_pid control
	wait_for 10 child_pid vmm
	wait_for 10 vmctl status
	wait_for 10 live one two three
	kill -KILL "$(vmd_pid)"
	run_vmd
	watch_open again two
	watch_wait again 10
	wait_for 10 live one two three
	vmctl stop -fa
	stop_vmd 10
	nothing_left
}

# ---- Who may (T68): by the uid at the other end of the socket ----

refused() {
	! as "$@" 2>"$T/said" >/dev/null || fail "$* is not refused"
	grep -q -e 'do not own' -e 'only root' "$T/said" || {
		cat "$T/said"
		return 1
	}
}

permissions() {
	{
		echo 'socket owner "0:61000"'
		flat hers c 'owner 61001'
		flat theirs c 'owner ":61000"'
		flat roots c
	} | start_vmd
	as 61001 start hers
	as 61001 pause hers
	as 61001 unpause hers
	as 61001 status | grep -q roots
	vmctl start roots
	for verb in start stop pause unpause reboot wait console; do
		refused 61001 "$verb" roots
		refused 61002 "$verb" hers
	done
	for vm in hers roots; do
		vm_is "$vm" running
	done
	# A group's VM is every member's.
	as 61002 start theirs
	as 61001 stop -fw theirs
	# What is root's alone.
	refused 61001 reload
	refused 61001 load "$T/vm.conf"
	refused 61001 reset
	refused 61001 log verbose
	refused 61001 start -b "$B/regress/guests/talk.elf" newone
	as 61001 stop -fw hers
	# Out of the group: the socket itself says no.
	not as 61001:61003 status 2>"$T/said"
	grep -q 'ermission' "$T/said"
	chmod 700 "$T"
	vmctl stop -fa
	stop_vmd 10
}

# ---- Many ----

fds_of() {
	find "/proc/$1/fd" -mindepth 1 | wc -l
}

fds_of_all() {
	echo "$(fds_of "$(vmd_pid)") $(fds_of "$(child_pid control)")" \
	    "$(fds_of "$(child_pid vmm)")"
}

# Fifty processes die in one moment (T72).
fifty() {
	for n in $(seq 50); do
		flat "vm$n" s
	done | start_vmd
	before=$(fds_of_all)
	vmctl -v status >/dev/null
	for n in $(seq 50); do
		vmctl start "vm$n" >/dev/null
	done
	pids=$(vmctl status -r | awk 'NR > 1 { print $2 }')
	equal "$(echo "$pids" | wc -l)" 50
	# shellcheck disable=SC2086 # a list
	kill -KILL $pids
	wait_for 20 none_runs
	equal "$(vmctl status -v | grep -c 'killed by signal 9')" 50
	equal "$(find "$T/state/vm" -type f -o -type s)" ''
	wait_for 5 no_more_fds "$before"
	vmctl start vm7
	vm_is vm7 running
	not vm_says vm7 failed
	stop_vmd 10
	nothing_left
}

none_runs() {
	equal "$(vmctl status -r | wc -l)" 1
}

# At first a client may still have been leaving.
no_more_fds() {
	# shellcheck disable=SC2046,SC2086 # three numbers, and three
	set -- $1 $(fds_of_all)
	[ "$4" -le "$1" ] && [ "$5" -le "$2" ] && [ "$6" -le "$3" ]
}

# Started and stopped over and over: ids go up, no fd or file stays (T75).
cycles() {
	flat stays | start_vmd
	vmctl start stays
	vmctl stop -fw stays
	before=$(fds_of_all)
	for n in $(seq 60); do
		vmctl start -b "$B/regress/guests/talk.elf" -I "$T/vm.conf" -m 4M \
		    "vm$n" >/dev/null
		vm_id "vm$n" >>"$T/ids"
		vmctl stop -fw "vm$n" >/dev/null
		not vmctl status "vm$n" 2>/dev/null
	done
	equal "$(sort -un "$T/ids" | wc -l)" 60
	equal "$(sort -n "$T/ids" | tail -n 1)" 61
	wait_for 5 no_more_fds "$before"
	equal "$(find "$T/state/vm" -type f -o -type s)" ''
	stop_vmd 10
	nothing_left
}

# A vmd that may have so many fds and cannot raise that.
run_limited() {
	: >"$T/vmd.log"
	setsid setpriv --bounding-set=-sys_resource prlimit -n"$1:$1" \
	    "$B/vmd" -d -f "$T/vm.conf" >>"$T/vmd.log" 2>&1 &
	echo $! >"$T/vmd.pid"
	echo $! >>"$T/sessions"
}

# With too few fds vmd says so; with few, the one start too many fails and
# leaves nothing, and all that runs goes on (T74).
ladder() {
	for n in $(seq 20); do
		flat "vm$n" s
	done | vmd_conf
	for fds in 4 8 16 32 63; do
		run_limited "$fds"
		wait_for 10 not alive "$(vmd_pid)"
		# the dynamic loader of a sanitized vmd has no words for it
		grep -q -i -e 'too many open files' -e 'Error 24$' "$T/vmd.log"
		not [ -e "$T/vmd.sock" ]
	done
	run_limited 64
	wait_for 20 vmctl status
	n=1
	while vmctl start "vm$n" >"$T/said" 2>&1; do
		n=$((n + 1))
	done
	[ "$n" -gt 8 ]
	grep -q -i 'too many open files' "$T/said"
	wait_for 5 vm_is "vm$n" stopped
	equal "$(find "$T/state/vm" -type f | wc -l)" $((n - 1))
	equal "$(vmctl status -r | grep -c ' running ')" $((n - 1))
	vmctl stop -fw vm1
	vmctl start "vm$n"
	vmctl stop -fa
	wait_for 20 none_runs
	stop_vmd 10
	nothing_left
}

check 'TERM stops the guests in order, and vmd' term
check 'a second TERM does not wait' term_twice
check 'USR2 leaves the guests for the next vmd' usr2
check 'a second vmd keeps out' second_vmd
check 'reload: bad files, changed and vanished VMs, load' reload
check 'the sandbox of every process, at rest and under load (T65, T67)' sandboxes
check 'who may do what, by real uids (T68)' permissions
check 'fifty processes killed at once (T72)' fifty
check 'sixty starts and stops (T75)' cycles
check 'too few fds (T74)' ladder
finish
