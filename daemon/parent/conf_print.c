/* SPDX-License-Identifier: ISC */
/*
 * struct conf as vm.conf(5), in canonical form: what is not the default, and
 * of every VM its memory and cpus.  Parsing it gives an equal struct conf.
 *
 * Runs in: parent, and vmd -n.
 */
#include <arpa/inet.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/parent/conf_int.h"

/* See lex_quoted(): what a backslash would change gets another one. */
static void
put_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || (*s == '\\' && (s[1] == ' ' || s[1] == '\t')))
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

/* Without quotes where the lexer takes it so. */
static void
put_word(FILE *f, const char *s)
{
	size_t i;

	for (i = 0; isalnum((unsigned char)s[i]) ||
	     (s[i] != '\0' && strchr("._:-", s[i]) != NULL);
	     i++)
		;
	if (i == 0 || s[i] != '\0' || cp_reserved(s))
		put_string(f, s);
	else
		fputs(s, f);
}

const char *
conf_size_text(char *buf, size_t bytes, uint64_t n)
{
	static const char units[] = "BKMGTPE";
	unsigned i;

	for (i = 0; n >= 1024 && n % 1024 == 0; i++)
		n /= 1024;
	snprintf(buf, bytes, "%" PRIu64 "%.1s", n, i == 0 ? "" : units + i);
	return (buf);
}

static void
put_owner(FILE *f, const struct conf_owner *o)
{
	char text[2 * CONF_LOGIN_BYTES + 32], uid[12] = "", gid[12] = "";

	/* :group leaves the user to be root. */
	if (o->user[0] == '\0' && (o->uid != 0 || o->gid == CONF_NONE))
		snprintf(uid, sizeof(uid), "%" PRIu32, o->uid);
	if (o->group[0] == '\0' && o->gid != CONF_NONE)
		snprintf(gid, sizeof(gid), "%" PRIu32, o->gid);
	snprintf(text, sizeof(text), "%s%s%s%s%s", o->user, uid,
	    o->gid == CONF_NONE ? "" : ":", o->group, gid);
	put_word(f, text);
}

static void
put_lladdr(FILE *f, const uint8_t a[6])
{
	fprintf(f, "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3],
	    a[4], a[5]);
}

/* ---- plain keys ---- */

static bool
is_default(const struct conf_key *k, const char *field)
{
	const struct conf_owner *o;

	switch (k->type) {
	case CONF_FLAG:
		return (*(const bool *)field == (k->def != 0));
	case CONF_CHOICE:
		return (*(const uint8_t *)field == k->def);
	case CONF_NUM:
		return (*(const uint32_t *)(const void *)field == k->def);
	case CONF_SIZE:
		return (*(const uint64_t *)(const void *)field == k->def);
	case CONF_OWNER:
		o = (const struct conf_owner *)(const void *)field;
		return (o->uid == 0 && o->gid == k->def);
	case CONF_SPECIAL:
		return (true);
	default:
		return (strcmp(field, k->sdef == NULL ? "" : k->sdef) == 0);
	}
}

static void
put_value(FILE *f, const struct conf_key *k, const char *field)
{
	char text[CONF_SIZE_BYTES];

	switch (k->type) {
	case CONF_FLAG:
	case CONF_SPECIAL:
		return;
	case CONF_CHOICE:
		fputs(k->choices[*(const uint8_t *)field - k->min], f);
		return;
	case CONF_NUM:
		fprintf(f, "%" PRIu32, *(const uint32_t *)(const void *)field);
		return;
	case CONF_SIZE:
		fputs(conf_size_text(text, sizeof(text),
			  *(const uint64_t *)(const void *)field),
		    f);
		return;
	case CONF_OWNER:
		put_owner(f, (const struct conf_owner *)(const void *)field);
		return;
	default:
		put_string(f, field);
		return;
	}
}

