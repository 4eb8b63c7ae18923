/* SPDX-License-Identifier: ISC */
/*
 * The one check of a message, and the small things that go with proto.h.
 * Runs in: every process.  Trusts: nobody.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/proto.h"

static const char *
name_of(const char *const *names, size_t n, uint32_t i)
{
	return (i < n && names[i] != NULL ? names[i] : "?");
}

const char *
vm_state_name(uint32_t state)
{
	static const char *const names[VM_NSTATES] = {
		[VM_STOPPED] = "stopped",
		[VM_WAITING] = "waiting",
		[VM_STARTING] = "starting",
		[VM_RUNNING] = "running",
		[VM_PAUSED] = "paused",
		[VM_STOPPING] = "stopping",
	};

	return (name_of(names, VM_NSTATES, state));
}

const char *
dev_state_name(uint32_t state)
{
	static const char *const names[DEV_NSTATES] = {
		[DEV_ENDED] = "ended",
		[DEV_UP] = "up",
		[DEV_HUNG] = "hung",
		[DEV_STUCK] = "stuck",
		[DEV_DOWN] = "down",
		[DEV_LOST] = "lost",
	};

	return (name_of(names, DEV_NSTATES, state));
}

const char *
start_step_name(uint32_t step)
{
	static const char *const names[STEP_N] = {
		[STEP_OPEN] = "open",
		[STEP_SPAWN] = "spawn",
		[STEP_SANDBOX] = "sandbox",
		[STEP_MEMORY] = "memory",
		[STEP_KVM] = "kvm",
		[STEP_VCPU] = "vcpu",
		[STEP_LOAD] = "load",
		[STEP_RUN] = "run",
	};

	return (name_of(names, STEP_N, step));
}

const char *
exit_kind_name(uint32_t kind)
{
	static const char *const names[EXIT_N] = {
		[EXIT_PIO_IN] = "pio-in",
		[EXIT_PIO_OUT] = "pio-out",
		[EXIT_MMIO_READ] = "mmio-read",
		[EXIT_MMIO_WRITE] = "mmio-write",
		[EXIT_HLT] = "hlt",
		[EXIT_INTR] = "intr",
		[EXIT_SHUTDOWN] = "shutdown",
		[EXIT_SYSTEM] = "system",
		[EXIT_ERROR] = "error",
		[EXIT_OTHER] = "other",
	};

	return (name_of(names, EXIT_N, kind));
}

const char *
msg_name(uint32_t type)
{
	if (type >= MSG_NTYPES || msg_table[type].name == NULL)
		return ("?");
	return (msg_table[type].name);
}

uint32_t
msg_chunk_max(uint32_t type)
{
	switch (type) {
	case MSG_LOG:
		return (LOG_LINE_BYTES - 1);
	case MSG_CONS_INPUT:
		return (CONS_INPUT_BYTES);
	case MSG_CONS_DATA:
		return (CONS_DATA_BYTES);
	default:
		return (0);
	}
}

/* isalnum(3) asks the locale; names do not depend on where one sits. */
static bool
is_alnum(char c)
{
	return ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	    (c >= 'a' && c <= 'z'));
}

bool
vm_name_ok(const char *s)
{
	size_t i;

	if (!is_alnum(s[0]))
		return (false);
	for (i = 1; s[i] != '\0'; i++)
		if (i == VM_NAME_BYTES - 1 ||
		    (!is_alnum(s[i]) && strchr(".-_", s[i]) == NULL))
			return (false);
	return (true);
}

static int
check_num(const struct msg_field *f, const uint8_t *p, struct err *e)
{
	uint64_t v = 0;
	uint32_t v32;

	if (f->bytes == sizeof(v32)) {
		memcpy(&v32, p, sizeof(v32));
		v = v32;
	} else
		memcpy(&v, p, sizeof(v));
	if (f->kind == FIELD_BITS && (v & ~f->max) != 0)
		return (err_set(e, EINVAL, "%s has unknown bits 0x%" PRIx64,
		    f->name, v & ~f->max));
	if (f->kind == FIELD_NUM && (v < f->min || v > f->max))
		return (err_set(e, EINVAL,
		    "%s is %" PRIu64 ", not %" PRIu64 " to %" PRIu64, f->name,
		    v, f->min, f->max));
	return (0);
}

