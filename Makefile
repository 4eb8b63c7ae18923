# vmd, vmctl, vmtop.  GNU make.
#
#	all		build/vmd, build/vmctl, build/vmtop
#	demo		two Linux guests and vmtop on them
#	check		every test
#	lint		format, includes, headers, manuals, scripts
#	fuzz		every fuzz target for FUZZ_SECONDS
#	coverage	lines of the parsers that the fuzz corpora reach
#	bench		one line a figure, against its budget
#	install		below DESTDIR and PREFIX
#	clean
#
# SAN=address,undefined or SAN=thread builds (and checks) in a tree of its own.

ifeq ($(origin CC),default)
CC	:= gcc
endif
SAN	?=
PREFIX	?= /usr
UNITS	?= $(PREFIX)/lib
FUZZ_SECONDS ?= 60
comma	:= ,
B	:= build$(if $(SAN),/san-$(firstword $(subst $(comma), ,$(SAN))))

WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	   -Wcast-qual -Wvla -Wformat=2 -Wimplicit-fallthrough -Wundef
CFLAGS	?= -O2 -g
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
# What fuzz and coverage add to every object.
INSTR	:=
ALLCF	:= -std=c17 $(CFLAGS) $(WARN) $(INSTR) \
	   $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
	   -fno-omit-frame-pointer) \
	   -fstack-protector-strong -fPIE -pthread
ALLLD	:= $(if $(SAN),-fsanitize=$(SAN)) -pie -Wl,-z,relro,-z,now -pthread \
	   $(LDFLAGS)

# A program is the archives of its directories and one main.c.
SHARED	:= $(wildcard shared/*.c)
DAEMON	:= $(wildcard daemon/proc/*.c daemon/parent/*.c daemon/control/*.c \
	   daemon/vmm/*.c daemon/vm/*.c daemon/mach/*.c daemon/hv/*.c \
	   daemon/launch/*.c daemon/dev/*.c daemon/disk/*.c daemon/boot/*.c daemon/vhu/*.c)
CTL	:= $(filter-out %/main.c,$(wildcard daemon/ctl/*.c))
TUI	:= $(filter-out %/main.c,$(wildcard tui/*.c tui/*/*.c))
LIBS	:= $(B)/libdaemon.a $(B)/libctl.a $(B)/libtui.a $(B)/libshared.a

obj	= $(patsubst %.c,$(B)/%.o,$(1))

LIBS_vmd   := -levent_core -levent_pthreads -lseccomp -lcap-ng
LIBS_vmctl := -levent_core -ljansson
LIBS_vmtop := -levent_core -lncursesw -ltinfo -ltsm -lseccomp -lm
LIBS_all   := $(sort $(LIBS_vmd) $(LIBS_vmctl) $(LIBS_vmtop))

all: $(B)/vmd $(B)/vmctl $(B)/vmtop

$(B)/libshared.a: $(call obj,$(SHARED))
$(B)/libdaemon.a: $(call obj,$(DAEMON))
$(B)/libctl.a: $(call obj,$(CTL))
$(B)/libtui.a: $(call obj,$(TUI))
$(B)/libregress.a: $(call obj,$(wildcard regress/lib/*.c))
$(B)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(B)/vmd: $(B)/daemon/main.o $(B)/libdaemon.a $(B)/libshared.a
	$(CC) $(ALLLD) -o $@ $^ $(LIBS_vmd)
$(B)/vmctl: $(B)/daemon/ctl/main.o $(B)/libctl.a $(B)/libshared.a
	$(CC) $(ALLLD) -o $@ $^ $(LIBS_vmctl)
$(B)/vmtop: $(B)/tui/main.o $(B)/libtui.a $(B)/libshared.a
	$(CC) $(ALLLD) -o $@ $^ $(LIBS_vmtop)

$(B)/%.o: %.c | build/.headers
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALLCF) -MMD -MP -c -o $@ $<

build/.headers: regress/setup
	@CC='$(CC)' regress/setup -b
	@mkdir -p build
	@touch $@

# A test is one program, regress/DIR/test_NAME.c, with every archive.
TESTS	:= $(patsubst %.c,$(B)/%,$(wildcard regress/*/test_*.c))
$(TESTS): $(B)/%: $(B)/%.o $(B)/libregress.a $(LIBS)
	$(CC) $(ALLLD) -o $@ $^ $(LIBS_all)
