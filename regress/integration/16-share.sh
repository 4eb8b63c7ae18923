#!/bin/sh
# SPDX-License-Identifier: ISC
# A Linux guest with two directories of the host: one that it may write to, one
# that it may not.  They belong to the VM's owner, who is not root.
. regress/lib/lib.sh

OWNER=65533

start() {
	chmod 711 "$T"
	mkdir "$T/home" "$T/ro" "$T/ro/deep"
	echo 'from the host' | tee "$T/home/hello" >"$T/ro/hello"
	chown -R "$OWNER:$OWNER" "$T/home" "$T/ro"
	echo 'not for others' >"$T/home/secret"
	chmod 600 "$T/home/secret"
	{
		guest share '' "owner $OWNER:$OWNER" \
		    "share \"$T/home\" tag home rw" \
		    "share \"$T/ro\" tag \"read only\""
		guest second '' "share \"$T/ro\" tag ro"
	} | start_vmd
	vmctl start share
	con_open share
	con_wait share '^share:/# ' 120
	vm_says share "fs0 $T/home, share, tag home"
	vm_says share "fs1 $T/ro, share, read-only, tag read only"
}

# run WORDS...: a line of the guest's shell, to its end.
runs=0
run() {
	runs=$((runs + 1))
	con_type share "$*; echo r''un-$runs-ended\\r"
	con_wait share "^run-$runs-ended" 60
}

mounts() {
	run 'mkdir /home /ro; mount -t virtiofs home /home; echo mounted-$?'
	con_wait share '^mounted-0'
	run 'mount -t virtiofs "read only" /ro; cat /home/hello /ro/hello; echo read-$?'
	con_wait share '^from the host'
	con_wait share '^read-0'
}

writes() {
	runs=100
	run 'echo "from the guest" >/home/new; mkdir /home/dir; echo wrote-$?'
	con_wait share '^wrote-0'
	equal "$(cat "$T/home/new")" 'from the guest'
	equal "$(stat -c %u:%g "$T/home/new" "$T/home/dir" | uniq)" \
	    "$OWNER:$OWNER"
	run 'rm /home/hello; echo removed-$?'
	con_wait share '^removed-0'
	[ ! -e "$T/home/hello" ]
}

# T66: no right that the owner has not.
root_is_the_owner() {
	runs=200
	run 'cat /home/secret; echo secret-$?'
	con_wait share '^secret-1'
	run 'chown 1:1 /home/new; echo chown-$?; mknod /home/null c 1 3; echo mknod-$?'
	con_wait share '^chown-1'
	con_wait share '^mknod-1'
	run 'cp /bin/busybox /home/su; chmod 755 /home/su; echo plain-$?; chmod 4755 /home/su; echo suid-$?; chmod 2755 /home/su; echo sgid-$?; mknod -m 4755 /home/p p; echo suidp-$?'
	con_wait share '^plain-0'
	con_wait share '^suid-1'
	con_wait share '^sgid-1'
	con_wait share '^suidp-1'
	equal "$(find "$T/home" -perm /6000 -o -type c -o ! -name secret -uid 0)" ''
}

reads_only() {
	runs=300
	run 'echo x >/ro/x; echo ro-$?; rm /ro/hello; echo rm-$?; mount -o remount,rw /ro; mkdir /ro/deep/x; echo mkdir-$?; chmod 777 /ro/deep; echo chmod-$?'
	for what in ro rm mkdir chmod; do
		con_wait share "^$what-1"
	done
	equal "$(find "$T/ro" | wc -l)" 3
}

# Its queues stop, and go on where they stood.
pauses() {
	runs=350
	vmctl pause share
	wait_for 10 vm_is share paused
	vmctl unpause share
	run 'cat /home/new; ls /ro; echo paused-$?'
	con_wait share '^paused-0'
	equal "$(vmctl status -j share | jq -c '.shares | map(.replaced)')" \
	    '[0,0]'
}

# Another takes over; the guest sees errors, and mounts again.
killed() {
	runs=400
	run 'cd /; ls /home; echo before-$?'
	con_wait share '^before-0'
	old=$(vmctl status -j share | jq -r '.shares[0].pid')
	kill -KILL "$old"
	wait_for 10 logged 'share fs0 is served again'
	[ "$(vmctl status -j share | jq -r '.shares[0].pid')" != "$old" ]
	run 'cat /home/new >/dev/null; echo lost-$?'
	con_wait share '^lost-1'
	run 'umount /home; mount -t virtiofs home /home && cat /home/new; echo again-$?'
	con_wait share '^again-0'
	vm_is share running
}

two_shells() {
	[ "$(tr -d '\r' <"$T/con.share" | grep -a -c 'busybox shell')" -ge 2 ]
}

# A guest that resets itself finds them again.
resets() {
	runs=500
	not two_shells
	con_type share 'resetby kbd\r'
	wait_for 60 vm_says share '1 restart'
	wait_for 120 two_shells
	run 'mkdir /home; mount -t virtiofs home /home; cat /home/new; echo reset-$?'
	con_wait share '^reset-0' 60
}

share_state() {
	[ "$(vmctl status -j share | jq -r '.shares[0].state')" = "$1" ]
}

# It cannot be replaced: five tries, words, and the guest runs on.
gives_up() {
	sysctl=/proc/sys/user/max_user_namespaces
	most=$(cat "$sysctl")
	echo 0 >"$sysctl"
	kill -KILL "$(vmctl status -j share | jq -r '.shares[0].pid')"
	wait_for 20 share_state lost || :
	not vmctl start second 2>"$T/said"
	echo "$most" >"$sysctl"
	share_state lost
	vm_says share 'lost: virtiofsd: user namespace .*max_user_namespaces'
	vm_is share running
	grep 'virtiofsd: user namespace' "$T/said"
	vm_is second stopped
}

ends() {
	pids=$(vmctl status -j share | jq -r '.shares[1].pid')
	vmctl stop -f -w share
	for pid in $pids; do
		wait_for 5 not alive "$pid"
	done
	stop_vmd
	nothing_left
}

check 'a guest with two shares starts' start
check 'it mounts them and reads' mounts
check 'it writes, and all is its owner'\''s' writes
check 'T66 its root is the owner, nobody else' root_is_the_owner
check 'it does not write where it may not' reads_only
check 'it is paused and goes on' pauses
check 'F1 virtiofsd is killed under it' killed
check 'they are there after a reset' resets
check 'it is given up in words when none can be made' gives_up
check 'all ends with the VM' ends
finish
