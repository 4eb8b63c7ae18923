#!/bin/sh
# SPDX-License-Identifier: ISC
# Linux from both kinds of kernel, and what is done to a guest in its life.
. regress/lib/lib.sh

start() {
	{
		guest elf
		guest bz | sed 's,/vmlinux",/bzImage",'
	} | start_vmd
	vmctl start elf
	vmctl start bz
	con_open elf
	con_open bz
	vm_is elf running
	vm_is bz running
}

boots() {
	con_wait "$1" "^$1:/# " 120
}

answers() {
	con_type "$1" 'uname -a; cat /proc/cmdline\r'
	con_wait "$1" "^Linux $1 [5-9]\\..* x86_64 GNU/Linux"
	con_wait "$1" "^console=ttyS0 quiet hostname=$1"
	con_type "$1" 'head -c 256 /dev/hwrng | wc -c\r'
	con_wait "$1" '^256'
}

# How often its console shows that.
con_count() {
	tr -d '\r' <"$T/con.$1" | grep -a -c -e "$2"
}

con_counts() {
	[ "$(con_count "$1" "$2")" -ge "$3" ]
}

# Nanoseconds of its first vCPU.
vcpu_ns() {
	for task in /proc/"$(vm_pid "$1")"/task/*; do
		[ "$(cat "$task/comm")" != vcpu-0 ] ||
		    cut -d ' ' -f 1 "$task/schedstat"
	done
}

# Time that the host needs to see a second guest count to five.
count_to_five() {
	con_type "$1" 'for n in 1 2 3 4 5; do echo "'"$2"' $n"; usleep 100000; done\r'
	con_wait "$1" "^$2 5"
}

pauses() {
	con_type elf 'while :; do echo tick; usleep 50000; done\r'
	con_wait elf '^tick'
	vmctl pause elf
	wait_for 10 vm_is elf paused
	# What it had printed comes before what the other prints now.
	count_to_five bz first
	ticks=$(con_count elf '^tick')
	ns=$(vcpu_ns elf)
	[ "$ns" -gt 0 ]
	count_to_five bz second
	equal "$(con_count elf '^tick')" "$ticks"
	equal "$(vcpu_ns elf)" "$ns"
}

# Again if need be.  The key gets there (the keys guests count theirs), but the
# signal goes to the process group in the foreground, and between two commands
# of a loop that may be one that has just ended.
interrupted() {
	con_type "$1" '\003'
	con_counts "$1" "^$1:/# " $((prompts + 1))
}

unpauses() {
	vmctl unpause elf
	wait_for 10 vm_is elf running
	wait_for 30 con_counts elf '^tick' $((ticks + 3))
	prompts=$(con_count elf '^elf:/# ')
	wait_for 30 interrupted elf
	con_type elf 'echo go''on\r'
	con_wait elf '^goon'
}

pauses_and_unpauses() {
	pauses
	unpauses
}

# The same process, the same console; only the guest is new.
restarts() {
	pid=$(vm_pid elf)
	con_type elf 'echo before the'' reboot; reboot\r'
	wait_for 60 vm_says elf '1 restart'
	wait_for 120 con_counts elf 'busybox shell' 2
	con_wait elf '^before the reboot'
	equal "$(vm_pid elf)" "$pid"
	vm_is elf running
	con_type elf 'echo after the'' reboot\r'
	con_wait elf '^after the reboot'
}

# The console ends with the guest, by itself.
powers_off() {
	con_type bz 'poweroff\r'
	wait_for 60 vm_is bz stopped
	logged 'vm bz: powered itself off'
	wait_for 10 not alive "$(cat "$T/con.bz.pid")"
	con_has bz 'vm bz has ended'
}

# The button: acpid in the guest tells init, which ends everything in order.
stops() {
	vmctl stop elf
	wait_for 60 vm_is elf stopped
	con_has elf 'The system is going down NOW'
	logged 'vm elf: stopped'
	not logged 'did not s'
}

starts_again() {
	id=$(vm_id bz)
	vmctl start bz
	equal "$(vm_id bz)" "$id"
	con_open bz
	con_wait bz '^bz:/# ' 120
	vmctl stop -f bz
	wait_for 10 vm_is bz stopped
	not con_has bz 'going down'
}

leaves_nothing() {
	stop_vmd
	nothing_left
}

check 'two guests start' start
check 'an ELF kernel boots to its shell' boots elf
check 'a bzImage boots to its shell' boots bz
check 'the shell of the one answers' answers elf
check 'the shell of the other answers' answers bz
check 'a paused guest stands still, and goes on' pauses_and_unpauses
check 'reboot restarts in place' restarts
check 'poweroff ends the VM' powers_off
check 'vmctl stop is the power button' stops
check 'it starts again, and stop -f does not ask' starts_again
check 'nothing is left behind' leaves_nothing
finish
