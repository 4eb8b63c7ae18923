/* SPDX-License-Identifier: ISC */
/* A flat guest entered by PVH: 32 bits, no paging; from there to long mode. */
#define AP_GPA 0x8000

	.section .note.Xen, "a", @note
	.long	4, 4, 18
	.asciz	"Xen"
	.long	start32

	.text
	.code32
	.globl	start32
start32:
	movl	%cr0, %eax
	movl	%eax, start + 16
	movl	$1, start
	movl	%ebx, start + 8
	movl	%cr3, %eax
	movl	%eax, start + 24
	movl	%cr4, %eax
	movl	%eax, start + 32
	movl	%cs, %eax
	movl	%eax, start + 56
	movl	%ds, %eax
	movl	%eax, start + 64
	movl	%ss, %eax
	movl	%eax, start + 72
	xorl	%eax, %eax
	str	%ax
	movl	%eax, start + 80
	sgdt	start + 88
	movl	$stack_top, %esp
	pushfl
	popl	%eax
	movl	%eax, start + 48
	movl	$0xc0000080, %ecx
	rdmsr
	movl	%eax, start + 40

	lgdt	gdtr_flat
	movl	$0x20, %eax
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	xorl	%edx, %edx
	movl	$0x100, %eax
	wrmsr
	movl	$0x80000011, %eax
	movl	%eax, %cr0
	ljmpl	$0x10, $run

#include "regress/guests/start.inc"
