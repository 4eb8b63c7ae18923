/* SPDX-License-Identifier: ISC */
/*
 * Keyboard controller with one port and nothing plugged into it: answers every
 * command at once, so that a probe ends quickly, and resets the machine.
 * Ranges: 0 data (0x60), 1 status and command (0x64).
 * Runs in: vm process.  Trusts: nobody.
 */
#include <string.h>

#include "daemon/dev/dev.h"
#include "daemon/dev/snap.h"

#define ST_OBF 0x01      /* a byte waits at 0x60 */
#define ST_SYS 0x04      /* as configuration bit 2 */
#define ST_COMMAND 0x08  /* the last write went to 0x64 */
#define ST_UNLOCKED 0x10 /* keyboard lock is open */
#define ST_TIMEOUT 0x40  /* nothing answered on the wire */

#define CFG_IRQ 0x01
#define CFG_SYS 0x04
#define CFG_KBD_OFF 0x10
#define CFG_AUX_OFF 0x20
#define CFG_XLATE 0x40

#define RAM_BYTES 32 /* byte 0 is the configuration */
#define KBD_RESEND 0xfe
#define OUT_PORT 0xcf /* reset high, A20 on */
#define OUT_RESET 0x01

struct i8042 {
	uint8_t ram[RAM_BYTES];
	uint8_t status; /* ST_OBF, ST_COMMAND, ST_TIMEOUT */
	uint8_t out;
	uint8_t cmd; /* waits for its data byte; 0: none */
};

static void
i8042_update(struct dev *d)
{
	const struct i8042 *s = d->state;

	dev_irq(d, s->status & ST_OBF && s->ram[0] & CFG_IRQ);
}

static void
i8042_answer(struct i8042 *s, uint8_t v, uint8_t flags)
{
	s->out = v;
	s->status = (s->status & ~ST_TIMEOUT) | ST_OBF | flags;
}

static void
i8042_reset_machine(struct dev *d)
{
	d->mach->ops->event(d->mach, MACH_RESET, 0);
}

static void
i8042_command(struct dev *d, uint8_t v)
{
	struct i8042 *s = d->state;

	s->cmd = 0;
	switch (v) {
	case 0x20 ... 0x3f:
		i8042_answer(s, s->ram[v & (RAM_BYTES - 1)], 0);
		break;
	case 0x60 ... 0x7f:
	case 0xd1: /* write output port */
	case 0xd2: /* as if from the keyboard */
	case 0xd3: /* as if from a second port */
	case 0xd4: /* to a second port */
		s->cmd = v;
		break;
	case 0xa9: /* test of a second port: clock stuck, there is none */
		i8042_answer(s, 0x01, 0);
		break;
	case 0xaa: /* self test */
		s->ram[0] = (s->ram[0] | CFG_SYS) & ~CFG_IRQ;
		i8042_answer(s, 0x55, 0);
		break;
	case 0xab: /* test of the port: its wires are sound */
		i8042_answer(s, 0x00, 0);
		break;
	case 0xad:
		s->ram[0] |= CFG_KBD_OFF;
		break;
	case 0xae:
		s->ram[0] &= ~CFG_KBD_OFF;
		break;
	case 0xc0: /* input port: not locked */
		i8042_answer(s, 0x80, 0);
		break;
	case 0xd0:
		i8042_answer(s, OUT_PORT, 0);
		break;
	case 0xe0: /* test inputs: clock and data idle low */
		i8042_answer(s, 0x00, 0);
		break;
	case 0xf0 ... 0xff: /* pulse the lines whose bits are clear */
		if (!(v & OUT_RESET))
			i8042_reset_machine(d);
		break;
	default:
		break;
	}
}

static void
i8042_data(struct dev *d, uint8_t v)
{
	struct i8042 *s = d->state;
	uint8_t cmd = s->cmd;

	s->cmd = 0;
	switch (cmd) {
	case 0x60 ... 0x7f:
		s->ram[cmd & (RAM_BYTES - 1)] = v;
		s->ram[0] |= CFG_AUX_OFF;
		break;
	case 0xd1:
		if (!(v & OUT_RESET))
			i8042_reset_machine(d);
		break;
	case 0xd2:
	case 0xd3:
		i8042_answer(s, v, 0);
		break;
	default:
		/* To a keyboard or mouse: nobody takes it. */
		if (cmd == 0)
			s->ram[0] &= ~CFG_KBD_OFF;
		i8042_answer(s, KBD_RESEND, ST_TIMEOUT);
		break;
	}
}

static uint8_t
i8042_status(const struct i8042 *s)
{
	return (s->status | ST_UNLOCKED | (s->ram[0] & CFG_SYS ? ST_SYS : 0));
}

static void
i8042_access(struct dev *d, unsigned range, struct bus_access *a)
{
	struct i8042 *s = d->state;
	bool command = range == 1;

	if (a->write) {
		s->status &= ~ST_COMMAND;
		if (command) {
			s->status |= ST_COMMAND;
			i8042_command(d, (uint8_t)a->val);
		} else
			i8042_data(d, (uint8_t)a->val);
	} else if (command)
		a->val = i8042_status(s);
	else {
		a->val = s->out;
		s->status &= ~(ST_OBF | ST_TIMEOUT);
	}
	i8042_update(d);
}

static void
i8042_reset(struct dev *d)
{
	struct i8042 *s = d->state;

	memset(s, 0, sizeof(*s));
	/* As firmware leaves it: tested, translating, no interrupts yet. */
	s->ram[0] = CFG_SYS | CFG_AUX_OFF | CFG_XLATE;
}

static void
i8042_save(struct dev *d, struct snap_w *w)
{
	const struct i8042 *s = d->state;

	snap_put_bytes(w, s->ram, sizeof(s->ram));
	snap_put_u8(w, s->status);
	snap_put_u8(w, s->out);
	snap_put_u8(w, s->cmd);
}

static bool
i8042_sane(const struct i8042 *s)
{
	return ((s->status & ~(ST_OBF | ST_COMMAND | ST_TIMEOUT)) == 0 &&
	    (s->cmd == 0 || (s->cmd >= 0x60 && s->cmd <= 0x7f) ||
		(s->cmd >= 0xd1 && s->cmd <= 0xd4)));
}

static int
i8042_load(struct dev *d, struct snap_r *r, struct err *e)
{
	struct i8042 s;

	snap_get_bytes(r, s.ram, sizeof(s.ram));
	s.status = snap_get_u8(r);
	s.out = snap_get_u8(r);
	s.cmd = snap_get_u8(r);
	if (!i8042_sane(&s))
		r->failed = true;
	if (snap_end(r, d->ops->name, e) == -1)
		return (-1);
	*(struct i8042 *)d->state = s;
	i8042_update(d);
	return (0);
}

const struct dev_ops dev_i8042 = {
	.name = "i8042",
	.spec = "IBM PC AT technical reference, keyboard controller",
	.state_bytes = sizeof(struct i8042),
	.version = 1,
	.bytes_only = true,
	.reset = i8042_reset,
	.access = i8042_access,
	.save = i8042_save,
	.load = i8042_load,
};
