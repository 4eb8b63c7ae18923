/* SPDX-License-Identifier: ISC */
/*
 * Every message of proto.def, by its rows in msg_table: a good one is taken,
 * and each single thing that can be wrong with it is refused in words that name
 * the message.  New messages are tested by being in the table.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "shared/imsg.h"
#include "shared/proto.h"

#define ROOM (MAX_IMSGSIZE + 64)

struct sample {
	uint32_t type;
	enum role from;
	size_t len;
	bool fd;
	_Alignas(16) uint8_t body[ROOM];
};

static unsigned nbad; /* bad messages tried in all */

static enum role
some_role(uint32_t set)
{
	return ((enum role)(set & -set));
}

static void
put_num(uint8_t *body, const struct msg_field *f, uint64_t v)
{
	uint32_t v32 = (uint32_t)v;

	if (f->bytes == sizeof(v32))
		memcpy(body + f->off, &v32, sizeof(v32));
	else
		memcpy(body + f->off, &v, sizeof(v));
}

static void
put_good(uint8_t *body, const struct msg_field *f)
{
	uint8_t *p = body + f->off;

	switch (f->kind) {
	case FIELD_NUM:
		put_num(body, f, f->min);
		break;
	case FIELD_TEXT:
	case FIELD_STR:
		memcpy(p, "words", 6);
		break;
	case FIELD_NAME:
		memcpy(p, "web-1.x_y", 10);
		break;
	case FIELD_PATH:
		memcpy(p, "/etc/vm.conf", 13);
		break;
	case FIELD_REF:
		memcpy(p + offsetof(struct vm_ref, name), "web", 4);
		break;
	case FIELD_BITS:
	case FIELD_RULE:
		break;
	}
}

/* The few whose fields hang together. */
static void
put_special(struct sample *s)
{
	const uint32_t role = ROLE_VMM, bits = 1;

	if (s->type == MSG_START) /* cmdline asks for its bit */
		memset(s->body + offsetof(struct msg_start, cmdline), 0, 8);
	if (s->type == MSG_RESET)
		memcpy(s->body + offsetof(struct msg_reset, what), &bits, 4);
	if (s->type == MSG_RENDEZVOUS)
		memcpy(s->body, &role, sizeof(role));
}

static void
sample_make(struct sample *s, uint32_t type)
{
	const struct msg_desc *d = &msg_table[type];
	uint32_t n = msg_chunk_max(type);
	size_t i;

	memset(s, 0, sizeof(*s));
	s->type = type;
	s->from = some_role(d->from);
	s->len = d->body_bytes;
	s->fd = d->fd == FD_ONE;
	for (i = 0; i < d->nfields; i++)
		put_good(s->body, &d->fields[i]);
	put_special(s);
	if (d->kind == CHUNK) {
		memcpy(s->body + offsetof(struct msg_chunk, len), &n, 4);
		memset(s->body + s->len, 'x', n);
		s->len += n;
	}
}

/*
 * The body is copied to a block of exactly its length, so that a sanitizer
 * sees every read past it.
 */
static int
check(const struct sample *s, struct err *e)
{
	uint8_t *exact = malloc(s->len > 0 ? s->len : 1);
	int r;

	memcpy(exact, s->body, s->len);
	err_clear(e);
	r = msg_check(s->type, s->from, exact, s->len, s->fd, e);
	free(exact);
	return (r);
}

static void
expect_good(const struct sample *s)
{
	struct err e;

	CHECK_MSG(check(s, &e) == 0, "good %s refused: %s", msg_name(s->type),
	    e.text);
}

static void
expect_bad(const struct sample *s, const char *what)
{
	struct err e;

	nbad++;
	CHECK_MSG(check(s, &e) == -1, "%s with bad %s was taken",
	    msg_name(s->type), what);
	CHECK_MSG(e.code != 0 && strstr(e.text, msg_name(s->type)) == e.text,
	    "%s, bad %s: \"%s\" does not name it", msg_name(s->type), what,
	    e.text);
}

static void
test_good(void)
{
	struct sample s;
	uint32_t t;

	for (t = 1; t < MSG_NTYPES; t++) {
		sample_make(&s, t);
		expect_good(&s);
		if (msg_table[t].fd == FD_OPT && t != MSG_START) {
			s.fd = true;
			expect_good(&s);
		}
	}
}

static void
test_length(void)
{
	struct sample s;
	size_t good;
	uint32_t t;

	for (t = 1; t < MSG_NTYPES; t++) {
		sample_make(&s, t);
		good = s.len;
		s.len = good + 1;
		expect_bad(&s, "length + 1");
		if (good == 0)
			continue;
		s.len = good - 1;
		expect_bad(&s, "length - 1");
		s.len = 0;
		expect_bad(&s, "length 0");
	}
}

