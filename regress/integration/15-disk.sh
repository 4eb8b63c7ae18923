#!/bin/sh
# SPDX-License-Identifier: ISC
# Disks of Linux guests: what a guest and vmctl see of them, and what stays.
. regress/lib/lib.sh

# "one" has one processor and the same image as "four", which has four.
start() {
	cp --sparse=always build/guests/disk.img "$T/disk.img"
	cp --sparse=always build/guests/disk.img "$T/readonly.img"
	truncate -s 64M "$T/raw.img"
	{
		guest four '' 'cpus 4' "disk \"$T/disk.img\" serial \"the ext4\"" \
		    "disk \"$T/raw.img\" direct" \
		    "disk \"$T/readonly.img\" readonly"
		guest one '' "disk \"$T/disk.img\""
	} | start_vmd
	vmctl start four
	con_open four
	con_wait four '^four:/# ' 120
}

shown() {
	answer four 'cat /mnt/README' 'This is on the disk of the guest'
	answer four 'echo serial $(cat /sys/block/vda/serial)' 'serial the ext4'
	answer four 'echo queues $(ls /sys/block/vda/mq)' 'queues 0 1 2 3$'
	answer four 'echo size $(cat /sys/block/vdb/size)' 'size 131072'
	vm_says four "blk0 $T/disk.img, raw, 16.0M, serial the ext4"
}

figures() {
	answer four 'echo kept >/mnt/kept; sync; echo done-$?' 'done-0'
	[ "$(disk_field four read_bytes)" -gt 0 ]
	[ "$(disk_field four write_bytes)" -gt 0 ]
	[ "$(disk_field four flushes)" -gt 0 ]
	[ "$(disk_field four flush_p50_us)" -gt 0 ]
}

refused() {
	! vmctl start one 2>"$T/said" || fail 'two write to one image'
	grep "disk $T/disk.img is in use by vm four" "$T/said"
}

readonly_disk() {
	answer four 'echo ro $(cat /sys/block/vdc/ro)' 'ro 1'
	answer four 'dd if=/dev/zero of=/dev/vdc count=1' \
	    'dd: .*[Nn]ot permitted'
	answer four 'mkdir /c; mount -o ro /dev/vdc /c && ls /c/README' \
	    /c/README
}

restarts() {
	answer four 'head -c 1000000 /dev/urandom >/mnt/big; sync; echo writ''ten' \
	    written
	answer four 'md5sum /mnt/big | tee /mnt/sum' \
	    '[0-9a-f]\{32\}  /mnt/big'
	con_type four 'umount /mnt; reboot -f\r'
	wait_for 60 vm_says four '1 restart'
	# The console had a prompt before: its shell is there when it answers.
	wait_for 120 answers
	answer four 'cd /; md5sum -c /mnt/sum' '/mnt/big: OK'
}

answers() {
	con_type four 'echo it is'' back\r'
	con_has four '^it is back'
}

# What was synced outlives the guest; another one may have the image now.
kept() {
	vmctl stop -f -w four
	vmctl start one
	con_open one
	con_wait one '^one:/# ' 120
	answer one 'cat /mnt/kept; echo read-$?' read-0
	con_has one '^kept'
	answer one 'echo queues $(ls /sys/block/vda/mq)' 'queues 0$'
	con_type one 'poweroff\r'
	wait_for 60 vm_is one stopped
	/sbin/e2fsck -f -n "$T/disk.img"
}

ended() {
	stop_vmd
	nothing_left
}

check 'a guest with disks starts' start
check 'serial, queues and size are what they should be' shown
check 'figures tell what it does' figures
check 'T49 two VMs, one image' refused
check 'a disk that can only be read' readonly_disk
check 'what was written is there after a reboot' restarts
check 'what was synced is there after the end' kept
check 'nothing is left behind' ended
finish