# What a test is made of beside the archives, and a helper of shell tests.
$(B)/regress/sandbox/test_sandbox: $(B)/regress/sandbox/hostile.o
$(B)/regress/sandbox/check_live: $(B)/regress/sandbox/check_live.o \
	   $(B)/regress/lib/live.o $(B)/libdaemon.a $(B)/libshared.a
	$(CC) $(ALLLD) -o $@ $^ $(LIBS_vmd)

tests: $(TESTS) $(B)/regress/sandbox/check_live $(B)/regress/integration/watch \
	   $(B)/regress/integration/lock

# Flat guests: regress/guests/g_NAME.c on a bare 64-bit CPU; entry also as a
# bzImage.
GUESTS	:= $(patsubst regress/guests/g_%.c,$(B)/regress/guests/%.elf,\
	   $(wildcard regress/guests/g_*.c)) $(B)/regress/guests/entry.bz
GUESTCF	:= -m64 -std=c17 -O2 $(WARN) -I. -ffreestanding -fno-builtin -fno-pie \
	   -fno-pic -mno-red-zone -mgeneral-regs-only -fno-stack-protector \
	   -fcf-protection=none -fno-asynchronous-unwind-tables
GUESTLD	:= $(LD) -static -nostdlib -z noexecstack \
	   --no-warn-rwx-segments
$(B)/regress/guests/%.go: regress/guests/%.c regress/guests/guest.h regress/guests/virtio.h
	@mkdir -p $(@D)
	$(CC) $(GUESTCF) -c -o $@ $<
$(B)/regress/guests/%.go: regress/guests/%.S regress/guests/start.inc
	@mkdir -p $(@D)
	$(CC) $(GUESTCF) -c -o $@ $<
$(B)/regress/guests/%.elf: regress/guests/pvh.ld $(patsubst %,$(B)/regress/guests/%.go,start_pvh g_% lib virtio)
	$(GUESTLD) -o $@ -T $^
$(B)/regress/guests/%.bz: regress/guests/bz.ld $(patsubst %,$(B)/regress/guests/%.go,start_bz g_% lib)
	$(GUESTLD) --oformat=binary -o $@ -T $^
tests: $(GUESTS)

# A program for Linux guests, which have no libraries.
$(B)/regress/lab/diskio: regress/lab/diskio.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c17 -O2 $(WARN) -static -s -pthread -o $@ $<
tests: $(B)/regress/lab/diskio

# Test tools are one file each.
TOOLS	:= $(B)/regress/lab/kvmprobe
$(TOOLS): $(B)/%: $(B)/%.o
	$(CC) $(ALLLD) -o $@ $^
