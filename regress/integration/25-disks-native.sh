#!/bin/sh
# SPDX-License-Identifier: ISC
# Disks of VMs and the processes that serve them: rights, locks, what is shown,
# and what becomes of a process that dies.  T49, T66, F1.
. regress/lib/lib.sh
# No other vmd has these, nor the same test beside this one.
UID_FIRST=$((200000 + $$ % 10000 * 20))
UID_LAST=$((UID_FIRST + 19))

image() {
	for name; do
		truncate -s 64M "$T/$name.img"
	done
}

new_disk_pid() {
	new=$(disk_pid "$1")
	[ "$new" != null ] && [ "$new" != "$2" ]
}

# A guest that does nothing but read, and writes when it is asked to stop.
busy() {
	cat <<-END
	vm "$1" {
	    disable
	    memory 64M
	    boot "$(cd "$B" && pwd)/regress/guests/disk.elf"
	    cmdline "1"
	    disk "$2"
	    stop timeout ${3:-60}
	}
	END
}

# On a host that is full until "more" is gone.
full() {
	mkdir "$T/full"
	mount -t tmpfs -o size=1M full "$T/full"
	truncate -s 64M "$T/full/full.img"
	! cat /dev/zero >"$T/full/more" || fail 'there is room'
}

# NAME has done more than N reads.
has_read() {
	[ "$(disk_field "$1" reads)" -gt "$2" ]
}

# None of another test's, which has other uids.
disks_of() {
	pgrep -f "^vmd: vm/$1/blk" | while read -r pid; do
		uid=$(stat -c %u "/proc/$pid") &&
		    [ "$uid" -ge "$UID_FIRST" ] && [ "$uid" -le "$UID_LAST" ] && echo "$pid"
	done | wc -l
}

start() {
	image a b shared busy
	full
	{
		echo "user range $UID_FIRST - $UID_LAST"
		busy busy "$T/busy.img"
		busy full "$T/full/full.img"
		busy late "$T/full/full.img" 3
		flat a c "disk \"$T/a.img\" serial one" "disk \"$T/b.img\""
		flat twin c "disk \"$T/a.img\""
		flat reader c "disk \"$T/shared.img\" readonly"
		flat other c "disk \"$T/shared.img\" readonly"
		flat writer c "disk \"$T/shared.img\""
		flat second c "disk \"$T/shared.img\""
		flat none c "disk \"$T/none.img\""
		flat tail c "disk \"$T/a.qcow2\""
	} | start_vmd
	vmctl start a
	watch_open a -a a
	watch_wait a 20
}

shown() {
	vm_says a "blk0 $T/a.img, raw, 64.0M, serial one\$"
	vm_says a "process $(disk_pid a), vm/a/blk0\$"
	vm_says a 'flush p50 - p99 -'
	equal "$(vmctl status -j a | jq -c '.disks | map(.name)')" \
	    '["blk0","blk1"]'
	equal "$(vmctl status -jv a | jq '.disks[0].reads_per_s')" 0
	# One that does not run: what vm.conf says.
	equal "$(vmctl status -j twin |
	    jq -c '.disks[0] | [.path, .pid, .state]')" \
	    "[\"$T/a.img\",null,\"ended\"]"
}

refused() {
	vm=$1
	shift
	! vmctl start "$vm" "$@" 2>"$T/said" || fail "$vm is not refused"
}

locked() {
	refused twin
	grep "disk $T/a.img is in use by vm a" "$T/said"
	vm_says twin 'failed: .* in use by vm a'
	vmctl start reader
	vmctl start other
	refused writer
	grep -E 'in use by vm (reader|other)' "$T/said"
	vmctl stop -fw reader
	vmctl stop -fw other
	# Free again at once.
	vmctl start writer
	vmctl stop -fw writer
	# Two at once: one has it, and the other is told who.
	for _ in 1 2 3 4 5; do
		: >"$T/said"
		vmctl start writer >>"$T/said" 2>&1 &
		first=$!
		! vmctl start second >>"$T/said" 2>&1 || ! wait "$first" ||
		    fail 'both have it'
		wait "$first" || :
		grep -E "disk $T/shared.img is in use by vm (writer|second)" \
		    "$T/said"
		for vm in writer second; do
			vm_is "$vm" stopped || vmctl stop -fw "$vm"
		done
	done
	refused none
	grep "no such file (vmctl create" "$T/said"
	refused tail
	grep 'raw images only' "$T/said"
	# A lock of another program, by its pid.
	"$B/regress/integration/lock" "$T/shared.img" >"$T/locker" &
	wait_for 5 grep -q locked "$T/locker"
	refused writer
	grep "in use by process $!, lock\$" "$T/said"
	kill $!
}

