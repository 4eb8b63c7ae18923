/* SPDX-License-Identifier: ISC */
/*
 * 16550A serial port, after the PC16550D datasheet (section numbers below).
 * Output leaves at once, so the transmitter is always empty; input waits in the
 * FIFO for the guest, and the character timeout is reported at once rather
 * than by a timer.  The divisor is kept and never divided by (CVE-2016-8669).
 * Runs in: vm process.  Trusts: nobody.
 */
#include <string.h>

#include "daemon/dev/dev.h"
#include "daemon/dev/snap.h"

#define UART_FIFO 16

enum { /* registers */
	R_DATA,
	R_IER,
	R_IIR, /* write: FCR */
	R_LCR,
	R_MCR,
	R_LSR,
	R_MSR,
	R_SCR
};

#define IER_RX 0x01
#define IER_THRE 0x02
#define IER_LINE 0x04
#define IER_MODEM 0x08

#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_THRE 0x02
#define IIR_RX 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO 0xc0

#define FCR_ON 0x01
#define FCR_RX_CLEAR 0x02
#define FCR_KEPT 0xc9 /* enable, DMA mode, trigger level */

#define LCR_DLAB 0x80

#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_KEPT 0x1f

#define LSR_DR 0x01
#define LSR_OE 0x02
#define LSR_BI 0x10
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define LSR_FIFO_ERR 0x80
#define LSR_ERRS (LSR_OE | LSR_BI)

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80
#define MSR_LINES 0xf0

#define CH_HOST 0x01 /* came by uart_input() */
#define CH_BREAK LSR_BI

struct uart_ch {
	uint8_t byte, flags;
};

struct uart {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t errs; /* LSR_ERRS not yet read */
	uint8_t msr;
	bool thre;      /* THRE interrupt to be shown */
	bool break_due; /* came while the queue was full */
	uint8_t head, count;
	struct uart_ch rx[UART_FIFO];
};

static unsigned
rx_size(const struct uart *u)
{
	return (u->fcr & FCR_ON ? UART_FIFO : 1);
}

/* Highest priority first: 8.6, table IV. */
static uint8_t
uart_iir(const struct uart *u)
{
	static const uint8_t trigger[] = { 1, 4, 8, 14 };

	if (u->ier & IER_LINE && u->errs != 0)
		return (IIR_LINE);
	if (u->ier & IER_RX && u->count > 0) {
		if (!(u->fcr & FCR_ON) || u->count >= trigger[u->fcr >> 6])
			return (IIR_RX);
		return (IIR_TIMEOUT);
	}
	if (u->ier & IER_THRE && u->thre)
		return (IIR_THRE);
	if (u->ier & IER_MODEM && (u->msr & ~MSR_LINES) != 0)
		return (IIR_MODEM);
	return (IIR_NONE);
}

/* PCs put the interrupt on its line through a gate that OUT2 opens. */
static void
uart_update(struct dev *d)
{
	const struct uart *u = d->state;

	dev_irq(d, uart_iir(u) != IIR_NONE && (u->mcr & MCR_OUT2) != 0);
}

/* An error shows in LSR when its character reaches the top: 8.4. */
static void
rx_top(struct uart *u)
{
	if (u->count > 0 && u->rx[u->head].flags & CH_BREAK) {
		u->rx[u->head].flags &= ~CH_BREAK;
		u->errs |= LSR_BI;
	}
}

static void
rx_push(struct uart *u, uint8_t byte, uint8_t flags)
{
	if (u->count >= rx_size(u)) {
		u->errs |= LSR_OE;
		return;
	}
	u->rx[(u->head + u->count) % UART_FIFO] =
	    (struct uart_ch){ byte, flags };
	u->count++;
	rx_top(u);
}

/* Room came about: a break that waits goes first, then the host is told. */
static void
rx_roomy(struct dev *d, size_t taken)
{
	struct uart *u = d->state;

	if (u->mcr & MCR_LOOP)
		return;
	if (u->break_due && u->count < rx_size(u)) {
		u->break_due = false;
		rx_push(u, 0, CH_BREAK);
	}
	if (u->count < rx_size(u))
		d->mach->ops->console_room(d->mach, taken);
}

static uint8_t
rx_pop(struct dev *d)
{
	struct uart *u = d->state;
	struct uart_ch ch;

	if (u->count == 0)
		return (0);
	ch = u->rx[u->head];
	u->head = (u->head + 1) % UART_FIFO;
	u->count--;
	rx_top(u);
	rx_roomy(d, ch.flags & CH_HOST ? 1 : 0);
	return (ch.byte);
}