# Tools that need what the tests have.
RTOOLS	:= $(patsubst %.c,$(B)/%,$(wildcard regress/bench/*.c regress/tools/*.c)) \
	   $(B)/regress/tui/fakevmd $(B)/regress/tui/grid_svg \
	   $(B)/regress/integration/watch $(B)/regress/integration/lock
$(RTOOLS): $(B)/%: $(B)/%.o $(B)/libregress.a $(LIBS)
	$(CC) $(ALLLD) -o $@ $^ $(LIBS_all)

# ---- What installs packages, boots machines, takes time --------------------

# As many as there are processors, when nobody said how many.
JOBS	= $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

setup: build/.setup
build/.setup: regress/setup
	regress/setup
	@mkdir -p build
	@touch $@

demo:
	@+B=$(B) SAN=$(SAN) MAKE='$(MAKE)' guests/demo

check: setup
	$(MAKE) $(JOBS) all tests $(TOOLS) $(RTOOLS)
	$(MAKE) $(JOBS) fuzzers
	@B=$(B) SAN=$(SAN) regress/check $(CHECK)

lint: setup
	@status=0; for test in $(filter-out %.txt,$(wildcard regress/lint/*)); do \
		echo "$$test"; CC='$(CC)' $$test || status=1; \
	done; exit $$status

bench: setup
	$(MAKE) $(JOBS) all tests $(TOOLS) $(RTOOLS)
	@B=$(B) regress/bench/run $(BENCH)

# ---- Fuzzing: regress/fuzz/fuzz_NAME.c, corpus/NAME, perhaps NAME.dict -----

FUZZ	:= $(patsubst %.c,$(B)/%,$(wildcard regress/fuzz/fuzz_*.c))
$(FUZZ): $(B)/%: $(B)/%.o $(B)/libregress.a $(LIBS)
	$(CC) $(ALLLD) -fsanitize=fuzzer $(INSTR) -o $@ $^ $(LIBS_all)
fuzzers-here: $(FUZZ)
# Ways through the harness are not what is looked for.
$(B)/regress/lib/%.o: ALLCF := $(subst fuzzer-no-link$(comma),,$(ALLCF))

# A fuzzer has to be fast, and each check of a pointer is a comparison that it
# looks at: those three are done where the corpora are replayed for coverage
# (and by SAN=address,undefined); what comes of such a pointer, address finds.
FUZZ_MAKE = $(MAKE) B=build/fuzz CC=clang SAN= CFLAGS='-O2 -g' \
	INSTR='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-sanitize=null,alignment,pointer-overflow'
COV_MAKE = $(MAKE) B=build/cov CC=clang SAN= CFLAGS='-O1 -g' \
	INSTR='-fsanitize=fuzzer-no-link,undefined -fno-sanitize-recover=undefined -fprofile-instr-generate -fcoverage-mapping'

fuzzers: setup
	+$(FUZZ_MAKE) $(JOBS) fuzzers-here
fuzz: fuzzers
	regress/fuzz/run fuzz $(FUZZ_SECONDS)
fuzz-replay: fuzzers
	regress/fuzz/run replay
coverage: setup
	+$(COV_MAKE) $(JOBS) fuzzers-here
	regress/fuzz/run coverage

# ---- install ---------------------------------------------------------------

D	= $(DESTDIR)$(PREFIX)
put	= install -D -m $(1) $(2) $(3)
put_all	= $(if $(1),install -D -m 644 -t $(2) $(1))

install: all
	$(call put,755,$(B)/vmd,$(D)/sbin/vmd)
	$(call put,755,$(B)/vmctl,$(D)/bin/vmctl)
	$(call put,755,$(B)/vmtop,$(D)/bin/vmtop)
	$(call put_all,$(wildcard man/*.1),$(D)/share/man/man1)
	$(call put_all,$(wildcard man/*.5),$(D)/share/man/man5)
	$(call put_all,$(wildcard man/*.8),$(D)/share/man/man8)
	$(call put_all,$(wildcard themes/*.theme),$(D)/share/vmtop/themes)
	$(call put,644,etc/vm.conf.example,$(D)/share/doc/vmd/examples/vm.conf)
	$(call put,644,daemon/ctl/vmctl.bash-completion,\
	    $(D)/share/bash-completion/completions/vmctl)
	$(call put,644,etc/sysusers.conf,$(DESTDIR)$(UNITS)/sysusers.d/vmd.conf)
	sed 's,@sbin@,$(PREFIX)/sbin,' etc/vmd.service >$(B)/vmd.service
	$(call put,644,$(B)/vmd.service,$(DESTDIR)$(UNITS)/systemd/system/vmd.service)

clean:
	rm -rf build

.PHONY: all bench check clean coverage demo fuzz fuzz-replay fuzzers \
	fuzzers-here install lint setup tests
.SECONDARY:
-include $(patsubst %.c,$(B)/%.d,$(wildcard shared/*.c daemon/*.c daemon/*/*.c \
	tui/*.c tui/*/*.c regress/*/*.c))
