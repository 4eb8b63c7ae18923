/* SPDX-License-Identifier: ISC */
/*
 * The PC: build, reset and saved state walk this table in its order.
 * PIC, PIT, IOAPIC and local APICs are the hypervisor's.
 */
#include "daemon/dev/acpi.h"
#include "daemon/dev/pci.h"
#include "daemon/dev/virtio.h"
#include "daemon/vm/board.h"

const struct board_slot board_pc[] = {
	{
	    .ops = &dev_uart, /* COM1 */
	    .range = { { .base = 0x3f8, .len_bytes = 8 } },
	    .gsi = 4,
	},
	{
	    .ops = &dev_rtc,
	    .range = { { .base = 0x70, .len_bytes = 2 } },
	    .gsi = 8,
	},
	{
	    .ops = &dev_i8042, /* range 0: data, 1: status and command */
	    .range = { { .base = 0x60, .len_bytes = 1 },
		{ .base = 0x64, .len_bytes = 1 } },
	    .gsi = 1,
	},
	{
	    .ops = &dev_acpi_pm, /* events and control, timer */
	    .range = { { .base = ACPI_PM1_EVT, .len_bytes = 4 },
		{ .base = ACPI_PM1_CNT, .len_bytes = 2 },
		{ .base = ACPI_PM_TMR, .len_bytes = 4 } },
	    .gsi = ACPI_SCI_GSI,
	},
	{
	    .ops = &dev_pci_host, /* CONFIG_ADDRESS, CONFIG_DATA */
	    .range = { { .base = 0xcf8, .len_bytes = 8 } },
	    .gsi = DEV_NO_GSI,
	},
	{
	    .ops = &dev_virtio_pci,
	    .range = { { .base = 0xc000, .len_bytes = VIO_PCI_IO_BYTES },
		{ .mmio = true,
		    .base = 0xe0000000,
		    .len_bytes = VIO_PCI_MEM_BYTES } },
	    .gsi = PCI_INTX_GSI(1),
	    .pci_slot = 1,
	    .vio = &vio_rng,
	},
	{
	    .ops = &dev_reset_ctl, /* a byte inside the range above */
	    .range = { { .base = ACPI_RESET_PORT, .len_bytes = 1 } },
	    .gsi = DEV_NO_GSI,
	},
	{
	    .ops = &dev_debug_exit,
	    .range = { { .base = 0xf4, .len_bytes = 4 } },
	    .gsi = DEV_NO_GSI,
	    .debug_only = true,
	},
};
const size_t board_pc_n = sizeof(board_pc) / sizeof(board_pc[0]);
_Static_assert(sizeof(board_pc) / sizeof(board_pc[0]) <= BOARD_ROWS,
    "the array of devices in struct machine");