sandboxed() {
	pid=$(disk_pid a)
	uid=$(stat -c %u "/proc/$(vm_pid a)")
	equal "$(stat -c %u "/proc/$pid")" "$uid"
	wait_for 5 "$B/regress/sandbox/check_live" blk "$pid" "$uid" "$uid" \
	    vm "$(vm_pid a)" "$uid" "$uid" parent "$(vmd_pid)" 0 0
	# Nobody else has it open: nobody else waits for its server.
	equal "$(find "/proc/$(vmd_pid)/fd" "/proc/$(vm_pid a)/fd" \
	    -lname "*.img")" ''
	equal "$(find "/proc/$pid/fd" -lname "$T/a.img" | wc -l)" 1
}

# Its guest goes on, and another process is there within a second.
replaced() {
	vm=$(vm_pid a)
	for _ in 1 2 3 4; do
		old=$(disk_pid a)
		kill -KILL "$old"
		wait_for 1 new_disk_pid a "$old"
		watch_more a 5
	done
	equal "$(vm_pid a)" "$vm"
	equal "$(disks_of a)" 2
	logged 'disk blk0 .*: its process was killed by signal 9'
	logged 'disk blk0 is served again, by process'
	equal "$(vmctl status -j a | jq '.disks[0].replaced')" 4
}

broken_replaced() {
	new=$(disk_pid a 1)
	[ "$new" != null ] && [ "$new" != "$1" ]
}

# Its next system call is one that its filter does not allow.
broken() {
	old=$(disk_pid a 1)
	strace -f -p "$old" -o "$T/strace" -e trace=all \
	    -e inject=all:error=EPERM:syscall=getppid &
	wait_for 10 broken_replaced "$old"
	logged 'disk blk1 .*: its process was killed by seccomp'
	watch_more a 5
}

# Nobody but its guest waits for it; it has its time limit all the same.
hangs() {
	vmctl start busy
	wait_for 10 has_read busy 100
	pid=$(disk_pid busy)
	kill -STOP "$pid"
	wait_for 5 disk_is busy hung
	vm_says busy 'requests wait and none was done'
	logged 'vm busy: disk blk0 .*none was done'
	kill -CONT "$pid"
	wait_for 5 disk_is busy up
	equal "$(disk_pid busy)" "$pid"
	n=$(vmctl status -j busy | jq '.disks[0].reads')
	wait_for 5 has_read busy $((n + 100))
	vmctl stop -fw busy
}

# A reset waits until what does not answer is dead, and no longer.
reset_hung() {
	vmctl start busy
	wait_for 10 has_read busy 100
	old=$(disk_pid busy)
	kill -STOP "$old"
	vmctl reboot busy
	wait_for 15 new_disk_pid busy "$old"
	not alive "$old"
	wait_for 5 vm_says busy '1 restart'
	n=$(vmctl status -j busy | jq '.disks[0].reads')
	wait_for 5 has_read busy $((n + 100))
	vmctl stop -fw busy
}

# What a guest writes on its way down has no room: paused, and nothing is lost.
stops_full() {
	vmctl start full
	wait_for 10 has_read full 10
	vmctl stop full
	wait_for 5 vm_is full paused
	vm_says full 'paused: asked to stop, but disk blk0 .*No space left'
	disk_is full stuck
	# Still none; then there is.
	vmctl unpause full
	wait_for 5 vm_is full paused
	! vmctl reboot full 2>"$T/said" || fail 'it is reset'
	grep 'asked to stop' "$T/said"
	rm "$T/full/more"
	vmctl unpause full
	wait_for 10 vm_is full stopped
	not logged 'vm full: .*in time'
	equal "$(stat -c %b "$T/full/full.img")" 8
	# Nobody looks: its time runs on.
	truncate -s 0 "$T/full/full.img"
	truncate -s 64M "$T/full/full.img"
	! cat /dev/zero >"$T/full/more" || fail 'there is room'
	vmctl start late
	wait_for 10 has_read late 10
	vmctl stop late
	wait_for 5 vm_is late paused
	wait_for 10 vm_is late stopped
	logged 'vm late: did not shut down in time'
	umount "$T/full"
}

