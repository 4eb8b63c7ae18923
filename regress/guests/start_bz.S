/* SPDX-License-Identifier: ISC */
/*
 * The same guest as a bzImage: one setup sector with the header of boot
 * protocol 2.15, then a "kernel" that is entered 0x200 bytes in.
 */
#define AP_GPA 0x8000

	.section .setup, "a"
	.globl	setup
setup:
	.org	0x1f1
	.byte	1			/* setup_sects */
	.word	0
	.long	kernel_paras		/* syssize */
	.word	0, 0, 0, 0xaa55
	.byte	0xeb, 0x6a		/* the header ends at 0x26c */
	.ascii	"HdrS"
	.word	0x20f
	.org	0x211
	.byte	1			/* LOADED_HIGH */
	.org	0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x200000		/* kernel_alignment */
	.byte	0, 21			/* not relocatable */
	.word	1			/* XLF_KERNEL_64 */
	.long	2047			/* cmdline_size */
	.org	0x258
	.quad	0x200000		/* pref_address */
	.long	init_bytes
	.org	0x400

	.section .head, "ax"
	.code64
	.org	0x200
	movq	%rsi, start + 8
	movq	$2, start
	movq	%cr0, %rax
	movq	%rax, start + 16
	movq	%cr3, %rax
	movq	%rax, start + 24
	movq	%cr4, %rax
	movq	%rax, start + 32
	xorl	%eax, %eax
	movl	%cs, %eax
	movq	%rax, start + 56
	movl	%ds, %eax
	movq	%rax, start + 64
	movl	%ss, %eax
	movq	%rax, start + 72
	xorl	%eax, %eax
	str	%ax
	movq	%rax, start + 80
	sgdt	start + 88
	movl	$stack_top, %esp
	pushfq
	popq	%rax
	movq	%rax, start + 48
	movl	$0xc0000080, %ecx
	rdmsr
	movl	%eax, start + 40
	jmp	run

	.text
#include "regress/guests/start.inc"