/* How many in the queue the host sent. */
static size_t
rx_host(const struct uart *u)
{
	size_t i, n = 0;

	for (i = 0; i < u->count; i++)
		if (u->rx[(u->head + i) % UART_FIFO].flags & CH_HOST)
			n++;
	return (n);
}

static void
rx_clear(struct dev *d)
{
	struct uart *u = d->state;
	size_t taken = rx_host(u);

	u->head = u->count = 0;
	rx_roomy(d, taken);
}

static uint8_t
uart_lsr(struct uart *u)
{
	uint8_t v = LSR_THRE | LSR_TEMT | u->errs;
	unsigned i;

	if (u->count > 0)
		v |= LSR_DR;
	if (u->fcr & FCR_ON) {
		if (u->errs & LSR_BI)
			v |= LSR_FIFO_ERR;
		for (i = 0; i < u->count; i++)
			if (u->rx[(u->head + i) % UART_FIFO].flags & CH_BREAK)
				v |= LSR_FIFO_ERR;
	}
	u->errs = 0;
	return (v);
}

/* What the modem lines are: a ready peer, or in loopback our own: 8.7. */
static uint8_t
uart_lines(const struct uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return (MSR_CTS | MSR_DSR | MSR_DCD);
	return ((u->mcr & MCR_RTS ? MSR_CTS : 0) |
	    (u->mcr & MCR_DTR ? MSR_DSR : 0) |
	    (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
	    (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

/* Deltas: any change of CTS, DSR, DCD; of RI only its end (TERI): 8.8. */
static void
uart_modem(struct uart *u)
{
	uint8_t now = uart_lines(u), was = u->msr & MSR_LINES;
	uint8_t delta = now ^ was;

	if (now & MSR_RI)
		delta &= ~MSR_RI;
	u->msr = now | (u->msr & ~MSR_LINES) | delta >> 4;
}

static void
uart_mcr(struct dev *d, uint8_t v)
{
	struct uart *u = d->state;
	bool opened = (u->mcr & MCR_LOOP) != 0 && (v & MCR_LOOP) == 0;

	u->mcr = v & MCR_KEPT;
	uart_modem(u);
	if (opened)
		rx_roomy(d, 0);
}

static void
uart_fcr(struct dev *d, uint8_t v)
{
	struct uart *u = d->state;
	bool toggled = ((u->fcr ^ v) & FCR_ON) != 0;

	/* Other bits count only together with the enable bit: 8.5. */
	u->fcr = v & FCR_ON ? v & FCR_KEPT : 0;
	if (toggled || (v & FCR_ON && v & FCR_RX_CLEAR))
		rx_clear(d);
}

static void
uart_send(struct dev *d, uint8_t byte)
{
	struct uart *u = d->state;

	u->thre = true; /* taken, and gone at once */
	if (u->mcr & MCR_LOOP)
		rx_push(u, byte, 0);
	else
		d->mach->ops->console(d->mach, &byte, 1);
}

static void
uart_write(struct dev *d, unsigned reg, uint8_t v)
{
	struct uart *u = d->state;
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case R_DATA:
		if (dlab)
			u->dll = v;
		else
			uart_send(d, v);
		break;
	case R_IER:
		if (dlab) {
			u->dlm = v;
			break;
		}
		/* Enabling it while the transmitter is empty shows it anew. */
		if (~u->ier & v & IER_THRE)
			u->thre = true;
		u->ier = v & 0x0f;
		break;
	case R_IIR:
		uart_fcr(d, v);
		break;
	case R_LCR:
		u->lcr = v;
		break;
	case R_MCR:
		uart_mcr(d, v);
		break;
	case R_SCR:
		u->scr = v;
		break;
	default: /* LSR, MSR: factory tests only */
		break;
	}
}

static uint8_t
uart_read_iir(struct uart *u)
{
	uint8_t v = uart_iir(u);

	if (v == IIR_THRE)
		u->thre = false;
	return (v | (u->fcr & FCR_ON ? IIR_FIFO : 0));
}

static uint8_t
uart_read_msr(struct uart *u)
{
	uint8_t v = u->msr;

	u->msr &= MSR_LINES;
	return (v);
}

static uint8_t
uart_read(struct dev *d, unsigned reg)
{
	struct uart *u = d->state;
	bool dlab = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case R_DATA:
		return (dlab ? u->dll : rx_pop(d));
	case R_IER:
		return (dlab ? u->dlm : u->ier);
	case R_IIR:
		return (uart_read_iir(u));
	case R_LCR:
		return (u->lcr);
	case R_MCR:
		return (u->mcr);
	case R_LSR:
		return (uart_lsr(u));
	case R_MSR:
		return (uart_read_msr(u));
	default:
		return (u->scr);
	}
}

static void
uart_access(struct dev *d, unsigned range, struct bus_access *a)
{
	unsigned reg = a->off_bytes & 7;

	(void)range;
	if (a->write)
		uart_write(d, reg, (uint8_t)a->val);
	else
		a->val = uart_read(d, reg);
	uart_update(d);
}

/* 8.1, table III.  Bytes that waited are lost, as on a real reset. */
static void
uart_reset(struct dev *d)
{
	struct uart *u = d->state;
	size_t taken = rx_host(u);
	bool closed = u->mcr & MCR_LOOP || u->count > 0;

	memset(u, 0, sizeof(*u));
	u->dll = 1; /* 115200, as firmware leaves it */
	u->thre = true;
	u->msr = uart_lines(u);
	if (closed)
		rx_roomy(d, taken);
}

size_t
uart_room(struct dev *d)
{
	const struct uart *u = d->state;
	size_t n;

	pthread_mutex_lock(&d->lock);
	n = u->mcr & MCR_LOOP ? 0 : rx_size(u) - u->count;
	pthread_mutex_unlock(&d->lock);
	return (n);
}

size_t
uart_input(struct dev *d, const void *buf, size_t len)
{
	struct uart *u = d->state;
	const uint8_t *p = buf;
	size_t n = 0;

	pthread_mutex_lock(&d->lock);
	if (!(u->mcr & MCR_LOOP))
		while (n < len && u->count < rx_size(u))
			rx_push(u, p[n++], CH_HOST);
	uart_update(d);
	pthread_mutex_unlock(&d->lock);
	return (n);
}

void
uart_break(struct dev *d)
{
	struct uart *u = d->state;

	pthread_mutex_lock(&d->lock);
	if (u->mcr & MCR_LOOP || u->count >= rx_size(u))
		u->break_due = true;
	else
		rx_push(u, 0, CH_BREAK);
	uart_update(d);
	pthread_mutex_unlock(&d->lock);
}

static void
uart_save(struct dev *d, struct snap_w *w)
{
	const struct uart *u = d->state;
	unsigned i;

	snap_put_u8(w, u->ier);
	snap_put_u8(w, u->fcr);
	snap_put_u8(w, u->lcr);
	snap_put_u8(w, u->mcr);
	snap_put_u8(w, u->scr);
	snap_put_u8(w, u->dll);
	snap_put_u8(w, u->dlm);
	snap_put_u8(w, u->errs);
	snap_put_u8(w, u->msr);
	snap_put_u8(w, u->thre);
	snap_put_u8(w, u->break_due);
	snap_put_u8(w, u->count);
	for (i = 0; i < u->count; i++) {
		snap_put_u8(w, u->rx[(u->head + i) % UART_FIFO].byte);
		snap_put_u8(w, u->rx[(u->head + i) % UART_FIFO].flags);
	}
}

static bool
uart_sane(const struct uart *u)
{
	unsigned i;

	if (u->ier & ~0x0f || u->fcr & ~FCR_KEPT || u->mcr & ~MCR_KEPT ||
	    u->errs & ~LSR_ERRS || (u->fcr != 0 && !(u->fcr & FCR_ON)) ||
	    (u->msr & MSR_LINES) != uart_lines(u) || u->count > rx_size(u))
		return (false);
	for (i = 0; i < u->count; i++)
		if (u->rx[i].flags & ~(CH_HOST | CH_BREAK))
			return (false);
	return (true);
}

static int
uart_load(struct dev *d, struct snap_r *r, struct err *e)
{
	struct uart u = { .ier = snap_get_u8(r) };
	unsigned i;

	u.fcr = snap_get_u8(r);
	u.lcr = snap_get_u8(r);
	u.mcr = snap_get_u8(r);
	u.scr = snap_get_u8(r);
	u.dll = snap_get_u8(r);
	u.dlm = snap_get_u8(r);
	u.errs = snap_get_u8(r);
	u.msr = snap_get_u8(r);
	u.thre = snap_get_bool(r);
	u.break_due = snap_get_bool(r);
	u.count = snap_get_u8(r);
	if (u.count > UART_FIFO)
		r->failed = true;
	for (i = 0; i < u.count && !r->failed; i++) {
		u.rx[i].byte = snap_get_u8(r);
		u.rx[i].flags = snap_get_u8(r);
	}
	if (!uart_sane(&u))
		r->failed = true;
	if (snap_end(r, d->ops->name, e) == -1)
		return (-1);
	*(struct uart *)d->state = u;
	uart_update(d);
	return (0);
}

const struct dev_ops dev_uart = {
	.name = "uart",
	.spec = "PC16550D datasheet, 8",
	.state_bytes = sizeof(struct uart),
	.version = 1,
	.bytes_only = true,
	.reset = uart_reset,
	.access = uart_access,
	.save = uart_save,
	.load = uart_load,
};