/* A flag's row speaks for one of its two values only. */
static bool
flag_fits(const struct conf_key *k, const char *field)
{
	return (k->type != CONF_FLAG || *(const bool *)field == (k->min != 0));
}

/* "before key value"; force: even if it is the default. */
static bool
put_key(FILE *f, const char *before, const struct conf_key *k,
    const void *object, bool force)
{
	const char *field = (const char *)object + k->field;

	if (k->type == CONF_SPECIAL || !flag_fits(k, field) ||
	    (!force && is_default(k, field)))
		return (false);
	fprintf(f, "%s%s", before, k->name);
	if (k->type != CONF_FLAG)
		fputc(' ', f);
	put_value(f, k, field);
	return (true);
}

/* ---- interfaces, disks, rights ---- */

static void
put_nic(FILE *f, const struct conf_nic *nic)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_IF];
	size_t i;

	fprintf(f, "\t%sinterface", nic->local ? "local " : "");
	if (nic->tap[0] != '\0')
		fprintf(f, " %s", nic->tap);
	for (i = 0; i < keys->nrows; i++)
		put_key(f, " ", &keys->rows[i], nic, false);
	if (nic->locked || nic->has_lladdr)
		fprintf(f, "%s lladdr", nic->locked ? " locked" : "");
	if (nic->has_lladdr) {
		fputc(' ', f);
		put_lladdr(f, nic->lladdr);
	}
	fputc('\n', f);
}

static void
put_nics(FILE *f, const struct conf_vm *vm)
{
	unsigned i;

	for (i = 0; i < vm->nnics; i++)
		put_nic(f, &vm->nics[i]);
}

static void
put_disks(FILE *f, const struct conf_vm *vm)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_DISK];
	unsigned i;
	size_t k;

	for (i = 0; i < vm->ndisks; i++) {
		fputs("\tdisk ", f);
		put_string(f, vm->disks[i].path);
		for (k = 0; k < keys->nrows; k++)
			put_key(f, " ", &keys->rows[k], &vm->disks[i], false);
		fputc('\n', f);
	}
}

static void
put_shares(FILE *f, const struct conf_vm *vm)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_SHARE];
	unsigned i;
	size_t k;

	for (i = 0; i < vm->nshares; i++) {
		fputs("\tshare ", f);
		put_string(f, vm->shares[i].path);
		for (k = 0; k < keys->nrows; k++)
			put_key(f, " ", &keys->rows[k], &vm->shares[i], false);
		fputc('\n', f);
	}
}

static void
put_allow(FILE *f, const struct conf_vm *vm)
{
	const char *sep = "";
	unsigned i;

	if (vm->allow == 0)
		return;
	fputs("\tallow instance { ", f);
	for (i = 0; i < CONF_NRIGHTS; i++)
		if (vm->allow & CONF_ALLOW_BOOT << i) {
			fprintf(f, "%s%s", sep, conf_rights[i]);
			sep = ", ";
		}
	if (vm->allow & CONF_ALLOW_OWNER) {
		fprintf(f, "%sowner ", sep);
		put_owner(f, &vm->allow_owner);
	}
	fputs(" }\n", f);
}

/* ---- vm, switch ---- */

static void
put_vm_special(FILE *f, const char *key, const struct conf_vm *vm)
{
	if (strcmp(key, "disk") == 0)
		put_disks(f, vm);
	else if (strcmp(key, "share") == 0)
		put_shares(f, vm);
	else if (strcmp(key, "interface") == 0)
		put_nics(f, vm); /* local ones too: their order counts */
	else if (strcmp(key, "allow instance") == 0)
		put_allow(f, vm);
}

