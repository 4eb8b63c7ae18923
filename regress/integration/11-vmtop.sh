#!/bin/sh
# SPDX-License-Identifier: ISC
# The newcomer's scene: vmtop on two live guests, Enter, a shell that answers;
# the terminal is killed; vmtop again, and the same shell has its history.
# Then the guests live through the death of every process of vmd, and one of
# them through the host's lack of memory.
. regress/lib/lib.sh

start() {
	{
		guest alpha
		guest beta
	} | start_vmd
	vmctl start alpha
	vmctl start beta
}

vmtop_open() {
	tm_open 120 40 "$B/vmtop -s $T/vmd.sock"
}

# Two rows, and vmtop's own pid for the end of it.
shows_two() {
	vmtop_open
	tm_wait 'alpha.*running\|running.*alpha' 30
	tm_wait 'beta.*running\|running.*beta' 5
}

enter_is_console() {
	tm_keys Home
	tm_keys Enter
	# A prompt on the screen: what it printed before is there, too.
	tm_wait 'alpha:/#' 120
	tm_screen | grep -q 'busybox shell'
	tm_keys 'uname -a' Enter
	tm_wait '^.*Linux alpha [5-9]\..* x86_64' 30
	tm_keys 'x=still''here' Enter
}

# As when the window is closed: the program hangs up, guests do not notice.
terminal_dies() {
	pid=$(tm list-panes -F '#{pane_pid}')
	alive "$pid"
	kill -KILL "$(tm display -p '#{pid}')"
	wait_for 10 not alive "$pid"
	rm -f "$T/tmux"
	vm_is alpha running
	vm_is beta running
}

same_shell_again() {
	vmtop_open
	tm_wait 'alpha' 30
	tm_keys Home
	tm_keys Enter
	tm_wait 'Linux alpha [5-9]\..* x86_64' 30
	tm_screen | grep -q 'uname -a'
	# The very shell: its variable is there.
	tm_keys 'echo is $x' Enter
	tm_wait 'is stillhere' 30
}

# Detach by C-] d, into the other one.
other_console() {
	tm_keys C-]
	tm_keys d
	tm_wait 'beta' 10
	tm_keys Down
	tm_keys Enter
	tm_wait 'beta:/#' 120
	tm_keys 'uname -n' Enter
	tm_wait '^.*beta$' 30
}

# vmd dies under it: it says so, keeps the screen, and goes on.
vmd_dies() {
	alpha=$(vm_pid alpha)
	beta=$(vm_pid beta)
	kill -KILL "$(child_pid control)"
	wait_for 20 vmctl status
	tm_until '^.*after control' 60 'echo after con""trol' Enter
	kill -KILL "$(child_pid vmm)"
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$(vmd_pid)"
	run_vmd
	equal "$(vm_pid alpha)" "$alpha"
	equal "$(vm_pid beta)" "$beta"
	tm_until '^.*after vmd' 60 'echo after vm""d' Enter
	tm kill-server
}

# Linux guests that stream meanwhile: nothing is missing.
streams() {
	watch_open alpha -a alpha
	con_open alpha
	con_wait alpha 'alpha:/#' 30
	con_type alpha 'stty -echo; clear; echo up; i=10000000; while :; do echo $i; i=$((i+1)); usleep 50000; done\r'
	con_wait alpha '^10000005' 60
	kill -KILL "$(child_pid control)"
	wait_for 20 vmctl status
	watch_more alpha 10
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$(vmd_pid)"
	run_vmd
	watch_more alpha 10
	watch_close alpha
	not grep -q '^gap' "$T/watch.alpha.err"
	tr -d '\r' <"$T/watch.alpha" | sed '$d' | awk '
	    /^1000[0-9]*$/ {
		if (want && $1 != want) {
			print $1 " is not " want
			exit bad = 1
		}
		want = $1 + 1
		n++
	    }
	    END { exit bad || n < 20 }'
}

# The host's memory ends for one guest: it alone is lost, and the reason said.
out_of_memory() {
	vmctl stop -fw beta
	vmctl start beta
	con_open beta oom
	con_wait oom 'beta:/#' 120
	group=/sys/fs/cgroup/vmd-test
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir "$group"
	echo 16M >"$group/memory.max"
	echo 0 >"$group/memory.swap.max" || :
	vm_pid beta >"$group/cgroup.procs"
	con_type oom 'mkdir /m; mount -t tmpfs m /m; cat /dev/zero >/m/x\r'
	wait_for 60 vm_is beta stopped
	rmdir "$group"
	vm_says beta 'failed: its process was killed because the host ran out'
	vm_is alpha running
}

sandboxes() {
	pid=$(vm_pid alpha)
	uid=$(stat -c %u "/proc/$pid")
	wait_for 10 "$B/regress/sandbox/check_live" vm "$pid" "$uid" "$uid"
}

# Beyond the guest's memory: what the project promises, in kB.
small() {
	awk '/^[0-9a-f]+-/ { guest = /memfd:alpha/ }
	    /^Pss:/ { if (guest) ram += $2; else rest += $2 }
	    END { print "guest", ram, "kB, beside it", rest, "kB"
		exit !(ram > 10000 && rest <= 4096) }' \
	    "/proc/$(vm_pid alpha)/smaps"
}

leaves_nothing() {
	stop_vmd
	nothing_left
}

check 'two guests start' start
check 'vmtop shows both' shows_two
check 'Enter is the console, and its shell answers' enter_is_console
check 'the terminal is killed: no guest notices' terminal_dies
check 'vmtop again: the same shell with its history' same_shell_again
check 'detach, and into the other one' other_console
check 'vmd dies under vmtop, which goes on' vmd_dies
check 'Linux streams while vmd dies: nothing is missing' streams
check 'the sandbox of a Linux guest (T65, T67)' sandboxes
# Sanitizers keep shadows of everything.
[ "${SAN-}" ] || check 'at most 4 MiB beyond the guest' small
check 'out of memory: one guest is lost, and says why' out_of_memory
check 'nothing is left behind' leaves_nothing
finish
