#!/bin/sh
# SPDX-License-Identifier: ISC
# The spine: daemon, guest, console, power-off, the daemon's end.
. regress/lib/lib.sh

up() {
	guest alpha | start_vmd
}

starts() {
	vmctl start alpha
	wait_for 10 vm_is alpha running
}

answers() {
	con_open alpha
	con_wait alpha ':/# '
	con_type alpha 'uname -a\r'
	con_wait alpha '^Linux alpha 6'
	con_close alpha
}

powers_off() {
	con_open alpha
	con_type alpha '\rpoweroff\r'
	wait_for 60 vm_is alpha stopped
}

check 'vmd comes up' up
check 'a guest starts' starts
check 'its shell answers on the console' answers
check 'poweroff in it ends it' powers_off
check 'vmd ends on TERM' stop_vmd
finish
