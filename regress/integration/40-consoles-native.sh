#!/bin/sh
# SPDX-License-Identifier: ISC
# Consoles under load: history to the byte, a stalled watcher beside a fast
# one, a flood that nobody reads.  T30, F7, F8.
. regress/lib/lib.sh

start() {
	{
		flat flood f
		flat small f 'console size 64K'
		flat calm c
	} | start_vmd
	vmctl start flood
	vmctl start small
	vmctl start calm
	# From the very first byte on.
	watch_open early flood
	watch_open calm calm
}

console_bytes() {
	vmctl status -j "$1" | sed 's/.*"console":\([0-9]*\),.*/\1/'
}

console_has() {
	[ "$(console_bytes "$1")" -ge "$2" ]
}

# 64 KiB and more: who comes late gets what the early one got.
history() {
	wait_for 60 console_has flood 70000
	watch_open late -n 70000 flood
	wait_for 20 not alive "$(cat "$T/watch.late.pid")"
	grep -q '^attached 0 ' "$T/watch.late.err"
	[ "$(wc -c <"$T/watch.late")" -ge 70000 ]
	wait_for 10 watch_bytes early "$(wc -c <"$T/watch.late")"
	cmp -n "$(wc -c <"$T/watch.late")" "$T/watch.early" "$T/watch.late"
	consecutive "$T/watch.late"
}

watch_bytes() {
	[ "$(wc -c <"$T/watch.$1")" -ge "$2" ]
}

# A ring that has gone round: exactly its size is kept, and whole.
old_bytes_go() {
	wait_for 60 console_has small 140000
	watch_open ring -n 65536 small
	wait_for 20 not alive "$(cat "$T/watch.ring.pid")"
	awk '$1 == "attached" {
		kept = $3 - $2
		exit !($2 > 0 && kept <= 65536 && kept > 65536 - 4096)
	    }' "$T/watch.ring.err"
	# The first line is cut, and tells where to begin.
	tail -n +2 "$T/watch.ring" | tr -d '\r' | sed '$d' | awk '
	    NR == 1 { want = $1 + 0 }
	    $1 + 0 != want++ || length($0) != 63 { print NR ": " $0; exit 1 }
	    END { exit NR < 1000 }'
}

# One took credit for 1000 bytes and is silent, one reads nothing at all; the
# fast one gets every byte, and a calm guest's watcher is not held up.
stalled_beside_fast() {
	watch_open slow -c 1000 small
	watch_open dead -k small
	watch_open fast small
	wait_for 10 watch_bytes fast 1
	wait_for 60 watch_bytes fast 200000
	equal "$(wc -c <"$T/watch.slow")" 1000
	# A full ring goes on round while it is attached to: not behind that.
	awk '$1 == "attached" { first = $2 }
	    $1 == "gap" && $2 != first { exit 1 }' "$T/watch.fast.err"
	watch_more calm 10
	alive "$(cat "$T/watch.slow.pid")"
	alive "$(cat "$T/watch.dead.pid")"
	# vmd's memory for all that: nothing beyond a client's queue.
	kb=$(private_kb "$(child_pid control)")
	# Of a sanitizer's own: shadows, and what was freed and is kept.
	[ "$kb" -lt $((LIB_SAN ? 131072 : 8192)) ] ||
	    fail "control has $kb KiB of its own"
	watch_close slow
	watch_close dead
	watch_close fast
	tail -n +2 "$T/watch.fast" | tr -d '\r' | sed '$d' | awk '
	    NR == 1 { want = $1 + 0 }
	    $1 + 0 != want++ { print NR ": " $0; exit 1 }'
}

private_kb() {
	awk '/^Private_(Clean|Dirty):/ { kb += $2 } END { print kb }' \
	    "/proc/$1/smaps_rollup"
}

# The flood took no room: F8.
flood_is_bounded() {
	pid=$(vm_pid flood)
	before=$(private_kb "$pid")
	wait_for 60 console_has flood 400000
	after=$(private_kb "$pid")
	[ $((after - before)) -lt 1024 ]
}

# The keys of many: one writes, the others watch.
one_writer() {
	con_open calm first
	con_wait first '^0' 10
	con_open calm second
	con_wait second '^0' 10
	con_type second 'z'
	con_type first 's?'
	con_wait first 'what? ?' 10
	con_wait second 'what? ?' 10
	not con_has first 'what? z'
	con_type first 'c'
	con_close first
	con_close second
}

# Attaching while a guest begins: all of it, whoever comes first.
attach_at_once() {
	for _ in 1 2 3 4 5; do
		vmctl stop -fw calm
		vmctl start calm
		watch_open at -n 30 calm
		wait_for 10 not alive "$(cat "$T/watch.at.pid")"
		grep -q '^attached 0 ' "$T/watch.at.err"
		equal "$(head -n 1 "$T/watch.at" | tr -d '\r')" up
	done
}

ends() {
	vmctl stop -fw flood
	wait_for 10 not alive "$(cat "$T/watch.early.pid")"
	grep -q '^closed the vm is not running' "$T/watch.early.err"
	not grep -q '^gap' "$T/watch.early.err"
	consecutive "$T/watch.early"
	# What it said is still to be had.
	watch_open after flood
	wait_for 10 not alive "$(cat "$T/watch.after.pid")"
	[ -s "$T/watch.after" ]
	tail -c 1000 "$T/watch.early" >"$T/end.early"
	tail -c 1000 "$T/watch.after" | cmp "$T/end.early" -
	stop_vmd 10
	nothing_left
}

check 'a flood, a small ring, a calm guest' start
check '64 KiB of history are replayed exactly' history
check 'a full ring keeps its last 64 KiB' old_bytes_go
check 'stalled watchers beside a fast one (F7)' stalled_beside_fast
check 'a flood takes no memory (T30, F8)' flood_is_bounded
check 'one writer, many watchers' one_writer
check 'who attaches at once gets the first byte' attach_at_once
check 'the end: last bytes, then closed; history stays' ends
finish
