/* SPDX-License-Identifier: ISC */
/* ACPI tables, and the addresses that board and tables must agree on. */
#ifndef DEV_ACPI_H
#define DEV_ACPI_H

#include <stdint.h>

#include "daemon/mach/mem.h"
#include "shared/err.h"

#define ACPI_SCI_GSI 9
#define ACPI_PM1_EVT 0x600 /* 4 bytes: status, enable */
#define ACPI_PM1_CNT 0x604 /* 2 bytes */
#define ACPI_PM_TMR 0x608  /* 4 bytes, 3.579545 MHz */
#define ACPI_S5_TYP 5
#define ACPI_RESET_PORT 0xcf9
#define ACPI_RESET_VAL 0x06

/* Write RSDP, XSDT, FADT, FACS, DSDT, MADT at BOOT_ACPI_GPA; *rsdp_gpa. */
int acpi_write(struct mem *, unsigned ncpus, uint64_t *rsdp_gpa, struct err *);

#endif
