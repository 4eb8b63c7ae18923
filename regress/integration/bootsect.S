/* SPDX-License-Identifier: ISC */
/*
 * A boot sector: the eight sectors behind it are read through the firmware and
 * written to sector 16; then a word on the serial port, and the machine ends.
 */
.code16
.globl _start
_start:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7c00, %sp
	sti
	mov	%dl, drive
	mov	$0x4200, %ax		/* extended read */
	call	disk
	movl	$16, lba
	mov	$0x4300, %ax		/* extended write */
	call	disk
	mov	$good, %si
say:
	lodsb
	test	%al, %al
	jz	end
	mov	$0x3f8, %dx
	out	%al, %dx
	jmp	say
end:
	mov	$0xf4, %dx		/* isa-debug-exit */
	mov	$1, %al
	out	%al, %dx
	hlt
	jmp	end
disk:
	mov	$packet, %si
	mov	drive, %dl
	int	$0x13
	mov	$bad, %si
	jc	say
	ret
drive:	.byte	0
good:	.asciz	"read and written\n"
bad:	.asciz	"no\n"
	.align	4
packet:	.byte	16, 0
	.word	8, 0x8000, 0
lba:	.long	1, 0
	.org	510
	.word	0xaa55
