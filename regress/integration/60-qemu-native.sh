#!/bin/sh
# SPDX-License-Identifier: ISC
# Our disk's process behind another's front end: QEMU's vhost-user-blk-pci, whose
# firmware reads and writes the image.  Emulated: needs no KVM.
. regress/lib/lib.sh

image() {
	command as --32 -o "$T/boot.o" regress/integration/bootsect.S
	ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o "$T/boot" "$T/boot.o"
	truncate -s 1M "$T/img"
	dd if="$T/boot" of="$T/img" conv=notrunc status=none
	dd if=/dev/urandom of="$T/img" bs=512 seek=1 count=8 conv=notrunc \
	    iflag=fullblock status=none
}

firmware() {
	image
	"$B/regress/tools/blkserve" -q 2 "$T/sock" "$T/img" >"$T/pids" \
	    2>"$T/words" &
	server=$!
	wait_for 5 test -S "$T/sock"
	# Its status is isa-debug-exit's.
	timeout "$((60 * LIB_PATIENCE))" qemu-system-x86_64 -accel tcg -m 64 \
	    -nodefaults -display none -serial "file:$T/serial" \
	    -object memory-backend-memfd,id=m,size=64M,share=on \
	    -machine q35,memory-backend=m -chardev "socket,id=c,path=$T/sock" \
	    -device vhost-user-blk-pci,chardev=c,num-queues=2,bootindex=1 \
	    -device isa-debug-exit,iobase=0xf4,iosize=1 || true
	kill "$server"
	grep -q 'read and written' "$T/serial"
	cmp -n 4096 -i 512:8192 "$T/img" "$T/img"
	equal "$(cat "$T/words")" ''
}

check "QEMU's firmware on our disk" firmware
finish
