/* SPDX-License-Identifier: ISC */
/* AML writer: see aml.h.  Section numbers are of ACPI 6.5. */
#include <string.h>

#include "daemon/dev/aml.h"

#define OP_NAME 0x08
#define OP_BYTE 0x0a
#define OP_WORD 0x0b
#define OP_DWORD 0x0c
#define OP_SCOPE 0x10
#define OP_BUFFER 0x11
#define OP_PACKAGE 0x12
#define OP_EXT 0x5b
#define OP_DEVICE 0x82 /* after OP_EXT */

#define LEN_BYTES 3 /* every PkgLength is written with three bytes: 20.2.4 */
#define LEN_MAX 0xfffff

void
aml_init(struct aml *a, void *buf, size_t room)
{
	a->buf = buf;
	a->len_bytes = 0;
	a->room_bytes = room;
	a->failed = false;
}

void
aml_bytes(struct aml *a, const void *p, size_t n)
{
	if (a->failed || n > a->room_bytes - a->len_bytes) {
		a->failed = true;
		return;
	}
	memcpy(a->buf + a->len_bytes, p, n);
	a->len_bytes += n;
}

void
aml_byte(struct aml *a, uint8_t v)
{
	aml_bytes(a, &v, 1);
}

static void
aml_le(struct aml *a, uint32_t v, unsigned n)
{
	for (; n > 0; n--, v >>= 8)
		aml_byte(a, (uint8_t)v);
}

static size_t
aml_begin(struct aml *a)
{
	size_t at = a->len_bytes;

	aml_le(a, 0, LEN_BYTES);
	return (at);
}

void
aml_end(struct aml *a, size_t at)
{
	size_t n = a->len_bytes - at;

	if (a->failed || n > LEN_MAX) {
		a->failed = true;
		return;
	}
	a->buf[at] = (uint8_t)(0x80 | (n & 0x0f)); /* two more bytes follow */
	a->buf[at + 1] = (uint8_t)(n >> 4);
	a->buf[at + 2] = (uint8_t)(n >> 12);
}

static void
aml_path(struct aml *a, const char *name)
{
	aml_bytes(a, name, strlen(name));
}

size_t
aml_scope(struct aml *a, const char *name)
{
	size_t at;

	aml_byte(a, OP_SCOPE);
	at = aml_begin(a);
	aml_path(a, name);
	return (at);
}

size_t
aml_device(struct aml *a, const char *name)
{
	size_t at;

	aml_byte(a, OP_EXT);
	aml_byte(a, OP_DEVICE);
	at = aml_begin(a);
	aml_path(a, name);
	return (at);
}

size_t
aml_package(struct aml *a, uint8_t nelements)
{
	size_t at;

	aml_byte(a, OP_PACKAGE);
	at = aml_begin(a);
	aml_byte(a, nelements);
	return (at);
}

void
aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	aml_path(a, name);
}

void
aml_int(struct aml *a, uint32_t v)
{
	if (v <= 1) { /* ZeroOp, OneOp */
		aml_byte(a, (uint8_t)v);
	} else if (v <= 0xff) {
		aml_byte(a, OP_BYTE);
		aml_le(a, v, 1);
	} else {
		aml_byte(a, OP_DWORD);
		aml_le(a, v, 4);
	}
}

static unsigned
hex(char c)
{
	return ((unsigned)(c <= '9' ? c - '0' : c - 'A' + 10));
}

/* Three letters of 5 bits, four hex digits, big-endian: 19.6.36. */
void
aml_eisaid(struct aml *a, const char *id)
{
	uint8_t b[4] = {
		(uint8_t)((id[0] - '@') << 2 | (id[1] - '@') >> 3),
		(uint8_t)((id[1] - '@') << 5 | (id[2] - '@')),
		(uint8_t)(hex(id[3]) << 4 | hex(id[4])),
		(uint8_t)(hex(id[5]) << 4 | hex(id[6])),
	};

	aml_byte(a, OP_DWORD);
	aml_bytes(a, b, sizeof(b));
}

void
aml_res_begin(struct aml *a, struct aml_res *r)
{
	aml_byte(a, OP_BUFFER);
	r->at = aml_begin(a);
	aml_byte(a, OP_WORD);
	aml_le(a, 0, 2); /* BufferSize, set at the end */
	r->start = a->len_bytes;
}

void
aml_res_end(struct aml *a, const struct aml_res *r)
{
	size_t n;

	aml_le(a, 0x0079, 2); /* end tag; checksum 0: none, 6.4.2.9 */
	if (a->failed)
		return;
	n = a->len_bytes - r->start;
	a->buf[r->start - 2] = (uint8_t)n;
	a->buf[r->start - 1] = (uint8_t)(n >> 8);
	aml_end(a, r->at);
}

void
aml_res_io(struct aml *a, uint16_t base, uint8_t len)
{
	aml_le(a, 0x0147, 2); /* I/O ports, 16 bits decoded: 6.4.2.5 */
	aml_le(a, base, 2);
	aml_le(a, base, 2);
	aml_byte(a, 1);
	aml_byte(a, len);
}

void
aml_res_irq(struct aml *a, unsigned irq)
{
	aml_byte(a, 0x22); /* IRQ without flags: 6.4.2.1 */
	aml_le(a, 1u << irq, 2);
}

/* Word address space descriptors: 6.4.3.5.3. */
static void
res_word(
    struct aml *a, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
	aml_byte(a, 0x88);
	aml_le(a, 13, 2);
	aml_byte(a, type);
	aml_byte(a, 0x0c); /* producer, positive, fixed at both ends */
	aml_byte(a, flags);
	aml_le(a, 0, 2);
	aml_le(a, first, 2);
	aml_le(a, last, 2);
	aml_le(a, 0, 2);
	aml_le(a, last - first + 1u, 2);
}

void
aml_res_bus(struct aml *a, uint16_t first, uint16_t last)
{
	res_word(a, 2, 0, first, last);
}

void
aml_res_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	res_word(a, 1, 0x03, first, last); /* the whole range, not ISA's */
}

/* 6.4.3.5.2 */
void
aml_res_mem_window(struct aml *a, uint32_t first, uint32_t last)
{
	aml_byte(a, 0x87);
	aml_le(a, 23, 2);
	aml_byte(a, 0);    /* memory */
	aml_byte(a, 0x0c); /* as above */
	aml_byte(a, 0x01); /* not cached, writable */
	aml_le(a, 0, 4);
	aml_le(a, first, 4);
	aml_le(a, last, 4);
	aml_le(a, 0, 4);
	aml_le(a, last - first + 1, 4);
}
