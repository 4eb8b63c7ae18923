# SPDX-License-Identifier: ISC
# shellcheck shell=sh
# Sourced by shell tests, from the tree's root:
#
#	. regress/lib/lib.sh
#	boots() {
#		guest alpha | start_vmd
#		vmctl start alpha
#		con_open alpha
#		con_wait alpha ':/# '
#	}
#	check 'a guest boots to its shell' boots
#	finish
#
# A case is a function; the first command of it that fails, fails the case.
# Each runs in a subshell: what must last goes to files in $T, the directory of
# this test, which is gone afterwards.  Nothing sleeps but wait_for, and what
# sets a pace.

B=${B:-build}
T=$(mktemp -d "${TMPDIR:-/tmp}/vmd-test.XXXXXX") || exit 1
LIB_TEST=$(basename "$0" .sh)
LIB_PATIENCE=${LAB:+4}
LIB_PATIENCE=${LIB_PATIENCE:-1}
LIB_PASSED=0 LIB_FAILED=0 LIB_SKIPPED=0
LIB_BEFORE=$(find /proc/[0-9]*/exe -lname "$(realpath "$B/vmd")" 2>/dev/null)
# Programs made with SAN= take their time, and each says what it finds to a file
# of its own; vmd's sandboxed children, which have no files, to vmd's log.
LIB_SAN=0
case $B in
*/san-*)
	LIB_SAN=1
	LIB_PATIENCE=$((LIB_PATIENCE * 4))
	for lib_option in ASAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS; do
		eval "export $lib_option=\${$lib_option:+\$$lib_option:}log_path=$T/report"
	done
	;;
esac

# ---- Cases ----

# check NAME FUNCTION [ARGUMENT...]
check() {
	lib_name=$1
	shift
	# Not as a condition: that would switch set -e off.
	(set -e; "$@") >"$T/case.log" 2>&1
	lib_status=$?
	if [ $lib_status -eq 0 ]; then
		echo "ok $lib_name"
		LIB_PASSED=$((LIB_PASSED + 1))
	else
		sed 's/^/    /' "$T/case.log" | tail -n 60
		echo "not ok $lib_name"
		LIB_FAILED=$((LIB_FAILED + 1))
	fi
}

# skip NAME WHY
skip() {
	echo "skip $1: $2"
	LIB_SKIPPED=$((LIB_SKIPPED + 1))
}

# What sanitizers found in any program of this test, its end included.
no_report() {
	for lib_report in "$T"/report.*; do
		[ -e "$lib_report" ] || continue
		head -n 60 "$lib_report"
		return 1
	done
	[ ! -e "$T/vmd.log" ] || ! grep -A 60 -E \
	    'ERROR: [A-Za-z]*Sanitizer|WARNING: [A-Za-z]*Sanitizer|runtime error:' \
	    "$T/vmd.log"
}

finish() {
	[ $LIB_SAN -eq 0 ] || check 'no report of a sanitizer' no_report
	if [ $LIB_FAILED -gt 0 ] && [ -s "$T/vmd.log" ]; then
		echo 'the end of vmd.log:'
		tail -n 40 "$T/vmd.log" | sed 's/^/    /'
	fi
	echo "$LIB_PASSED passed, $LIB_FAILED failed, $LIB_SKIPPED skipped"
	[ $LIB_FAILED -eq 0 ]
	exit
}

# Say why and fail the case.
fail() {
	echo "$*"
	return 1
}

# equal A B: the same words, or say both.
equal() {
	[ "$1" = "$2" ] || fail "it is \"$1\", not \"$2\""
}

# wait_for SECONDS COMMAND...: until it succeeds; fails when that takes longer,
# in the lab and with SAN= four times as long.
wait_for() {
	read -r lib_now _ </proc/uptime
	lib_end=$((${lib_now%.*} + $1 * LIB_PATIENCE))
	shift
	until "$@" >/dev/null 2>&1; do
		read -r lib_now _ </proc/uptime
		[ "${lib_now%.*}" -le $lib_end ] || {
			fail "waited in vain for: $*"
			return 1
		}
		sleep 0.1
	done
}

