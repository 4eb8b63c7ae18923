#!/bin/sh
# SPDX-License-Identifier: ISC
# Every process of vmd is killed in turn while consoles stream numbers: guests
# run on, are taken back, and no number is missing.  F1.
. regress/lib/lib.sh

start() {
	{
		flat a c
		flat b c
		flat c c
	} | start_vmd
	for vm in a b c; do
		vmctl start "$vm"
		watch_open "$vm" -a "$vm"
	done
	for vm in a b c; do
		watch_wait "$vm" 20
		vm_pid "$vm" >"$T/$vm.pid"
	done
}

same_processes() {
	for vm in a b c; do
		equal "$(vm_pid "$vm")" "$(cat "$T/$vm.pid")"
		vm_is "$vm" running
	done
}

# All three watchers have so many lines more than they had.
all_go_on() {
	for vm in a b c; do
		watch_more "$vm" "$1"
	done
}

# Kill the child of that role again and again; a new one comes each time.
kill_child() {
	for _ in 1 2 3 4 5; do
		old=$(child_pid "$1")
		kill -KILL "$old"
		wait_for 10 new_child "$1" "$old"
		wait_for 10 same_processes
		all_go_on 5
		# Its work is done again, too.
		vmctl pause a
		wait_for 5 vm_is a paused
		vmctl unpause a
		wait_for 5 vm_is a running
	done
	logged "$1 died (signal 9) and is started again"
}

new_child() {
	new=$(child_pid "$1")
	[ -n "$new" ] && [ "$new" != "$2" ]
}

# Both at once, and what was asked meanwhile is answered.
kill_both() {
	kill -KILL "$(child_pid control)" "$(child_pid vmm)"
	wait_for 10 same_processes
	all_go_on 5
}

kill_parent() {
	for _ in 1 2 3; do
		wait_for 10 child_pid control
		wait_for 10 child_pid vmm
		control=$(child_pid control)
		vmm=$(child_pid vmm)
		kill -KILL "$(vmd_pid)"
		wait_for 10 not alive "$control"
		wait_for 10 not alive "$vmm"
		for vm in a b c; do
			alive "$(cat "$T/$vm.pid")"
		done
		run_vmd
		same_processes
		all_go_on 5
	done
	equal "$(grep -c 'taken back' "$T/vmd.log")" 9
}

# All of vmd but the guests, in one blow.
kill_all() {
	kill -KILL "$(vmd_pid)" "$(child_pid control)" "$(child_pid vmm)"
	run_vmd
	same_processes
	all_go_on 5
}

# What was killed while a new daemon could not see it.
guest_dies_alone() {
	kill -KILL "$(vmd_pid)" "$(cat "$T/c.pid")"
	wait_for 10 not alive "$(cat "$T/c.pid")"
	run_vmd
	vm_is c stopped
	vm_is a running
	vm_is b running
	equal "$(find "$T/state/vm" -type f | wc -l)" 2
	# Its watcher is told so, and must not find the next run instead.
	wait_for 15 not alive "$(cat "$T/watch.c.pid")"
	vmctl start c
	vm_pid c >"$T/c.pid"
	watch_open c2 -a c
	watch_wait c2 5
}

# The cause that the kernel does not tell who is not its Unix parent.
taken_back_dies() {
	kill -KILL "$(cat "$T/b.pid")"
	wait_for 5 vm_is b stopped
	vm_says b 'failed: its process is gone (taken back'
	vm_is a running
	vm_is c running
	vmctl start b
	vm_pid b >"$T/b.pid"
	same_processes
}

kill_it() {
	kill -KILL "$1"
}

# Its next system call is another one, which its filter does not allow.
break_it() {
	strace -f -p "$1" -o "$T/strace" -e trace=all \
	    -e inject=all:error=EPERM:syscall=getppid &
}

one_dies() {
	"$1" "$(cat "$T/b.pid")"
	wait_for 5 vm_is b stopped
	vm_says b "failed: its process was killed by $2"
	logged "vm b: lost: its process was killed by $2"
	vm_is a running
	vm_is c running
	equal "$(vm_pid a)" "$(cat "$T/a.pid")"
	vmctl start b
	not vm_says b failed
	vm_pid b >"$T/b.pid"
}

# A process that hangs: not its own stop, but the parent's.  F13.
one_hangs() {
	vmctl stop -f b
	wait_for 5 vm_is b stopped
	vmctl start b
	kill -STOP "$(vm_pid b)"
	# The others are not held up, nor is a list for longer than its limit.
	vmctl status >/dev/null
	watch_more a 5
	watch_more c2 5
	vmctl stop -f b
	wait_for 5 vm_is b stopped
}

no_number_is_missing() {
	watch_close a
	watch_close c2
	for vm in a b c c2; do
		consecutive "$T/watch.$vm"
		not grep -q '^gap' "$T/watch.$vm.err"
	done
	grep -q '^down' "$T/watch.a.err"
}

leaves_nothing() {
	stop_vmd 10
	nothing_left
}

check 'three guests, each watched' start
check 'control is killed five times' kill_child control
check 'vmm is killed five times' kill_child vmm
check 'control and vmm are killed at once' kill_both
check 'the parent is killed three times, a new vmd takes all back' kill_parent
check 'all but the guests is killed' kill_all
check 'a guest that died while nobody watched' guest_dies_alone
check 'a guest taken back is killed: it alone is lost' taken_back_dies
check 'a guest is killed: it alone is lost' one_dies kill_it 'signal 9'
check 'a guest breaks its sandbox: the cause is named' one_dies break_it seccomp
check 'a guest hangs: the others go on, and it can be killed (F13)' one_hangs
check 'no number is missing at any watcher' no_number_is_missing
check 'nothing is left behind' leaves_nothing
finish