static void
test_chunk_length(void)
{
	const uint32_t lens[] = { 0, 1, 0x7fffffff, 0xffffffff };
	uint32_t t, n;
	struct sample s;
	size_t i;

	for (t = 1; t < MSG_NTYPES; t++) {
		if (msg_table[t].kind != CHUNK)
			continue;
		CHECK(msg_chunk_max(t) > 0);
		for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			sample_make(&s, t);
			memcpy(s.body + 4, &lens[i], 4);
			expect_bad(&s, "data length");
		}
		sample_make(&s, t);
		n = msg_chunk_max(t) + 1;
		memcpy(s.body + 4, &n, 4);
		s.len++;
		expect_bad(&s, "data over its limit");
		sample_make(&s, t);
		s.len = msg_table[t].body_bytes;
		expect_bad(&s, "data missing");
		n = 0;
		memcpy(s.body + 4, &n, 4);
		expect_bad(&s, "data of no bytes");
	}
}

static void
test_sender(void)
{
	struct sample s;
	unsigned bit;
	uint32_t t;

	for (t = 1; t < MSG_NTYPES; t++)
		for (bit = 0; bit < 5; bit++) {
			sample_make(&s, t);
			s.from = (enum role)(1u << bit);
			if ((msg_table[t].from & s.from) != 0)
				expect_good(&s);
			else
				expect_bad(&s, "sender");
		}
}

static void
test_fd(void)
{
	struct sample s;
	uint32_t t;

	for (t = 1; t < MSG_NTYPES; t++) {
		sample_make(&s, t);
		s.fd = !s.fd;
		if (msg_table[t].fd != FD_OPT || t == MSG_START)
			expect_bad(&s, "file descriptor");
	}
}

static void
bad_num(const struct sample *good, const struct msg_field *f)
{
	uint64_t top = f->bytes == 4 ? UINT32_MAX : UINT64_MAX;
	struct sample s = *good;

	if (f->min > 0) {
		put_num(s.body, f, f->min - 1);
		expect_bad(&s, f->name);
	}
	if (f->max < top) {
		put_num(s.body, f, f->max + 1);
		expect_bad(&s, f->name);
		put_num(s.body, f, top);
		expect_bad(&s, f->name);
	}
}

static void
bad_bits(const struct sample *good, const struct msg_field *f)
{
	struct sample s = *good;
	unsigned bit;

	for (bit = 0; bit < 32; bit++) {
		if ((f->max & (1u << bit)) != 0)
			continue;
		put_num(s.body, f, 1u << bit);
		expect_bad(&s, f->name);
	}
}

static void
bad_name(const struct sample *good, size_t off, const char *what)
{
	static const char *const bad[] = { "-rf", ".", "..", "a/b", "a b",
		"a\nb", "a\"b", "a;b", "%n", "\303\251", "a\033[2J" };
	struct sample s = *good;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(s.body + off, 0, VM_NAME_BYTES);
		memcpy(s.body + off, bad[i], strlen(bad[i]));
		expect_bad(&s, what);
	}
	memset(s.body + off, 'a', VM_NAME_BYTES);
	expect_bad(&s, what);
}

static void
bad_text(const struct sample *good, const struct msg_field *f)
{
	struct sample s = *good;
	unsigned c;

	for (c = 1; c < 0x20; c++) {
		s.body[f->off + 2] = (uint8_t)c;
		expect_bad(&s, f->name);
	}
	s.body[f->off + 2] = 0x7f;
	expect_bad(&s, f->name);
}

static void
bad_ref(const struct sample *good, const struct msg_field *f)
{
	struct sample s = *good;

	memset(s.body + f->off, 0, sizeof(struct vm_ref));
	if (f->min > 0)
		expect_bad(&s, f->name);
	else
		expect_good(&s);
	s.body[f->off] = 7; /* an id is enough */
	expect_good(&s);
}

static void
bad_field(const struct sample *good, const struct msg_field *f)
{
	size_t name = f->off + offsetof(struct vm_ref, name);
	struct sample s = *good;

	switch (f->kind) {
	case FIELD_NUM:
		bad_num(good, f);
		return;
	case FIELD_BITS:
		bad_bits(good, f);
		return;
	case FIELD_TEXT:
		bad_text(good, f);
		break;
	case FIELD_NAME:
		bad_name(good, f->off, f->name);
		break;
	case FIELD_PATH:
		s.body[f->off] = '.';
		expect_bad(&s, f->name);
		break;
	case FIELD_REF:
		bad_name(good, name, f->name);
		bad_ref(good, f);
		return;
	case FIELD_STR:
		break;
	case FIELD_RULE:
		return;
	}
	memset(s.body + f->off, '/', f->bytes);
	expect_bad(&s, f->name);
	memset(s.body + f->off, 0, f->bytes);
	if (f->min == 0)
		expect_good(&s);
	else
		expect_bad(&s, f->name);
}