void
conf_print_vm(FILE *f, const struct conf_vm *vm)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_VM];
	const bool instance = vm->instance[0] != '\0';
	const struct conf_key *k;
	bool force;
	size_t i;

	fputs("vm ", f);
	if (instance) {
		put_string(f, vm->instance);
		fputs(" instance ", f);
	}
	put_string(f, vm->name);
	fputs(" {\n", f);
	for (i = 0; i < keys->nrows; i++) {
		k = &keys->rows[i];
		/* An instance inherits what is not said. */
		if (instance)
			force = (vm->set >> i & 1) != 0;
		else
			force = k->field == offsetof(struct conf_vm, memory) ||
			    k->field == offsetof(struct conf_vm, cpus);
		if (k->type == CONF_SPECIAL)
			put_vm_special(f, k->name, vm);
		else if (put_key(f, "\t", k, vm, force))
			fputc('\n', f);
	}
	fputs("}\n", f);
}

void
conf_print_vm_ids(FILE *f, const struct conf_vm *vm)
{
	struct conf_vm copy = *vm;

	copy.owner.user[0] = copy.owner.group[0] = '\0';
	copy.allow_owner.user[0] = copy.allow_owner.group[0] = '\0';
	conf_print_vm(f, &copy);
}

static void
put_switch(FILE *f, const struct conf_switch *sw)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_SWITCH];
	size_t i;

	fputs("switch ", f);
	put_string(f, sw->name);
	fputs(" {\n", f);
	for (i = 0; i < keys->nrows; i++)
		if (put_key(f, "\t", &keys->rows[i], sw, false))
			fputc('\n', f);
	fputs("}\n", f);
}

/* ---- global ---- */

static void
put_prefixes(FILE *f, const struct conf *c)
{
	const uint32_t be = htonl(c->prefix);
	char text[INET6_ADDRSTRLEN];

	if (c->prefix != CONF_PREFIX || c->prefix_len != CONF_PREFIX_LEN)
		fprintf(f, "local prefix %s/%u\n",
		    inet_ntop(AF_INET, &be, text, sizeof(text)), c->prefix_len);
	if (!c->inet6)
		return;
	fputs("local inet6", f);
	if (c->has_prefix6)
		fprintf(f, " prefix %s/%u",
		    inet_ntop(AF_INET6, c->prefix6, text, sizeof(text)),
		    c->prefix6_len);
	fputc('\n', f);
}

static void
put_agentx(FILE *f, const struct conf *c)
{
	if (!c->agentx)
		return;
	fputs("agentx", f);
	if (c->agentx_context[0] != '\0') {
		fputs(" context ", f);
		put_string(f, c->agentx_context);
	}
	if (strcmp(c->agentx_path, CONF_AGENTX) != 0) {
		fputs(" path ", f);
		put_string(f, c->agentx_path);
	}
	fputc('\n', f);
}

static void
put_global_special(FILE *f, const char *key, const struct conf *c)
{
	if (strcmp(key, "user range") == 0) {
		if (c->uid_first != CONF_UID_FIRST ||
		    c->uid_last != CONF_UID_LAST)
			fprintf(f, "user range %" PRIu32 " - %" PRIu32 "\n",
			    c->uid_first, c->uid_last);
	} else if (strcmp(key, "staggered start") == 0) {
		if (c->staggered)
			fprintf(f,
			    "staggered start parallel %" PRIu32
			    " delay %" PRIu32 "\n",
			    c->parallel, c->delay);
	} else if (strcmp(key, "local prefix") == 0)
		put_prefixes(f, c);
	else if (strcmp(key, "agentx") == 0)
		put_agentx(f, c);
}

void
conf_print(FILE *f, const struct conf *c)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_GLOBAL];
	const struct conf_key *k;
	size_t i;

	for (i = 0; i < keys->nrows; i++) {
		k = &keys->rows[i];
		if (k->type == CONF_SPECIAL)
			put_global_special(f, k->name, c);
		else if (put_key(f, "", k, c, false))
			fputc('\n', f);
	}
	for (i = 0; i < c->nswitches; i++)
		put_switch(f, &c->switches[i]);
	for (i = 0; i < c->nvms; i++)
		conf_print_vm(f, &c->vms[i]);
}
