#!/bin/sh
# SPDX-License-Identifier: ISC
# Disks of Linux guests, whose processes are killed and short of space meanwhile:
# no wrong byte, no I/O error.  $ROUNDS: how often they are killed.
# lab: one processor
. regress/lib/lib.sh
ROUNDS=${ROUNDS:-5}
IO_SECONDS=$((ROUNDS * 4 + 5)) # of I/O, which the kills shall not outlast by much

disk_pid() {
	vmctl status -j "$1" | jq -r ".disks[$2].pid"
}

disk_is() {
	[ "$(vmctl status -j "$1" | jq -r ".disks[$2].state")" = "$3" ]
}

ext4() {
	truncate -s 32M "$1"
	/sbin/mke2fs -q -t ext4 "$1"
}

# In the console of a guest: TEXT, and then its answer, a line of its own.
answer() {
	con_type "$1" "$2\\r"
	con_wait "$1" "^$3" "${4:-60}"
}

# "one" has one processor, "four" four; "one" a disk on a full file system.
start() {
	ext4 "$T/one.img"
	ext4 "$T/four.img"
	ext4 "$T/readonly.img"
	truncate -s 64M "$T/raw1.img" "$T/raw4.img"
	mkdir "$T/small"
	mount -t tmpfs -o size=4M small "$T/small"
	truncate -s 32M "$T/small/full.img"
	initrd_with "$B/regress/lab/diskio"
	{
		guest one '' "disk \"$T/one.img\" serial \"the ext4\"" \
		    "disk \"$T/raw1.img\"" "disk \"$T/small/full.img\""
		guest four '' 'cpus 4' "disk \"$T/four.img\"" \
		    "disk \"$T/raw4.img\" direct" \
		    "disk \"$T/readonly.img\" readonly"
		guest twin '' "disk \"$T/one.img\""
	} | start_vmd
	vmctl start one
	vmctl start four
	con_open one
	con_open four
	con_wait one '^one:/# ' 120
	con_wait four '^four:/# ' 120
}

# By the guest: what it was told.
shown() {
	answer one 'echo serial $(cat /sys/block/vda/serial)' 'serial the ext4'
	answer one 'echo queues $(ls /sys/block/vda/mq)' 'queues 0$'
	answer four 'echo queues $(ls /sys/block/vda/mq)' 'queues 0 1 2 3$'
	answer four 'echo size $(cat /sys/block/vdb/size)' 'size 131072'
}

refused() {
	! vmctl start twin 2>"$T/said" || fail 'two write to one image'
	grep "disk $T/one.img is in use by vm one" "$T/said"
}

readonly_disk() {
	answer four 'echo ro $(cat /sys/block/vdc/ro)' 'ro 1'
	answer four 'dd if=/dev/zero of=/dev/vdc count=1' \
	    'dd: .*[Nn]ot permitted'
	answer four 'mkdir /c; mount -o ro /dev/vdc /c && ls -d /c/*' \
	    '/c/lost+found'
	answer four 'umount /c; echo un''mounted' unmounted
}

restarts() {
	answer one 'head -c 1000000 /dev/urandom >/mnt/big; sync; echo writ''ten' \
	    written
	con_type one 'md5sum /mnt/big | tee /mnt/sum\r'
	con_wait one '[0-9a-f]\{32\}  /mnt/big'
	con_type one 'umount /mnt; reboot -f\r'
	wait_for 60 vm_says one '1 restart'
	answer_after_boot one
	answer one 'cd /; md5sum -c /mnt/sum' '/mnt/big: OK'
}

# Its shell is there again: the console had a prompt before.
answer_after_boot() {
	wait_for 120 answer_now "$1"
}

answer_now() {
	con_type "$1" 'echo it is'' back\r'
	con_has "$1" '^it is back'
}

# Of the process table, which costs less than to ask vmd.
server() {
	pgrep -f "^vmd: vm/$1/blk1\$"
}

served_anew() {
	new=$(server "$1") && [ "$new" != "$2" ]
}

# Both at once, half a second after they were served again.
kills() {
	con_type one "diskio verify /dev/vdb $IO_SECONDS 3 5; echo ended \$?\\r"
	con_type four "diskio verify /dev/vdb $IO_SECONDS 6 5; echo ended \$?\\r"
	n=0
	while [ "$n" -lt "$ROUNDS" ]; do
		sleep 0.5
		old1=$(server one)
		old4=$(server four)
		kill -KILL "$old1" "$old4"
		wait_for 2 served_anew one "$old1"
		wait_for 2 served_anew four "$old4"
		n=$((n + 1))
	done
	for vm in one four; do
		wait_for 5 disk_is "$vm" 1 up
		vmctl status -v "$vm"
		equal "$(vmctl status -j "$vm" | jq '.disks[1].replaced')" \
		    "$ROUNDS"
	done
}

verified() {
	for vm in one four; do
		con_wait "$vm" '^diskio: .* 0 bad' $((IO_SECONDS + 120))
		con_wait "$vm" '^ended 0'
	done
}

no_error() {
	for vm in one four; do
		con_type "$vm" 'dmesg | grep -i -e error -e reset; echo look''ed\r'
		con_wait "$vm" '^looked'
		not con_has "$vm" 'I/O error'
		equal "$(vmctl status -j "$vm" | jq '.disks[1].errors')" 0
	done
}

# The guest waits, and sees nothing of it.
full() {
	con_type one 'dd if=/dev/zero of=/dev/vdc bs=1M count=16 conv=fsync; echo status $?\r'
	wait_for 30 vm_is one paused
	vm_says one 'No space left'
	disk_is one 2 stuck
	mount -o remount,size=40M "$T/small"
	vmctl unpause one
	con_wait one '^status 0'
	vm_is one running
	disk_is one 2 up
}

# F2: what was synced is there after the VM's process is killed.
killed() {
	answer four 'head -c 2000000 /dev/urandom >/mnt/synced; md5sum /mnt/synced >/mnt/sum; sync; echo now kill'' it' \
	    'now kill it'
	kill -KILL "$(vm_pid four)"
	wait_for 10 vm_is four stopped
	vmctl start four
	con_open four
	con_wait four '^four:/# ' 120
	answer four 'md5sum -c /mnt/sum' '/mnt/synced: OK'
}

ended() {
	umount -l "$T/small"
	vmctl stop -fw one
	vmctl stop -fw four
	/sbin/e2fsck -fn "$T/one.img" || [ $? -lt 4 ]
	stop_vmd
	nothing_left
}

check 'guests with disks start' start
check 'serial, queues and size are what they should be' shown
check 'T49 two VMs, one image' refused
check 'a disk that can only be read' readonly_disk
check 'what was written is there after a reboot' restarts
check "F1 their processes are killed $ROUNDS times" kills
check 'no byte was wrong' verified
check 'and no guest saw an error' no_error
check 'no space: it waits for some' full
check 'the VM is killed, what was synced is there' killed
check 'nothing is left behind' ended
finish
