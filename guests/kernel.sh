# SPDX-License-Identifier: ISC
# shellcheck shell=sh
# Sourced by guests/linux and regress/lab/lab: Debian's kernels without
# installing them.  Each function returns 1 after saying what went wrong.

kernel_say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# The versioned package that the meta package $1 stands for today.
kernel_package() {
	apt-cache depends "$1" 2>/dev/null |
	    sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

# Download the kernel of the first meta package that apt knows ($2...) and
# unpack it as directory $1; the members that $KERNEL_SKIP names (one tar
# pattern a word) are left out.  $1 appears whole or not at all.
kernel_unpack() {
	dir=$1
	shift
	pkg=
	for meta; do
		pkg=$(kernel_package "$meta")
		[ -n "$pkg" ] && break
	done
	if [ -z "$pkg" ]; then
		kernel_say "apt knows none of: $* (run: apt-get update)"
		return 1
	fi
	tmp=$(mktemp -d "$dir.XXXXXX") || return 1
	kernel_say "fetching $pkg"
	set -f
	skip=
	for pat in ${KERNEL_SKIP:-}; do
		skip="$skip --exclude=$pat"
	done
	# shellcheck disable=SC2086 # $skip is a list of options
	if (cd "$tmp" && apt-get download -q "$pkg" >apt.log 2>&1) &&
	    mkdir "$tmp/root" &&
	    (set +f; dpkg-deb --fsys-tarfile "$tmp"/*.deb) >"$tmp/tar" &&
	    tar -x -f "$tmp/tar" -C "$tmp/root" $skip; then
		set +f
		rm -rf "$dir"
		chmod 755 "$tmp/root"
		mv "$tmp/root" "$dir" && rm -rf "$tmp"
		return
	fi
	set +f
	sed 's/^/    /' "$tmp/apt.log" >&2
	kernel_say "cannot fetch and unpack $pkg (old lists? run: apt-get update)"
	rm -rf "$tmp"
	return 1
}

# One little-endian number out of file $1: offset $2, $3 bytes.
kernel_word() {
	od -An -v -j "$2" -N "$3" -t "u$3" "$1" | tr -d ' '
}

# The ELF kernel inside bzImage $1, written to $2.  The setup header says where
# the payload is (Linux Documentation/arch/x86/boot.rst: setup_sects,
# payload_offset, payload_length); all formats but gzip carry four more bytes,
# the unpacked size, at its end.
kernel_elf() {
	at=$(($(kernel_word "$1" 497 1) * 512 + 512 + \
	    $(kernel_word "$1" 584 4)))
	len=$(kernel_word "$1" 588 4)
	case $(od -An -v -j "$at" -N 4 -t x1 "$1" | tr -d ' ') in
	1f8b*)		unpack=gzip len=$((len + 4)) ;;
	fd377a58)	unpack=xz ;;
	02214c18)	unpack=lz4 ;;
	28b52ffd)	unpack=zstd ;;
	425a68*)	unpack=bzip2 ;;
	5d0000*)	unpack='xz --format=lzma' ;;
	*)
		kernel_say "$1: payload of a kind unknown here"
		return 1
		;;
	esac
	# shellcheck disable=SC2086 # $unpack may carry an option
	if ! tail -c "+$((at + 1))" "$1" | head -c "$((len - 4))" |
	    $unpack -dc >"$2.new" ||
	    [ "$(od -An -N 4 -t x1 "$2.new" | tr -d ' ')" != 7f454c46 ]; then
		kernel_say "$1: cannot unpack the ELF kernel with $unpack"
		rm -f "$2.new"
		return 1
	fi
	mv "$2.new" "$2"
}

# Files of the modules $2... (and of what each needs, first) below $1, in the
# order to load them.  A name without a file is built in.
kernel_modules() {
	tree=$1
	shift
	for mod; do
		kernel_module_deps "$mod"
	done | awk '!seen[$0]++'
}

kernel_module_deps() {
	file=$(find "$tree" -name "$(echo "$1" | sed 's/[-_]/[-_]/g').ko")
	[ -n "$file" ] || return 0
	for dep in $(tr '\0' '\n' <"$file" |
	    sed -n 's/^depends=//p' | tr , ' '); do
		(kernel_module_deps "$dep")
	done
	echo "$file"
}

# The static busybox, or words about the package that has it.
kernel_busybox() {
	bb=$(command -v busybox)
	if [ -z "$bb" ] || ldd "$bb" >/dev/null 2>&1; then
		kernel_say "no static busybox (run: apt-get install busybox-static)"
		return 1
	fi
	echo "$bb"
}
