/* SPDX-License-Identifier: ISC */
/* THE process table. */
#include <string.h>

#include "daemon/dev/virtio.h"
#include "daemon/proc/opener.h"
#include "daemon/proc/proc.h"

const struct proc_desc proc_table[] = {
	{
	    .name = "parent",
	    .role = ROLE_PARENT,
	    .sandbox = &sandbox_parent,
	    .peers = ROLE_CONTROL | ROLE_VMM | ROLE_LAUNCH,
	},
	{
	    .name = "control",
	    .role = ROLE_CONTROL,
	    .sandbox = &sandbox_control,
	    .peers = ROLE_PARENT | ROLE_CLIENT | ROLE_VM,
	    .nfds = 1,
	    .run = control_run,
	},
	{
	    .name = "vmm",
	    .role = ROLE_VMM,
	    .sandbox = &sandbox_vmm,
	    .peers = ROLE_PARENT | ROLE_VM,
	    .nfds = 1,
	    .run = vmm_run,
	},
	{
	    .name = "vm",
	    .role = ROLE_VM,
	    .sandbox = &sandbox_vm,
	    .peers = ROLE_VMM | ROLE_CONTROL | ROLE_PARENT,
	    .nfds = 2,
	    .run = vm_run,
	},
	{
	    .name = "launch",
	    .role = ROLE_LAUNCH,
	    .sandbox = &sandbox_launch,
	    .peers = ROLE_PARENT,
	    .nfds = 1,
	    .run = launch_run,
	},
	{
	    .name = "blk",
	    .word = "vm",
	    .sandbox = &sandbox_blk,
	    .nfds = 3,
	    .vio = &vio_blk,
	    .before = opener_run,
	    .run = devproc_run,
	},
};
const size_t proc_ntable = sizeof(proc_table) / sizeof(proc_table[0]);

const struct proc_desc *
proc_find(const char *name)
{
	size_t i;

	for (i = 0; i < proc_ntable; i++)
		if (strcmp(proc_table[i].name, name) == 0)
			return (&proc_table[i]);
	return (NULL);
}
