#!/bin/sh
# SPDX-License-Identifier: ISC
# Eight Linux guests at once, started with vmd: all reach their shells, each
# answers with its own name, and TERM ends all of them in order.
. regress/lib/lib.sh

names='g1 g2 g3 g4 g5 g6 g7 g8'

start() {
	{
		echo 'staggered start parallel 4 delay 1'
		for vm in $names; do
			guest "$vm" | sed 's/disable/enable/; s/160M/128M/'
		done
	} | start_vmd
	wait_for 60 all_run
	equal "$(vmctl status -r | awk 'NR > 1 { print $2 }' | sort -u |
	    wc -l)" 8
	for vm in $names; do
		con_open "$vm"
	done
}

all_run() {
	equal "$(vmctl status -r | grep -c ' running ')" 8
}

shells() {
	for vm in $names; do
		con_wait "$vm" "^$vm:/# " 300
	done
}

answers() {
	for vm in $names; do
		con_type "$vm" 'echo I am $(hostname)\r'
	done
	for vm in $names; do
		con_wait "$vm" "^I am $vm"
	done
}

stops() {
	stop_vmd 120
	for vm in $names; do
		con_has "$vm" 'The system is going down NOW'
		logged "vm $vm: stopped"
	done
	not logged 'did not shut down'
	nothing_left
}

check 'eight guests start with vmd' start
check 'eight shells' shells
check 'each answers with its name' answers
check 'TERM ends all of them in order' stops
finish