not() {
	! "$@"
}

alive() {
	kill -0 "$1" 2>/dev/null
}

# ---- The daemon ----

vmctl() {
	"$B/vmctl" -s "$T/vmd.sock" "$@"
}

# as UID[:GID] WORD...: the same as somebody else, who may pass through $T.
as() {
	chmod 711 "$T"
	[ -e "$T/vmctl" ] || install -m 755 "$B/vmctl" "$T/vmctl"
	lib_uid=$1:61000
	lib_gid=${lib_uid#*:}
	shift
	setpriv --reuid "${lib_uid%%:*}" --regid "${lib_gid%%:*}" --clear-groups \
	    "$T/vmctl" -s "$T/vmd.sock" "$@"
}

# guest NAME [WORDS of the kernel command line [LINE of vm.conf...]]: a vm of
# vm.conf with the Linux guest of guests/linux.
guest() {
	lib_guests=$(cd build/guests && pwd)
	lib_initrd=$lib_guests/initrd.img
	[ ! -e "$T/initrd.img" ] || lib_initrd=$T/initrd.img
	cat <<-END
	vm "$1" {
	    disable
	    memory 160M
	    boot "$lib_guests/vmlinux"
	    initrd "$lib_initrd"
	    cmdline 'console=ttyS0 quiet hostname=$1 ${2-}'
	END
	shift $(($# > 1 ? 2 : 1))
	for lib_line; do
		echo "    $lib_line"
	done
	echo '}'
}

# initrd_with FILE...: guests that follow have these in /bin, but those named
# *.ko loaded with the modules.
initrd_with() {
	mkdir -p "$T/more/bin" "$T/more/lib"
	for lib_file; do
		case $lib_file in
		*.ko)	cp "$lib_file" "$T/more/lib/60-${lib_file##*/}" ;;
		*)	cp "$lib_file" "$T/more/bin" ;;
		esac
	done
	(cd "$T/more" && find . | LC_ALL=C sort |
	    busybox cpio -o -H newc -R 0:0 2>/dev/null) >"$T/more.cpio"
	# The kernel unpacks one after the other.
	cat build/guests/initrd.img "$T/more.cpio" >"$T/initrd.img"
	rm -rf "$T/more" "$T/more.cpio"
}

# flat NAME [KEYS [LINE of vm.conf...]]: the same with regress/guests/g_talk.c,
# which starts in milliseconds, also where no kernel can run.
flat() {
	cat <<-END
	vm "$1" {
	    disable
	    memory 4M
	    boot "$(cd "$B" && pwd)/regress/guests/talk.elf"
	    cmdline '${2-}'
	END
	shift $(($# > 1 ? 2 : 1))
	for lib_line; do
		echo "    $lib_line"
	done
	echo '}'
}

# start_vmd [OPTION...]: with what standard input adds to vm.conf.  Again:
# the same state and socket, a new daemon.
start_vmd() {
	lib_no_vmd
	vmd_conf
	run_vmd "$@"
}

# One that a failed case has left.
lib_no_vmd() {
	[ -e "$T/vmd.pid" ] || return 0
	while alive "$(vmd_pid)"; do
		kill "$(vmd_pid)"
		wait_for 1 not alive "$(vmd_pid)" || :
	done
}

# vm.conf from standard input.
vmd_conf() {
	{
		echo "socket path \"$T/vmd.sock\""
		echo "state directory \"$T/state\""
		cat
	} >"$T/vm.conf"
}

# Another one, with the same vm.conf.
run_vmd() {
	setsid "$B/vmd" -d -v -f "$T/vm.conf" "$@" >>"$T/vmd.log" 2>&1 &
	echo $! >"$T/vmd.pid"
	echo $! >>"$T/sessions"
	wait_for 20 vmctl status
}

vmd_pid() {
	cat "$T/vmd.pid"
}

# The process of a role: control or vmm.
child_pid() {
	pgrep -P "$(vmd_pid)" -f "^vmd: $1\$"
}

# As a person does: TERM, and it ends its guests and itself.
stop_vmd() {
	kill "$(vmd_pid)"
	wait_for "${1:-60}" not alive "$(vmd_pid)"
}

# vm_is NAME STATE: in vmctl's table, whose last columns these are.
vm_is() {
	vmctl status "$1" | awk -v name="$1" -v state="$2" '
	    $NF == name && $(NF - 1) == state { found = 1 }
	    END { exit !found }'
}

# vm_says NAME REGEX: in what status -v shows of it.
vm_says() {
	vmctl status -v "$1" | grep -q -e "$2"
}

vm_column() {
	vmctl status "$1" | awk -v name="$1" -v n="$2" '$NF == name { print $n }'
}

vm_id() {
	vm_column "$1" 1
}

# Of its process.
vm_pid() {
	vm_column "$1" 2
}

# disk_field VM FIELD [N]: of its disk N, as status has it; "null" for nothing.
disk_field() {
	vmctl status -j "$1" | jq -r ".disks[${3:-0}].$2"
}

disk_pid() {
	disk_field "$1" pid "${2:-0}"
}

# disk_is VM STATE [N]
disk_is() {
	[ "$(disk_field "$1" state "${3:-0}")" = "$2" ]
}

logged() {
	grep -q -e "$1" "$T/vmd.log"
}

# Each process of this build's vmd that was not there when the test began: they
# leave its session and may have outlived it.
vmd_processes() {
	find /proc/[0-9]*/exe -lname "$(realpath "$B/vmd")" 2>/dev/null |
	    grep -v -x -F -e "$LIB_BEFORE"
}

# After an orderly stop: no process, no socket, no record, no mount.
nothing_left() {
	[ ! -e "$T/vmd.sock" ]
	equal "$(find "$T/state" ! -type d)" "$T/state/lock"
	wait_for 5 not vmd_processes || {
		ps -o pid,etimes,stat,args -p "$(vmd_processes | grep -o '[0-9]*' |
		    paste -s -d ,)"
		return 1
	}
	! grep "$T" /proc/self/mounts
}

# ---- Consoles: vmctl console on a terminal of its own ----

# con_open VM [TAG]: attach; what comes is kept in $T/con.TAG.
con_open() {
	lib_tag=${2:-$1}
	rm -f "$T/con.$lib_tag.in"
	mkfifo "$T/con.$lib_tag.in"
	: >"$T/con.$lib_tag"
	setsid script -q -f -e -c "$B/vmctl -s $T/vmd.sock console $1" \
	    "$T/con.$lib_tag" <>"$T/con.$lib_tag.in" >/dev/null 2>&1 &
	echo $! >"$T/con.$lib_tag.pid"
	echo $! >>"$T/sessions"
}

# con_type TAG TEXT: with printf's escapes; \r is Enter.
con_type() {
	# shellcheck disable=SC2059 # the escapes are the point
	printf "$2" >"$T/con.$1.in"
}

con_has() {
	tr -d '\r' <"$T/con.$1" | grep -a -q -e "$2"
}

# con_wait TAG REGEX [SECONDS]
con_wait() {
	wait_for "${3:-60}" con_has "$1" "$2" || {
		tail -n 20 "$T/con.$1"
		return 1
	}
}

# answer VM TEXT REGEX [SECONDS]: to its shell, and a line that begins so.
answer() {
	con_type "$1" "$2\\r"
	con_wait "$1" "^$3" "${4:-60}"
}

# con_close TAG: as a person does, and it must end.
con_close() {
	con_type "$1" '\r~.'
	wait_for 10 not alive "$(cat "$T/con.$1.pid")"
}

# ---- Watchers: regress/integration/watch, which tells what is not the guest's ----

# watch_open TAG [OPTION...] VM: what comes is kept in $T/watch.TAG and .TAG.err
watch_open() {
	lib_tag=$1
	shift
	for lib_vm; do :; done
	lib_options=
	[ $# -eq 1 ] || lib_options="$1 ${3+$2}"
	# shellcheck disable=SC2086 # a list
	setsid "$B/regress/integration/watch" $lib_options "$T/vmd.sock" \
	    "$lib_vm" >"$T/watch.$lib_tag" 2>"$T/watch.$lib_tag.err" &
	echo $! >"$T/watch.$lib_tag.pid"
	echo $! >>"$T/sessions"
}

watch_lines() {
	wc -l <"$T/watch.$1"
}

watch_has() {
	[ "$(watch_lines "$1")" -ge "$2" ]
}

# watch_wait TAG LINES
watch_wait() {
	wait_for 30 watch_has "$1" "$2"
}

# So many lines more than now.
watch_more() {
	watch_wait "$1" $(($(watch_lines "$1") + $2))
}

watch_close() {
	kill "$(cat "$T/watch.$1.pid")"
	wait_for 5 not alive "$(cat "$T/watch.$1.pid")"
}

# consecutive FILE: numbers, each one more than that of the line before; from
# "up" on they begin again.  The last line may be cut.
consecutive() {
	tr -d '\r' <"$1" | sed '$d' | awk '
	    $1 == "up" { want = 0; ups++; next }
	    $1 + 0 != want || length($1) != 8 {
		print NR ": " $0 " is not " want
		exit bad = 1
	    }
	    { want++; n++ }
	    END { exit bad || n == 0 || ups == 0 }'
}

# ---- Terminal programs, in tmux ----

tm() {
	tmux -f /dev/null -S "$T/tmux" "$@"
}

# tm_open COLS ROWS COMMAND
tm_open() {
	tm new-session -d -x "$1" -y "$2" "$3"
	tm set-option -g status off >/dev/null
	tm resize-window -x "$1" -y "$2"
}

# tm_keys KEY...: as tmux send-keys names them.
tm_keys() {
	tm send-keys "$@"
}

tm_screen() {
	tm capture-pane -p
}

tm_has() {
	tm_screen | grep -q -e "$1"
}

# tm_until REGEX SECONDS KEY...: type them again and again until it shows.
tm_until() {
	lib_regex=$1
	lib_seconds=$2
	shift 2
	wait_for "$lib_seconds" tm_try "$lib_regex" "$@" || {
		tm_screen
		return 1
	}
}

tm_try() {
	lib_regex=$1
	shift
	tm_keys "$@"
	tm_has "$lib_regex"
}

# tm_wait REGEX [SECONDS]
tm_wait() {
	wait_for "${2:-30}" tm_has "$1" || {
		tm_screen
		return 1
	}
}

# ---- The end ----

# shellcheck disable=SC2317 # the trap calls it
lib_clean_up() {
	[ ! -S "$T/tmux" ] || tm kill-server 2>/dev/null
	# Each daemon and console is a session of its own.
	[ ! -e "$T/sessions" ] || while read -r lib_session; do
		pkill -KILL -s "$lib_session"
	done <"$T/sessions"
	# Guests outlive their vmd.
	for lib_record in "$T"/state/vm/*.rec "$T"/state/vm/*.damaged; do
		[ ! -e "$lib_record" ] ||
		    kill -KILL "$(sed -n 's/^pid //p' "$lib_record")"
	done
	if [ $LIB_FAILED -gt 0 ]; then
		lib_keep=$B/check/$LIB_TEST.files
		mkdir -p "$lib_keep"
		find "$T" -maxdepth 1 -type f -exec cp {} "$lib_keep" \;
	fi
	awk -v t="$T/" 'index($2, t) == 1 { print $2 }' /proc/self/mounts |
	    while read -r lib_mount; do
		umount -l "$lib_mount"
	    done
	rm -rf "$T"
}
trap lib_clean_up EXIT
trap 'exit 129' HUP INT TERM
