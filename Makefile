# vmd, vmctl, vmtop.  GNU make.  Targets: all check lint bench fuzz demo
# install clean.  SAN=address,undefined or SAN=thread builds into its own tree.

CC	?= gcc
SAN	?=
PREFIX	?= /usr
comma	:= ,
B	:= build$(if $(SAN),/san-$(firstword $(subst $(comma), ,$(SAN))))

WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	   -Wcast-qual -Wvla -Wformat=2 -Wimplicit-fallthrough -Wundef
CFLAGS	?= -O2 -g
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
ALLCF	:= -std=c17 $(CFLAGS) $(WARN) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) \
	   -fstack-protector-strong -fPIE -pthread
ALLLD	:= $(if $(SAN),-fsanitize=$(SAN)) -pie -Wl,-z,relro,-z,now -pthread $(LDFLAGS)

# A program is the archives of its directories and one main.c.
SHARED	:= $(wildcard shared/*.c)
DAEMON	:= $(wildcard daemon/proc/*.c daemon/parent/*.c daemon/control/*.c \
	   daemon/vmm/*.c daemon/vm/*.c daemon/mach/*.c daemon/hv/*.c \
	   daemon/dev/*.c daemon/boot/*.c)
CTL	:= $(filter-out %/main.c,$(wildcard daemon/ctl/*.c))
TUI	:= $(filter-out %/main.c,$(wildcard tui/*.c tui/*/*.c))

obj	= $(patsubst %.c,$(B)/%.o,$(1))

LIBS_vmd   := -levent_core -levent_pthreads -lseccomp -lcap-ng
LIBS_vmctl := -levent_core -ljansson
LIBS_vmtop := -levent_core -lncursesw -ltinfo -ltsm -lseccomp -lm

all: $(B)/vmd $(B)/vmctl $(B)/vmtop

$(B)/libshared.a: $(call obj,$(SHARED))
$(B)/libdaemon.a: $(call obj,$(DAEMON))
$(B)/libctl.a: $(call obj,$(CTL))
$(B)/libtui.a: $(call obj,$(TUI))
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

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALLCF) -MMD -MP -c -o $@ $<

# A unit test is one program: regress/<dir>/test_*.c with every archive.
TESTS	:= $(patsubst %.c,$(B)/%,$(wildcard regress/unit/test_*.c \
	   regress/proto/test_*.c regress/dev/test_*.c regress/tui/test_*.c \
	   regress/sandbox/test_*.c))
$(TESTS): $(B)/%: $(B)/%.o $(call obj,$(wildcard regress/lib/*.c)) \
	   $(B)/libdaemon.a $(B)/libctl.a $(B)/libtui.a $(B)/libshared.a
	$(CC) $(ALLLD) -o $@ $^ $(sort $(LIBS_vmd) $(LIBS_vmctl) $(LIBS_vmtop))

tests: $(TESTS)

clean:
	rm -rf build

.PHONY: all tests clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
