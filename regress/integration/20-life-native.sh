#!/bin/sh
# SPDX-License-Identifier: ISC
# How a VM ends and begins again, with flat guests: what each way says, and
# that nothing is left of any.
. regress/lib/lib.sh

# Type into a guest and see what comes of it.
key() {
	con_open "$1"
	con_wait "$1" '^up' 10
	con_type "$1" "$2"
}

start() {
	{
		flat obeys c
		flat deaf d 'stop timeout 1'
		flat resets s
		flat triples s
		flat loops t
		flat falls s
		flat nokernel | sed 's,talk.elf,nosuch.elf,'
		flat badkernel | sed "s,boot .*,boot \"$PWD/Makefile\","
		flat dirkernel | sed "s,boot .*,boot \"$PWD\","
	} | start_vmd
}

stop_obeys() {
	vmctl start obeys
	con_open obeys
	con_wait obeys '^00000003' 10
	vmctl stop obeys
	wait_for 10 vm_is obeys stopped
	con_wait obeys '^button' 5
	logged 'vm obeys: stopped'
	con_wait obeys 'vm obeys has ended' 5
	wait_for 5 not alive "$(cat "$T/con.obeys.pid")"
}

# Asked, given its second, and powered off; the log says so.
stop_deaf() {
	vmctl start deaf
	vmctl stop deaf
	vm_is deaf stopping
	wait_for 10 vm_is deaf stopped
	logged 'vm deaf: did not shut down in time'
}

stop_force() {
	vmctl start deaf
	vmctl stop -f deaf
	wait_for 5 vm_is deaf stopped
	equal "$(grep -c 'vm deaf: did not shut down' "$T/vmd.log")" 1
}

stop_and_wait() {
	vmctl start obeys
	vmctl stop -w obeys
	vm_is obeys stopped
}

wait_ends() {
	vmctl start resets
	vmctl wait resets &
	waiter=$!
	alive "$waiter"
	key resets q
	wait "$waiter"
	wait_for 5 vm_is resets stopped
	logged 'vm resets: powered itself off'
	not vm_says resets failed
}

# Waiting for one that fails tells how; one that does not run, how it ended.
wait_fails() {
	vmctl start obeys
	not vmctl wait obeys 2>"$T/said" &
	waiter=$!
	alive "$waiter"
	kill -KILL "$(vm_pid obeys)"
	wait "$waiter"
	grep -q 'vm obeys failed: its process was killed by signal 9' "$T/said"
	not vmctl wait obeys 2>"$T/said"
	grep -q 'signal 9' "$T/said"
	vmctl start obeys
	vmctl stop -fw obeys
	vmctl wait obeys
	equal "$(vmctl status -r obeys 2>&1)" 'vmctl: vm obeys is not running'
	not vmctl status -r nobody 2>"$T/said"
	grep -q 'no vm named nobody' "$T/said"
}

# Answered when it is so: what comes next may count on it.
pauses() {
	vmctl start obeys
	for _ in 1 2 3; do
		vmctl pause obeys
		vm_is obeys paused
		not vmctl pause obeys
		vmctl unpause obeys
		vm_is obeys running
		not vmctl unpause obeys
	done
	vmctl stop -fw obeys
}

# In place: same process, same console, the guest's memory is new.
reset_in_place() {
	vmctl start resets
	pid=$(vm_pid resets)
	key resets c
	con_wait resets '^00000005' 10
	con_type resets r
	wait_for 10 vm_says resets '1 restart,'
	wait_for 10 con_twice resets '^up'
	vmctl reboot resets
	wait_for 10 vm_says resets '2 restarts,'
	equal "$(vm_pid resets)" "$pid"
	logged 'vm resets: restarted: by itself'
	vmctl stop -fw resets
}

con_twice() {
	[ "$(tr -d '\r' <"$T/con.$1" | grep -a -c -e "$2")" -ge 2 ]
}

triple_fault() {
	vmctl start triples
	pid=$(vm_pid triples)
	key triples t
	wait_for 10 vm_says triples '1 restart,'
	wait_for 10 con_twice triples '^up'
	equal "$(vm_pid triples)" "$pid"
	logged 'vm triples: restarted: .*triple fault'
	vmctl stop -fw triples
}

# Three in a row, each within six seconds.
gives_up() {
	vmctl start loops
	wait_for 20 vm_is loops stopped
	vm_says loops 'failed: .*given up'
	logged 'vm loops: lost: .*given up'
	vmctl status -j loops | grep -q '"failed":true'
	# A start that goes well wipes that out.
	not vm_says obeys failed
}

kvm_error() {
	vmctl start falls
	key falls e
	wait_for 10 vm_is falls stopped
	vm_says falls 'failed: .*0xd0000000'
}

cannot_start() {
	not vmctl start nokernel 2>"$T/said"
	grep -q 'nosuch.elf: No such file' "$T/said"
	vm_says nokernel 'nosuch.elf: No such file'
	not vmctl start badkernel 2>"$T/said"
	grep -q 'kernel' "$T/said"
	wait_for 5 vm_is badkernel stopped
	not vmctl start dirkernel 2>"$T/said"
	grep -q 'not a regular file' "$T/said"
	not vmctl start nosuchvm 2>"$T/said"
	grep -q 'nosuchvm' "$T/said"
	not vmctl stop obeys 2>"$T/said"
	grep -q 'not running' "$T/said"
	equal "$(find "$T/state/vm" -type f -o -type s)" ''
}

leaves_nothing() {
	stop_vmd 10
	nothing_left
}

check 'vmd with flat guests' start
check 'stop: the guest hears the button' stop_obeys
check 'stop: a deaf guest is powered off after its time' stop_deaf
check 'stop -f asks nobody' stop_force
check 'stop -w returns when it is gone' stop_and_wait
check 'wait ends with the guest' wait_ends
check 'wait tells of a guest that failed' wait_fails
check 'pause and unpause are answered when it is so' pauses
check 'a reset restarts in place' reset_in_place
check 'a triple fault restarts in place' triple_fault
check 'three quick triple faults give up, with the reason' gives_up
check 'a KVM error: the reason names where (T76)' kvm_error
check 'a start that cannot be says why and leaves nothing' cannot_start
check 'nothing is left behind' leaves_nothing
finish
