/* SPDX-License-Identifier: ISC */
/*
 * Just enough of an AML writer (ACPI 6.5, 20.2) for our DSDT.  Writes into a
 * buffer of the caller; what does not fit is dropped and `failed` set.
 */
#ifndef DEV_AML_H
#define DEV_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t len_bytes, room_bytes;
	bool failed;
};

void aml_init(struct aml *, void *buf, size_t room_bytes);
void aml_bytes(struct aml *, const void *, size_t);
void aml_byte(struct aml *, uint8_t);
/*
 * Objects with a length: begin returns where the length goes, end fills it in.
 * Names are four characters, a root name has a backslash before them.
 */
size_t aml_scope(struct aml *, const char *name);
size_t aml_device(struct aml *, const char *name);
size_t aml_package(struct aml *, uint8_t nelements);
void aml_end(struct aml *, size_t at);

void aml_name(struct aml *, const char *name); /* its value follows */
void aml_int(struct aml *, uint32_t);
/* "PNP0A03": as the number that EISAID() makes of it. */
void aml_eisaid(struct aml *, const char *id);

/* A resource template: bytes between begin and end are descriptors, 6.4. */
struct aml_res {
	size_t at, start;
};
void aml_res_begin(struct aml *, struct aml_res *);
void aml_res_end(struct aml *, const struct aml_res *);
void aml_res_io(struct aml *, uint16_t base, uint8_t len);
void aml_res_irq(struct aml *, unsigned irq); /* edge, active high */
void aml_res_bus(struct aml *, uint16_t first, uint16_t last);
void aml_res_io_window(struct aml *, uint16_t first, uint16_t last);
void aml_res_mem_window(struct aml *, uint32_t first, uint32_t last);

#endif
