#!/bin/sh
# SPDX-License-Identifier: ISC
# Disks of Linux guests whose processes are killed, whose VM is killed, and that
# are short of space: no wrong byte, no I/O error.  $ROUNDS: how often they are
# killed.
. regress/lib/lib.sh
ROUNDS=${ROUNDS:-5}
IO_SECONDS=$((ROUNDS * 4 + 5)) # of I/O, which the kills shall not outlast by much

# "one" has one processor, "four" four; "one" a disk on a full file system.
start() {
	cp --sparse=always build/guests/disk.img "$T/one.img"
	cp --sparse=always build/guests/disk.img "$T/four.img"
	truncate -s 64M "$T/raw1.img" "$T/raw4.img"
	mkdir "$T/small"
	mount -t tmpfs -o size=4M small "$T/small"
	truncate -s 32M "$T/small/full.img"
	initrd_with "$B/regress/lab/diskio"
	{
		guest one '' "disk \"$T/one.img\"" "disk \"$T/raw1.img\"" \
		    "disk \"$T/small/full.img\""
		guest four '' 'cpus 4' "disk \"$T/four.img\"" \
		    "disk \"$T/raw4.img\" direct"
	} | start_vmd
	vmctl start one
	vmctl start four
	con_open one
	con_open four
	con_wait one '^one:/# ' 120
	con_wait four '^four:/# ' 120
}

# Of the process table, which costs less than to ask vmd.
server() {
	pgrep -f "^vmd: vm/$1/blk1\$"
}

served_anew() {
	new=$(server "$1") && [ "$new" != "$2" ]
}

# Both at once.  The sleep is their pace: they shall have served some requests.
kills() {
	con_type one "diskio verify /dev/vdb $IO_SECONDS 3 5; echo ended \$?\\r"
	con_type four "diskio verify /dev/vdb $IO_SECONDS 6 5; echo ended \$?\\r"
	for _ in $(seq "$ROUNDS"); do
		sleep 0.5
		old1=$(server one)
		old4=$(server four)
		kill -KILL "$old1" "$old4"
		wait_for 2 served_anew one "$old1"
		wait_for 2 served_anew four "$old4"
	done
	for vm in one four; do
		wait_for 5 disk_is "$vm" up 1
		vmctl status -v "$vm"
		equal "$(disk_field "$vm" replaced 1)" "$ROUNDS"
	done
}

verified() {
	for vm in one four; do
		con_wait "$vm" '^diskio: .* 0 bad' $((IO_SECONDS + 120))
		con_wait "$vm" '^ended 0'
	done
}

# Its first disk, that often, and the last of them is at work.
replaced() {
	[ "$(disk_field "$1" replaced)" -ge "$2" ] && disk_is "$1" up
}

# While files are written and read back, with no cache to hide behind.
files() {
	con_type one 'dd if=/dev/urandom of=/tmp/a bs=1M count=4; for n in 1 2 3 4; do cp /tmp/a /mnt/a; sync; echo 3 >/proc/sys/vm/drop_caches; cmp /tmp/a /mnt/a && echo same-$n; done; echo end-of-it\r'
	for n in 1 2 3; do
		con_wait one "^same-$n"
		kill -KILL "$(disk_pid one)"
		wait_for 5 replaced one "$n"
	done
	con_wait one '^same-4'
	con_wait one '^end-of-it'
}

no_error() {
	for vm in one four; do
		answer "$vm" 'dmesg | grep -i -e error -e reset; echo look''ed' \
		    looked
		not con_has "$vm" 'I/O error'
		not con_has "$vm" 'EXT4-fs error'
		equal "$(disk_field "$vm" errors 0)" 0
		equal "$(disk_field "$vm" errors 1)" 0
	done
}

# The guest waits, and sees nothing of it.
full() {
	con_type one 'dd if=/dev/zero of=/dev/vdc bs=1M count=16 conv=fsync; echo status $?\r'
	wait_for 30 vm_is one paused
	vm_says one 'No space left'
	disk_is one stuck 2
	mount -o remount,size=40M "$T/small"
	vmctl unpause one
	con_wait one '^status 0'
	vm_is one running
	disk_is one up 2
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
check "F1 their processes are killed $ROUNDS times" kills
check 'no byte was wrong' verified
check 'F1 nor one of a file' files
check 'and no guest saw an error' no_error
check 'no space: it waits for some' full
check 'the VM is killed, what was synced is there' killed
check 'nothing is left behind' ended
finish