static void
test_fields(void)
{
	struct sample s;
	uint32_t t;
	size_t i;

	for (t = 1; t < MSG_NTYPES; t++) {
		sample_make(&s, t);
		for (i = 0; i < msg_table[t].nfields; i++)
			bad_field(&s, &msg_table[t].fields[i]);
	}
	CHECK_MSG(nbad >= 600, "only %u bad messages tried", nbad);
}

/* A row says where it lies: inside its body, and no two share a byte. */
static void
test_rows(void)
{
	const struct msg_field *f;
	const struct msg_desc *d;
	uint32_t t;
	size_t i;

	CHECK_STR(msg_name(0), "?");
	CHECK_STR(msg_name(MSG_NTYPES), "?");
	CHECK_STR(msg_name(UINT32_MAX), "?");
	CHECK_STR(msg_name(MSG_VM_ROW), "VM_ROW");
	for (t = 1; t < MSG_NTYPES; t++) {
		d = &msg_table[t];
		CHECK(d->name != NULL && d->from != 0);
		CHECK((d->kind == CHUNK) == (msg_chunk_max(t) > 0));
		for (i = 0; i < d->nfields; i++) {
			f = &d->fields[i];
			CHECK_MSG((size_t)f->off + f->bytes <= d->body_bytes,
			    "%s.%s lies outside", d->name, f->name);
			if (f->kind == FIELD_NUM || f->kind == FIELD_BITS)
				CHECK_MSG(f->bytes == 4 || f->bytes == 8,
				    "%s.%s has %u bytes", d->name, f->name,
				    f->bytes);
			if (f->kind == FIELD_RULE)
				CHECK(f->rule != NULL);
		}
	}
}

static void
test_unknown(void)
{
	const uint32_t types[] = { 0, MSG_NTYPES, MSG_NTYPES + 1, 0x7fffffff,
		UINT32_MAX };
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		CHECK_EQ(
		    msg_check(types[i], ROLE_PARENT, NULL, 0, false, &e), -1);
		CHECK_EQ(e.code, EBADMSG);
		CHECK(strstr(e.text, "unknown type") != NULL);
	}
}

/* What ties fields together, one line a case. */
static void
test_rules(void)
{
	struct sample s;
	struct msg_start *start = (void *)s.body;
	struct msg_attach *attach = (void *)s.body;
	struct msg_attached *attached = (void *)s.body;
	struct msg_gap *gap = (void *)s.body;
	struct msg_cons_peers *peers = (void *)s.body;
	struct msg_vm_spec *spec = (void *)s.body;
	struct msg_rendezvous *rdv = (void *)s.body;
	struct msg_subscribe *sub = (void *)s.body;
	struct msg_chunk *chunk = (void *)s.body;

	sample_make(&s, MSG_START);
	start->mem_bytes = 1 << 20;
	expect_bad(&s, "memory without its bit");
	start->set = START_MEMORY;
	expect_good(&s);
	start->ncpus = 2;
	expect_bad(&s, "cpus without their bit");
	start->set |= START_CPUS;
	expect_good(&s);
	start->ncpus = 0;
	expect_bad(&s, "no cpus with their bit");
	sample_make(&s, MSG_START);
	start->cmdline[0] = 'x';
	expect_bad(&s, "cmdline without its bit");
	start->set = START_CMDLINE;
	expect_good(&s);
	sample_make(&s, MSG_SUBSCRIBE);
	sub->what = SUB_FIGURES;
	sub->interval_ms = 199;
	expect_bad(&s, "interval");
	sub->interval_ms = 200;
	expect_good(&s);
	sample_make(&s, MSG_CONS_ATTACH);
	attach->from = 1;
	expect_bad(&s, "from without its flag");
	attach->flags = CONS_FROM;
	expect_good(&s);
	attach->flags |= CONS_NOREPLAY;
	expect_bad(&s, "from and no replay");
	sample_make(&s, MSG_CONS_ATTACHED);
	attached->start = 2;
	attached->end = 1;
	expect_bad(&s, "start after end");
	sample_make(&s, MSG_CONS_GAP);
	gap->off = UINT64_MAX;
	expect_bad(&s, "gap over 64 bits");
	sample_make(&s, MSG_CONS_PEERS);
	peers->n = 2;
	peers->peer[1].writer = 2;
	expect_bad(&s, "writer");
	peers->n = 1;
	expect_good(&s);
	sample_make(&s, MSG_VM_NEW);
	spec->mem_bytes++;
	expect_bad(&s, "memory of odd size");
	sample_make(&s, MSG_VM_NEW);
	spec->console_bytes++;
	expect_bad(&s, "console of odd size");
	sample_make(&s, MSG_RENDEZVOUS);
	rdv->role = ROLE_CLIENT;
	expect_bad(&s, "role");
	rdv->role = ROLE_VMM | ROLE_CONTROL;
	expect_bad(&s, "two roles");
	sample_make(&s, MSG_CONS_INPUT);
	chunk->off = 1;
	expect_bad(&s, "offset of input");
	sample_make(&s, MSG_CONS_DATA);
	chunk->off = UINT64_MAX;
	expect_good(&s);
	sample_make(&s, MSG_LOG);
	s.body[s.len - 1] = '\0';
	expect_bad(&s, "NUL in a line");
}