# The same of one that has no process any more: it is tried again by stop.
stops_lost() {
	vmctl start busy
	wait_for 10 has_read busy 100
	control=$(child_pid control)
	old=$(disk_pid busy)
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	mv "$T/busy.img" "$T/moved.img"
	kill -KILL "$old"
	run_vmd
	wait_for 5 vm_is busy paused
	vmctl stop busy
	wait_for 5 vm_says busy 'paused: asked to stop, but disk .* no such file'
	mv "$T/moved.img" "$T/busy.img"
	vmctl unpause busy
	wait_for 10 vm_is busy stopped
	not logged 'vm busy: .*in time'
}

disk_lines() {
	grep -c "vm busy: disk blk0 .*$1" "$T/vmd.log" || :
}

# By the process table: to ask vmd would take too long on a busy machine.
kill_again() {
	kill -KILL "$(pgrep -P "$(vmd_pid)" -f '^vmd: vm/busy/blk0$')"
	sleep 0.1 # and another from wait_for: it has not just been started
	[ "$(disk_lines 'it dies again and again')" -gt 0 ]
}

all_served() {
	[ "$(disk_lines 'takes over')" -eq "$(disk_lines 'served again')" ]
}

# It has a successor each second, for ever, and the log few lines.
dies_again() {
	vmctl start busy
	wait_for 90 kill_again
	told=$(disk_lines '')
	for _ in 1 2 3; do
		old=$(disk_pid busy)
		kill -KILL "$old" || :
		wait_for 5 new_disk_pid busy "$old"
	done
	equal "$(disk_lines '')" "$told"
	wait_for 15 all_served
	disk_is busy up
	wait_for 5 has_read busy "$(vmctl status -j busy | jq '.disks[0].reads')"
	vmctl stop -fw busy
}

taken_back() {
	control=$(child_pid control)
	first=$(disk_pid a)
	second=$(disk_pid a 1)
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	alive "$first"
	# One dies while nobody looks.
	kill -KILL "$second"
	run_vmd
	equal "$(disk_pid a)" "$first"
	wait_for 5 new_disk_pid a "$second"
	wait_for 5 disk_is a up 1
	# This vmd has neither its page nor its image: both are made anew.
	kill -KILL "$first"
	wait_for 5 disk_is a up
	wait_for 5 new_disk_pid a "$first"
	watch_more a 5
	equal "$(vmctl status -j a | jq '.disks[0].reads != null')" true
	refused twin
	grep "in use by vm a" "$T/said"
}

# Another file has its name, when it must be opened again.
changed() {
	mv "$T/a.img" "$T/moved.img"
	image a
	kill -KILL "$(disk_pid a)"
	changed_found
	# The same, when there was no vmd meanwhile.
	control=$(child_pid control)
	first=$(disk_pid a)
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	mv "$T/a.img" "$T/moved.img"
	image a
	kill -KILL "$first"
	run_vmd
	changed_found
}

changed_found() {
	wait_for 5 vm_is a paused
	wait_for 5 disk_is a lost
	vm_says a "paused: disk $T/a.img is not the file any more"
	! vmctl unpause a 2>"$T/said" || fail 'it goes on'
	grep 'not the file any more' "$T/said"
	mv "$T/moved.img" "$T/a.img"
	vmctl unpause a
	vm_is a running
	disk_is a up
	watch_more a 5
}

# From the death of a process until another has it an image is not locked.
taken() {
	control=$(child_pid control)
	first=$(disk_pid a)
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	kill -KILL "$first"
	wait_for 5 not alive "$first"
	"$B/regress/integration/lock" "$T/a.img" >"$T/locker" &
	locker=$!
	wait_for 5 grep -q locked "$T/locker"
	run_vmd
	wait_for 5 vm_is a paused
	vm_says a "paused: disk $T/a.img is in use by process $locker, lock;"
	! vmctl unpause a 2>"$T/said" || fail 'it goes on'
	grep "in use by process $locker, lock" "$T/said"
	kill "$locker"
	wait_for 5 not alive "$locker"
	vmctl unpause a
	vm_is a running
	watch_more a 5
}

# Of "a", while no vmd runs, by sed: a record that is not as it was written.
damage() {
	control=$(child_pid control)
	left=$(vm_pid a)
	id=$(vm_id a)
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	sed -i "$1" "$T/state/vm/$id.rec"
	run_vmd
}

