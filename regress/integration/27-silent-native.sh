#!/bin/sh
# SPDX-License-Identifier: ISC
# Images of a file system whose server does not answer: who opens one there waits,
# and cannot be killed; nobody else does.
. regress/lib/lib.sh

# Of no other run of this test.
away=away$$
far=far$$

fuse() {
	kill -s "$1" "$(cat "$T/fuse.pid")"
}

# So many processes of disks of NAME.
openers() {
	[ "$(pgrep -f "^vmd: vm/$1/blk" | wc -l)" -eq "$2" ]
}

disk_is() {
	[ "$(vmctl status -j "$1" | jq -r '.disks[0].state')" = "$2" ]
}

mounted() {
	mkdir "$T/fuse"
	setsid "$B/regress/tools/fuseimage" "$T/fuse" 1048576 >"$T/fuse.out" &
	echo $! >"$T/fuse.pid"
	echo $! >>"$T/sessions"
	wait_for 5 grep -q mounted "$T/fuse.out"
	truncate -s 1M "$T/here.img"
	{
		flat "$away" c "disk \"$T/fuse/0.img\"" "disk \"$T/fuse/1.img\"" \
		    "disk \"$T/fuse/2.img\"" "disk \"$T/fuse/3.img\""
		flat "$far" c "disk \"$T/fuse/far.img\""
		flat here c "disk \"$T/here.img\""
	} | start_vmd
}

# A start of away that is on its way.
start_away() {
	vmctl start "$away" >"$T/away" 2>&1 &
	echo $! >"$T/away.pid"
	wait_for 3 openers "$away" 4
}

away_fails() {
	wait_for 8 not alive "$(cat "$T/away.pid")"
	grep "$1" "$T/away"
}

# The others have their turn while one waits, and that one has its words.
told() {
	fuse USR1
	start_away
	vmctl start here
	vm_is here running
	vmctl stop -fw here
	vm_is here stopped
	alive "$(cat "$T/away.pid")"
	away_fails "disk $T/fuse/[0-3].img: its file system does not answer"
	vm_is "$away" stopped
	vm_says "$away" 'its file system does not answer'
	equal "$(find "/proc/$(vmd_pid)/fd" -lname "$T/fuse/*")" ''
}

# What waits there still is killed, and stays; so it is counted.
counted() {
	openers "$away" 4
	vmctl start "$away" >"$T/away" 2>&1 || :
	grep 'does not answer' "$T/away"
	openers "$away" 8
	vmctl start "$away" >"$T/away" 2>&1 || :
	grep '8 processes of this vm still wait for a file system' "$T/away"
	fuse USR2
	wait_for 5 openers "$away" 0
	vmctl start "$away" 2>&1 | grep "in use by vm $away"
	vmctl start "$far"
	vmctl stop -fw "$far"
}

# Who waits for it need not wait for its limit.
stopped() {
	fuse USR1
	start_away
	vmctl stop -f "$away"
	wait_for 3 vm_is "$away" stopped
	away_fails 'stopped before it ran'
	fuse USR2
	wait_for 5 openers "$away" 0
}

# A guest that has its disk runs on, without it, while another process opens it.
replaced() {
	vmctl start "$far"
	watch_open far -a "$far"
	watch_wait far 20
	fuse USR1
	kill -KILL "$(pgrep -f "^vmd: vm/$far/blk0\$")"
	wait_for 3 disk_is "$far" down
	watch_more far 20
	vm_is "$far" running
	wait_for 8 vm_is "$far" paused
	vm_says "$far" "paused: disk $T/fuse/far.img: its file system does not answer"
	! vmctl unpause "$far" 2>"$T/said" || fail 'it goes on'
	grep 'does not answer' "$T/said"
	vm_is "$far" paused
	# And once more, but the server is back meanwhile.
	vmctl unpause "$far" >"$T/said" 2>&1 &
	unpause=$!
	wait_for 3 openers "$far" 3
	vm_is "$far" paused
	fuse USR2
	wait_for 5 not alive "$unpause"
	vm_is "$far" running
	disk_is "$far" up
	wait_for 5 openers "$far" 1
	watch_more far 20
	watch_close far
	vmctl stop -fw "$far"
}

# Its process has the image, and is kept by it then; its machine is not.
linger() {
	fuse HUP
	vmctl start "$far" >"$T/far" 2>&1 &
	far_pid=$!
	wait_for 20 not alive "$far_pid"
	grep -v started "$T/far"
	openers "$far" 1
	vm_is "$far" stopping
	vm_says "$far" "waits for the end of process [0-9]* of disk $T/fuse/far.img"
}

# refused WORD..: vmctl says so, and why.
refused() {
	! timeout 5 "$B/vmctl" -s "$T/vmd.sock" "$@" >"$T/said" 2>&1 ||
	    fail "$* is done"
	grep "waits for the end of process" "$T/said"
}

lingers() {
	linger
	refused start "$far"
	refused pause "$far"
	refused unpause "$far"
	refused stop -w "$far"
	refused stop -fw "$far"
	rc=0
	timeout 5 "$B/vmctl" -s "$T/vmd.sock" wait "$far" >"$T/said" 2>&1 || rc=$?
	equal "$rc" 1
	fuse USR2
	wait_for 5 vm_is "$far" stopped
	equal "$(grep -c "vm $far: start failed" "$T/vmd.log")" 1
	vmctl start "$far"
	vmctl stop -fw "$far"
}

# vmd does not wait for them either; and they go when the server does.
ended() {
	linger
	fuse USR1
	start_away
	stop_vmd 20
	openers "$away" 4
	openers "$far" 1
	fuse KILL
	wait_for 5 openers "$away" 0
	wait_for 5 openers "$far" 0
	umount "$T/fuse"
	nothing_left
}

check 'a file system that can be silent' mounted
check 'a start that waits for one fails, and nobody else waits' told
check 'what it leaves is counted, and goes' counted
check 'a start that waits is stopped' stopped
check 'F1 a guest that needs its disk again' replaced
check 'a machine that has ended, but for the process of its disk' lingers
check 'vmd ends' ended
umount -l "$T/fuse" 2>/dev/null
finish
