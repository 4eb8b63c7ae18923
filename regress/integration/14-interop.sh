#!/bin/sh
# SPDX-License-Identifier: ISC
# Our front end with other people's back ends: a Linux guest on the disk of
# qemu-storage-daemon, and on the share of virtiofsd.
. regress/lib/lib.sh
VIRTIOFSD=/usr/lib/qemu/virtiofsd

# run_guest NAME DEVICE COMMAND: to its end; what it prints goes to $T/con.NAME.
run_guest() {
	cat >"$T/guests.ini" <<-END
	[$1]
	kernel = $PWD/build/guests/vmlinux
	initrd = $T/initrd.img
	cmdline = console=ttyS0 quiet run="$3"
	memory = 192
	cpus = 2
	timeout = 200
	expect = poweroff
	device = $2
	END
	"$B/regress/guests/test_guests" -k -t "$T/guests.ini" >"$T/con.$1" 2>&1 || {
		tail -n 30 "$T/con.$1"
		return 1
	}
}

prepare() {
	cat >"$T/on-disk" <<-'END'
	#!/bin/sh
	echo "queues $(ls /sys/block/vda/mq | wc -l)"
	diskio verify /dev/vda 5 6
	echo "ends with $?"
	dmesg | grep I/O.error
	END
	cat >"$T/on-share" <<-'END'
	#!/bin/sh
	mkdir -p /share
	mount -t virtiofs 'flat guest' /share || exit
	cat /share/hello
	cmp /share/big /share/same && echo the same
	cp /share/big /share/copy
	mkdir /share/dir && mv /share/hello /share/dir/hello
	ln -s dir/hello /share/link
	rm /share/same
	umount /share
	echo end
	END
	chmod +x "$T/on-disk" "$T/on-share"
	initrd_with "$B/regress/lab/diskio" "$T/on-disk" "$T/on-share" \
	    "$(find build/guests/kernel -name fuse.ko)" \
	    "$(find build/guests/kernel -name virtiofs.ko)"
}

background() {	# socket command...
	socket=$1
	shift
	setsid "$@" >"$T/server" 2>&1 &
	echo $! >>"$T/sessions"
	wait_for 20 [ -S "$socket" ] || {
		cat "$T/server"
		return 1
	}
}

disk() {
	truncate -s 64M "$T/disk.img"
	background "$T/qsd.sock" qemu-storage-daemon \
	    --blockdev "driver=file,node-name=d,filename=$T/disk.img" \
	    --export "type=vhost-user-blk,id=e,node-name=d,writable=on,num-queues=2,addr.type=unix,addr.path=$T/qsd.sock"
	run_guest disk "blk at $T/qsd.sock" on-disk
	con_has disk '^queues 2'
	con_has disk '^diskio: .* 0 bad'
	con_has disk '^ends with 0'
	not con_has disk 'I/O error'
}

share() {
	mkdir "$T/share"
	echo from the host >"$T/share/hello"
	head -c 3000000 /dev/urandom >"$T/share/big"
	cp "$T/share/big" "$T/share/same"
	background "$T/fs.sock" "$VIRTIOFSD" "--socket-path=$T/fs.sock" \
	    -o "source=$T/share"
	run_guest share "fs at $T/fs.sock" on-share
	con_has share '^from the host'
	con_has share '^the same'
	con_has share '^end'
	cmp "$T/share/big" "$T/share/copy"
	equal "$(cat "$T/share/link")" 'from the host'
	[ ! -e "$T/share/same" ]
}

check 'the guest is made' prepare
check "qemu-storage-daemon's disk" disk
check "virtiofsd's share" share
finish