# All but where its process is: it runs on, and says what nobody knows.
damaged() {
	damage 's/^dev 1 .*/dev 1 x/'
	vm_is "lost-$id" running
	equal "$(vm_pid "lost-$id")" "$left"
	vm_says "lost-$id" 'running: its record is damaged'
	logged "lost-$id: taken back, process $left: its record is damaged"
	watch_open lost "lost-$id"
	watch_wait lost 5
	# It has its disks.
	refused a
	grep 'in use by another' "$T/said"
	# The same for another vmd.
	control=$(child_pid control)
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	run_vmd
	vm_says "lost-$id" 'running: its record is damaged'
	vmctl stop -w "lost-$id"
	wait_for 5 not alive "$left"
	not vmctl status "lost-$id"
	[ ! -e "$T/state/vm/$id.rec" ]
	wait_for 5 vmctl start a
}

# Where its process is: it runs on and is named, and nothing of it is another's.
unknown() {
	damage '1s/.*/vmd-record 999/'
	vm_is a stopped
	alive "$left"
	logged "process $left of uid .* is of a vm whose record is damaged"
	refused a
	vmctl start writer
	uid=$(stat -c %u "/proc/$(vm_pid writer)")
	[ "$uid" != "$(stat -c %u "/proc/$left")" ]
	vmctl stop -fw writer
	kill -KILL "$left"
	wait_for 5 vmctl start a
	vmctl stop -fw a
	control=$(child_pid control)
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	run_vmd
	[ ! -e "$T/state/vm/$id.damaged" ]
	vmctl start a
}

# No process of a VM stays, and its images are free, when stop has said so.
ended() {
	vmctl stop -fw a
	equal "$(disks_of a)" 0
	vmctl start a
	kill -STOP "$(disk_pid a)"
	vmctl stop -fw a
	equal "$(disks_of a)" 0
	# As when its main thread waits for a device that plays dead.
	vmctl start a
	kill -STOP "$(disk_pid a)" "$(disk_pid a 1)" "$(vm_pid a)"
	vmctl stop -fw a
	equal "$(disks_of a)" 0
	vmctl start a
	kill -KILL "$(vm_pid a)"
	wait_for 5 vm_is a stopped
	equal "$(disks_of a)" 0
	vmctl start twin
	vmctl stop -fw twin
	# One that does not end by itself, when its VM ended without a vmd.
	vmctl start a
	control=$(child_pid control)
	first=$(disk_pid a)
	vm=$(vm_pid a)
	kill -STOP "$first"
	kill -KILL "$(vmd_pid)"
	wait_for 10 not alive "$control"
	kill -KILL "$vm"
	wait_for 10 not alive "$vm"
	run_vmd
	wait_for 5 not alive "$first"
	vmctl start twin
	vmctl stop -fw twin
	# -d is for one run.
	vmctl start -d "$T/b.img" -d "$T/shared.img" twin
	equal "$(vmctl status -j twin | jq '.disks | length')" 3
	equal "$(disks_of twin)" 3
	vmctl stop -fw twin
	equal "$(vmctl status -j twin | jq '.disks | length')" 1
	stop_vmd
	nothing_left
}

# vmctl start -d: with the rights of who asks, and no others.
rights() {
	image hers roots
	chown 61001 "$T/hers.img"
	chmod 600 "$T/hers.img" "$T/roots.img"
	chmod 644 "$T/shared.img"
	ln -s roots.img "$T/link.img"
	{
		echo "user range $UID_FIRST - $UID_LAST"
		echo 'socket owner "0:61000"'
		flat hers c 'owner 61001'
	} | start_vmd
	for image in roots shared link; do
		! as 61001 start -d "$T/$image.img" hers 2>"$T/said" ||
		    fail "$image.img is opened"
		grep -i 'permission denied' "$T/said"
	done
	as 61001 start -d "$T/hers.img" hers
	equal "$(disks_of hers)" 1
	# Her process dies and is replaced, with her rights again.
	kill -KILL "$(disk_pid hers)"
	wait_for 5 disk_is hers up
	as 61001 stop -fw hers
	chmod 700 "$T"
	stop_vmd
}

check 'a VM with two disks starts' start
check 'what is shown of them' shown
check 'T49 two VMs, one image' locked
check 'S2 T65 T67 their processes are as the table says' sandboxed
check 'F1 a process that is killed is replaced' replaced
check 'one that its filter kills, too' broken
check 'one that stands is named, and goes on' hangs
check 'a process that dies again and again' dies_again
check 'T13 a reset while a process does not answer' reset_hung
check 'a guest that stops, on a host that is full' stops_full
check 'a guest that stops without its disk' stops_lost
check 'they are taken back by the next vmd' taken_back
check 'an image that is another file now' changed
check 'T49 an image that another program has meanwhile' taken
check 'a record that is damaged' damaged
check 'one that is of no use at all' unknown
check 'they end with their VM' ended
check 'T66 the rights of who asks' rights
finish