static void
test_names(void)
{
	uint32_t i;

	CHECK_STR(vm_state_name(VM_RUNNING), "running");
	for (i = 0; i < VM_NSTATES; i++)
		CHECK(strcmp(vm_state_name(i), "?") != 0);
	CHECK_STR(vm_state_name(VM_NSTATES), "?");
	CHECK_STR(vm_state_name(UINT32_MAX), "?");
	for (i = 0; i < STEP_N; i++)
		CHECK(strcmp(start_step_name(i), "?") != 0);
	CHECK_STR(start_step_name(STEP_N), "?");
	for (i = 0; i <= EXIT_OTHER; i++)
		CHECK(strcmp(exit_kind_name(i), "?") != 0);
	CHECK_STR(exit_kind_name(EXIT_OTHER + 1), "?");
	CHECK_STR(exit_kind_name(UINT32_MAX), "?");
}

static void
test_ref_parse(void)
{
	static const char *const bad[] = { "", "0", "4294967296",
		"99999999999999999999", "-1", "+1", " 1", "a b", "1/2", "../x",
		"a\033", "_a" };
	char name[VM_NAME_BYTES + 1];
	struct vm_ref r;
	struct err e;
	size_t i;

	CHECK_EQ(vm_ref_parse(&r, "7", &e), 0);
	CHECK(r.id == 7 && r.name[0] == '\0');
	CHECK_EQ(vm_ref_parse(&r, "4294967295", &e), 0);
	CHECK_EQ(r.id, UINT32_MAX);
	CHECK_EQ(vm_ref_parse(&r, "7up", &e), 0);
	CHECK(r.id == 0 && strcmp(r.name, "7up") == 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.text[0] = '\0';
		CHECK_MSG(
		    vm_ref_parse(&r, bad[i], &e) == -1 && e.text[0] != '\0',
		    "\"%s\" was taken", bad[i]);
	}
	memset(name, 'a', sizeof(name));
	name[VM_NAME_BYTES - 1] = '\0';
	CHECK_EQ(vm_ref_parse(&r, name, &e), 0);
	CHECK_STR(r.name, name);
	name[VM_NAME_BYTES - 1] = 'a';
	name[VM_NAME_BYTES] = '\0';
	CHECK_EQ(vm_ref_parse(&r, name, &e), -1);
}

static void
test_err_body(void)
{
	struct err a, b;
	struct msg_err m;

	memset(&a, 'x', sizeof(a));
	a.code = ENOENT;
	msg_from_err(&m, &a); /* not even the NUL of its source is trusted */
	CHECK_EQ(m.text[ERR_TEXT_BYTES - 1], '\0');
	err_set(&a, ENOENT, "no vm named web");
	msg_from_err(&m, &a);
	msg_to_err(&m, &b);
	CHECK_EQ(b.code, ENOENT);
	CHECK_STR(b.text, a.text);
	err_clear(&a);
	msg_from_err(&m, &a);
	msg_to_err(&m, &b);
	CHECK(b.code == 0 && b.text[0] == '\0');
	memset(m.text, '\033', sizeof(m.text));
	msg_to_err(&m, &b);
	CHECK(strchr(b.text, '\033') == NULL);
}

static const struct tap_case cases[] = {
	{ "T63 proto every good message is taken", test_good },
	{ "T63 proto length exact", test_length },
	{ "T63 proto chunk length exact", test_chunk_length },
	{ "T63 proto sender as the table says", test_sender },
	{ "T63 proto fd as the table says", test_fd },
	{ "T63 proto each bad field", test_fields },
	{ "T63 proto rules between fields", test_rules },
	{ "T63 proto unknown types", test_unknown },
	{ "proto rows lie in their bodies", test_rows },
	{ "proto names", test_names },
	{ "proto vm_ref_parse", test_ref_parse },
	{ "proto err to body and back", test_err_body },
};

TAP_MAIN(cases)
