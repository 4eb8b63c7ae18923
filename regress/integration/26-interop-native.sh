#!/bin/sh
# SPDX-License-Identifier: ISC
# Our disk under QEMU's front end: a Linux guest on an emulated CPU writes,
# reads back and checks.  Needs no KVM.
. regress/lib/lib.sh

serve() {
	truncate -s 64M "$T/disk.img"
	setsid "$B/regress/tools/blkserve" -q 2 -s 'for another' "$T/blk.sock" \
	    "$T/disk.img" >"$T/blkserve" 2>"$T/blkserve.err" &
	echo $! >>"$T/sessions"
	wait_for 5 [ -S "$T/blk.sock" ]
	cat >"$T/on-disk" <<-'END'
	#!/bin/sh
	echo "serial $(cat /sys/block/vda/serial)"
	echo "queues $(ls /sys/block/vda/mq | wc -l)"
	diskio verify /dev/vda "$1" 6
	echo "ends with $?"
	dmesg | grep I/O.error
	END
	chmod +x "$T/on-disk"
	initrd_with "$B/regress/lab/diskio" "$T/on-disk"
}

# Its console goes to $T/con.TAG.
qemu_open() {	# tag command
	setsid qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 256 \
	    -nodefaults -no-user-config -display none -no-reboot \
	    -machine pc,memory-backend=mem \
	    -object memory-backend-memfd,id=mem,size=256M,share=on \
	    -chardev "socket,id=blk,path=$T/blk.sock,reconnect=1" \
	    -device vhost-user-blk-pci,chardev=blk,num-queues=2 \
	    -serial "file:$T/con.$1" -kernel build/guests/vmlinux \
	    -initrd "$T/initrd.img" -append \
	    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr run=\"$2\"" \
	    </dev/null >"$T/qemu.$1" 2>&1 &
	echo $! >"$T/qemu.$1.pid"
	echo $! >>"$T/sessions"
}

qemu_ends() {
	wait_for "${2:-120}" not alive "$(cat "$T/qemu.$1.pid")"
}

checks() {
	qemu_open first 'on-disk 5'
	qemu_ends first
	con_has first '^serial for another$'
	con_has first '^queues 2$'
	found_all first
}

found_all() {
	con_has "$1" '^diskio: .* 0 bad'
	con_has "$1" '^ends with 0'
	not con_has "$1" 'I/O error'
}

server() {
	tail -n 1 "$T/blkserve"
}

another() {
	[ "$(server)" != "$1" ]
}

# It has had requests (proc(5), io).
has_served() {
	awk '$1 == "syscr:" { exit $2 < 50 }' "/proc/$1/io"
}

# QEMU connects again, and hands over what was in flight.
killed() {
	truncate -s 0 "$T/disk.img"
	truncate -s 64M "$T/disk.img"
	qemu_open second 'on-disk 12'
	con_wait second '^queues' 60
	for _ in 1 2 3 4; do
		pid=$(server)
		wait_for 20 has_served "$pid"
		kill -KILL "$pid"
		wait_for 10 another "$pid"
	done
	not con_has second '^diskio'
	qemu_ends second
	found_all second
}

check 'our disk listens' serve
check 'a guest of QEMU finds every byte' checks
check 'also when its process is killed' killed
finish