static int
check_str(const struct msg_field *f, const uint8_t *p, struct err *e)
{
	const char *s = (const char *)p;
	size_t i, n = strnlen(s, f->bytes);

	if (n == f->bytes)
		return (err_set(e, EINVAL, "%s has no end", f->name));
	if (f->kind == FIELD_STR || (n == 0 && f->min == 0))
		return (0);
	if (f->kind == FIELD_TEXT && n < f->min)
		return (err_set(e, EINVAL, "%s is too short", f->name));
	if (f->kind == FIELD_NAME && !vm_name_ok(s))
		return (err_set(
		    e, EINVAL, "%s \"%s\" is no name of a VM", f->name, s));
	if (f->kind == FIELD_PATH && s[0] != '/')
		return (err_set(e, EINVAL, "%s is not absolute", f->name));
	for (i = 0; f->kind == FIELD_TEXT && i < n; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			return (err_set(
			    e, EINVAL, "%s holds byte 0x%02x", f->name, p[i]));
	return (0);
}

static int
check_ref(const struct msg_field *f, const uint8_t *p, struct err *e)
{
	const struct msg_field name = { "name",
		(uint16_t)offsetof(struct vm_ref, name), VM_NAME_BYTES,
		FIELD_NAME, 0, 0, NULL };
	uint32_t id;

	memcpy(&id, p, sizeof(id));
	if (check_str(&name, p + name.off, e) == -1)
		return (-1);
	if (f->min > 0 && id == 0 && p[name.off] == '\0')
		return (err_set(e, EINVAL, "neither id nor name of a VM"));
	return (0);
}

static int
check_field(const struct msg_field *f, const uint8_t *body, struct err *e)
{
	switch (f->kind) {
	case FIELD_NUM:
	case FIELD_BITS:
		return (check_num(f, body + f->off, e));
	case FIELD_STR:
	case FIELD_TEXT:
	case FIELD_NAME:
	case FIELD_PATH:
		return (check_str(f, body + f->off, e));
	case FIELD_REF:
		return (check_ref(f, body + f->off, e));
	case FIELD_RULE:
		return (f->rule(body, e));
	}
	return (err_set(e, EINVAL, "%s: unknown kind", f->name));
}

/* A chunk's length field says how much follows its head. */
static int
check_chunk(uint32_t type, const uint8_t *body, size_t len, struct err *e)
{
	size_t head = msg_table[type].body_bytes;
	struct msg_chunk c;
	uint32_t n;

	/* Both kinds of head have len at the same place. */
	_Static_assert(offsetof(struct msg_chunk, len) ==
		offsetof(struct msg_logline, len),
	    "len");
	memcpy(&n, body + offsetof(struct msg_chunk, len), sizeof(n));
	if (n == 0 || n > msg_chunk_max(type))
		return (err_set(e, EINVAL, "%u bytes of data, not 1 to %u", n,
		    msg_chunk_max(type)));
	if (len != head + n)
		return (
		    err_set(e, EMSGSIZE, "%zu bytes, not %zu", len, head + n));
	if (type == MSG_LOG && memchr(body + head, '\0', n) != NULL)
		return (err_set(e, EINVAL, "a NUL in the line"));
	if (type == MSG_CONS_INPUT) {
		memcpy(&c, body, sizeof(c));
		if (c.off != 0)
			return (err_set(
			    e, EINVAL, "off is %" PRIu64 ", not 0", c.off));
	}
	return (0);
}

static int
check_len(uint32_t type, const void *body, size_t len, struct err *e)
{
	const struct msg_desc *d = &msg_table[type];

	if (d->kind == CHUNK && len >= d->body_bytes)
		return (check_chunk(type, body, len, e));
	if (len != d->body_bytes)
		return (err_set(
		    e, EMSGSIZE, "%zu bytes, not %u", len, d->body_bytes));
	return (0);
}

static int
check_fd(uint32_t type, bool has_fd, struct err *e)
{
	const struct msg_desc *d = &msg_table[type];

	if (has_fd && d->fd == FD_NONE)
		return (err_set(e, EBADMSG, "comes with a file descriptor"));
	if (!has_fd && d->fd == FD_ONE)
		return (err_set(e, EBADMSG, "comes without its descriptor"));
	return (0);
}

int
msg_check(uint32_t type, enum role from, const void *body, size_t len,
    bool has_fd, struct err *e)
{
	const struct msg_desc *d;
	size_t i;

	if (type >= MSG_NTYPES || msg_table[type].name == NULL)
		return (
		    err_set(e, EBADMSG, "message of unknown type %u", type));
	d = &msg_table[type];
	if ((d->from & from) == 0) {
		err_set(e, EPERM, "not for this side to send");
		return (err_prefix(e, "%s", d->name));
	}
	if (check_len(type, body, len, e) == -1)
		return (err_prefix(e, "%s", d->name));
	for (i = 0; i < d->nfields; i++)
		if (check_field(&d->fields[i], body, e) == -1)
			return (err_prefix(e, "%s", d->name));
	if (check_fd(type, has_fd, e) == -1)
		return (err_prefix(e, "%s", d->name));
	return (0);
}

void
msg_from_err(struct msg_err *m, const struct err *e)
{
	memset(m, 0, sizeof(*m));
	m->code = e->code;
	memcpy(m->text, e->text, strnlen(e->text, sizeof(m->text) - 1));
}

void
msg_to_err(const struct msg_err *m, struct err *e)
{
	err_clear(e);
	if (m->code != 0 || m->text[0] != '\0')
		err_set(e, m->code, "%.*s", (int)sizeof(m->text) - 1, m->text);
}

int
vm_ref_parse(struct vm_ref *r, const char *text, struct err *e)
{
	unsigned long id;
	char *end;

	memset(r, 0, sizeof(*r));
	if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text)) {
		errno = 0;
		id = strtoul(text, &end, 10);
		if (errno != 0 || id == 0 || id > UINT32_MAX)
			return (
			    err_set(e, EINVAL, "%s is no id of a VM", text));
		r->id = (uint32_t)id;
		return (0);
	}
	if (!vm_name_ok(text))
		return (err_set(e, EINVAL,
		    "\"%s\" is neither the name nor the "
		    "id of a VM: a name is 1 to %d letters, digits, \".\", "
		    "\"-\" and \"_\", and starts with a letter or digit",
		    text, VM_NAME_BYTES - 1));
	memcpy(r->name, text, strlen(text));
	return (0);
}
