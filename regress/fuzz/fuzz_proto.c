/* SPDX-License-Identifier: ISC */
/*
 * msg_check() on any bytes: the first two choose type, sender and fd, the rest
 * is the body.  What it takes must be safe to use as the table promises.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"
#include "shared/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
use(const struct msg_field *f, const uint8_t *body)
{
	const char *s = (const char *)body + f->off;
	struct vm_ref ref;

	switch (f->kind) {
	case FIELD_STR:
	case FIELD_TEXT:
	case FIELD_PATH:
		bug_on(strlen(s) >= f->bytes);
		break;
	case FIELD_NAME:
		bug_on(s[0] != '\0' && !vm_name_ok(s));
		break;
	case FIELD_REF:
		memcpy(&ref, s, sizeof(ref));
		bug_on(strlen(ref.name) >= sizeof(ref.name));
		break;
	case FIELD_NUM:
	case FIELD_BITS:
	case FIELD_RULE:
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct msg_desc *d;
	uint8_t *body;
	struct err e;
	uint32_t type;
	size_t i;

	if (len < 2)
		return (0);
	err_clear(&e);
	type = data[0] % (MSG_NTYPES + 1);
	body = malloc(len - 2 + 1); /* exact but for an empty one, aligned */
	memcpy(body, data + 2, len - 2);
	if (msg_check(type, (enum role)(1u << (data[1] & 7)), body, len - 2,
		(data[1] & 8) != 0, &e) == -1) {
		bug_on(e.code == 0 || e.text[0] == '\0');
	} else {
		d = &msg_table[type];
		for (i = 0; i < d->nfields; i++)
			use(&d->fields[i], body);
	}
	free(body);
	return (0);
}
