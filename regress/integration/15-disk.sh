#!/bin/sh
# SPDX-License-Identifier: ISC
# A Linux guest on an ext4 of its own, whose disk's process is killed under it.
. regress/lib/lib.sh

start() {
	cp --sparse=always build/guests/disk.img "$T/disk.img"
	guest disk '' "disk \"$T/disk.img\" serial lab" | start_vmd
	vmctl start disk
	con_open disk
	con_wait disk '^disk:/# ' 120
	con_type disk 'cat /sys/block/vda/serial; echo; cat /mnt/README\r'
	con_wait disk '^lab'
	con_wait disk '^This is on the disk of the guest'
	vm_says disk "blk0 $T/disk.img, raw, 16.0M, serial lab"
}

disk_field() {
	vmctl status -j disk | jq -r ".disks[0].$1"
}

figures() {
	con_type disk 'echo kept >/mnt/kept; sync; echo done-$?\r'
	con_wait disk '^done-0'
	[ "$(disk_field read_bytes)" -gt 0 ]
	[ "$(disk_field write_bytes)" -gt 0 ]
	[ "$(disk_field flushes)" -gt 0 ]
	[ "$(disk_field flush_p50_us)" -gt 0 ]
}

# While it writes and reads back what it wrote, with no cache to hide behind.
killed() {
	con_type disk 'cd /mnt; dd if=/dev/urandom of=/tmp/a bs=1M count=4; for n in 1 2 3 4 5 6 7 8; do cp /tmp/a a; sync; echo 3 >/proc/sys/vm/drop_caches; cmp a /tmp/a && echo same-$n; done; echo end-of-it\r'
	for n in 1 2 3 4 5 6 7; do
		con_wait disk "^same-$n" 60
		old=$(disk_field pid)
		kill -KILL "$old"
	done
	con_wait disk '^same-8' 60
	con_wait disk '^end-of-it'
	[ "$(disk_field replaced)" -ge 7 ]
	con_type disk 'dmesg | grep -c -i -e "I/O error" -e "EXT4-fs error"; cd /\r'
	con_wait disk '^0'
}

# What was synced outlives the guest and its reset.
kept() {
	vmctl stop -f -w disk
	vmctl start disk
	con_open disk again
	con_wait again '^disk:/# ' 120
	con_type again 'cat /mnt/kept; echo read-$?\r'
	con_wait again '^kept'
	con_wait again '^read-0'
	con_type again 'poweroff\r'
	wait_for 60 vm_is disk stopped
	/sbin/e2fsck -f -n "$T/disk.img"
}

check 'a guest mounts its disk' start
check 'figures tell what it does' figures
check 'F1 its process is killed under it' killed
check 'what was synced is there after the end' kept
finish
