/* SPDX-License-Identifier: ISC */
/*
 * The vm block of vm.conf(5): what has a grammar of its own in it.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <ctype.h>
#include <string.h>

#include "daemon/parent/conf_int.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NEVER_CLOSED "this \"{\" is never closed"

/* After an error in a list in braces: to the next element or the end. */
static void
skip_in_braces(struct conf_parser *p)
{
	while (p->lx.tok != TOK_EOF && p->lx.tok != TOK_NL &&
	    !cp_is_punct(p, ',') && !cp_is_punct(p, '}'))
		lex_next(&p->lx);
}

/* ---- vm ---- */

static const struct conf_vm *
vm_template(struct conf_parser *p, const char *name)
{
	const struct conf_vm *vm = conf_vm_find(p->conf, name);

	if (vm == NULL && p->env->base != NULL)
		vm = conf_vm_find(p->env->base, name);
	return (vm);
}

/* An instance must not share what only one VM can have. */
static int
vm_check_instance(struct conf_parser *p, const struct conf_vm *vm,
    const struct conf_vm *tmpl, const struct lex_pos *at)
{
	const struct conf_nic *a, *b;
	unsigned i, j;

	for (i = 0; i < vm->ndisks; i++)
		for (j = 0; j < tmpl->ndisks; j++)
			if (strcmp(vm->disks[i].path, tmpl->disks[j].path) == 0)
				return (cp_error(p, at,
				    "vm \"%s\" has a disk "
				    "of its template \"%s\"; give it one of its"
				    " own",
				    vm->name, tmpl->name));
	for (i = 0; i < vm->nnics; i++)
		for (j = 0; j < tmpl->nnics; j++) {
			a = &vm->nics[i];
			b = &tmpl->nics[j];
			if (a->has_lladdr && b->has_lladdr &&
			    memcmp(a->lladdr, b->lladdr, 6) == 0)
				return (cp_error(p, at,
				    "vm \"%s\" has an "
				    "lladdr of its template \"%s\"; give it one"
				    " of its own",
				    vm->name, tmpl->name));
			if (a->tap[0] != '\0' && strcmp(a->tap, b->tap) == 0)
				return (cp_error(p, at,
				    "vm \"%s\" has %s of "
				    "its template \"%s\"; give it one of its "
				    "own",
				    vm->name, a->tap, tmpl->name));
		}
	return (0);
}

/* A template may bring the kernel, so this is for other VMs only. */
static int
vm_check_kernel(
    struct conf_parser *p, const struct conf_vm *vm, const struct lex_pos *at)
{
	if (vm->boot[0] != '\0' ||
	    (vm->initrd[0] == '\0' && vm->cmdline[0] == '\0'))
		return (0);
	return (cp_error(p, at,
	    "vm \"%s\" has \"%s\" but no kernel; add "
	    "\"boot PATH\"",
	    vm->name, vm->initrd[0] != '\0' ? "initrd" : "cmdline"));
}

static void
nic_init(struct conf_nic *nic)
{
	memset(nic, 0, sizeof(*nic));
	conf_defaults(CONF_SCOPE_IF, nic);
}

/* "interfaces N" is a least number: plain ones make it up. */
static void
vm_fill_nics(struct conf_parser *p, struct conf_vm *vm)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_VM];
	const struct conf_key *k = conf_key_find(CONF_SCOPE_VM, "interface");

	while (vm->nnics < p->nics_min) {
		nic_init(&vm->nics[vm->nnics++]);
		vm->set |= (uint64_t)1 << (k - keys->rows);
	}
}

/* NAME [instance NAME]: with two names the first is the template. */
static int
vm_names(struct conf_parser *p, char *name, char *tmpl, struct lex_pos *at)
{
	struct lex_pos tmpl_at;

	if (cp_name(p, "vm name", name, at) == -1)
		return (-1);
	if (!cp_is_word(p, "instance"))
		return (0);
	lex_next(&p->lx);
	memcpy(tmpl, name, CONF_NAME_BYTES);
	tmpl_at = *at;
	if (cp_name(p, "vm name", name, at) == -1)
		return (-1);
	if (vm_template(p, tmpl) == NULL)
		return (cp_error(p, &tmpl_at,
		    "template \"%s\" is not defined "
		    "above",
		    tmpl));
	return (0);
}

int
stmt_vm(struct conf_parser *p)
{
	char name[CONF_NAME_BYTES] = "", tmpl[CONF_NAME_BYTES] = "";
	struct conf *c = p->target;
	struct conf_vm *list;
	struct lex_pos at;
	unsigned nerrors;

	if (vm_names(p, name, tmpl, &at) == -1)
		return (-1);
	if (conf_vm_find(c, name) != NULL)
		return (cp_error(p, &at,
		    "vm \"%s\" is defined twice; give one "
		    "another name",
		    name));
	if (c->nvms == CONF_VMS_MAX)
		return (cp_error(p, &at, "more than %d VMs", CONF_VMS_MAX));
	list = cp_grow(c->vms, c->nvms, sizeof(*list));
	if (list == NULL)
		return (cp_nomem(p));
	c->vms = list;
	list += c->nvms++;
	conf_vm_init(list);
	memcpy(list->name, name, sizeof(list->name));
	memcpy(list->instance, tmpl, sizeof(list->instance));
	p->nics_min = 0;
	nerrors = p->nerrors;
	if (cp_block(p, CONF_SCOPE_VM, list) == -1)
		return (-1);
	vm_fill_nics(p, list);
	if (nerrors != p->nerrors)
		return (0);
	if (tmpl[0] == '\0')
		return (vm_check_kernel(p, list, &at));
	return (vm_check_instance(p, list, vm_template(p, tmpl), &at));
}

int
stmt_interfaces(struct conf_parser *p)
{
	uint64_t n;

	if (cp_number(p, "interfaces", 0, p->key->max, &n) == -1)
		return (-1);
	p->nics_min = (unsigned)n;
	return (0);
}

/* ---- interface ---- */

/* "tap" is the next free one, "tapN" that one. */
static int
nic_tap(struct conf_parser *p, struct conf_nic *nic)
{
	char word[CONF_IFNAME_BYTES];
	struct lex_pos at;
	const char *s;

	if (p->lx.tok != TOK_STRING &&
	    (p->lx.tok != TOK_WORD || cp_reserved(p->lx.text)))
		return (0);
	if (cp_token(p, "interface name", word, sizeof(word), &at) == -1)
		return (-1);
	if (strncmp(word, "tap", 3) == 0) {
		for (s = word + 3; isdigit((unsigned char)*s); s++)
			;
		if (*s == '\0') {
			if (s > word + 3)
				memcpy(nic->tap, word, sizeof(word));
			return (0);
		}
	}
	return (cp_error(p, &at,
	    "interface \"%s\" must be \"tap\" or \"tap\" "
	    "and a number",
	    word));
}

static int
nic_ref(struct conf_parser *p, const struct lex_pos *at, uint8_t nic)
{
	struct conf_ref *list;

	list = cp_grow(p->refs, p->nrefs, sizeof(*list));
	if (list == NULL)
		return (cp_nomem(p));
	p->refs = list;
	p->refs[p->nrefs++] =
	    (struct conf_ref){ .at = *at, .vm = p->conf->nvms - 1, .nic = nic };
	return (0);
}

/* Settings on the line, or in braces with anything between them. */
static int
sub_options(struct conf_parser *p, const struct lex_pos *open, bool braces)
{
	int r = 0;

	for (;;) {
		while (cp_is_punct(p, ',') || (braces && p->lx.tok == TOK_NL))
			lex_next(&p->lx);
		if (braces && cp_is_punct(p, '}')) {
			lex_next(&p->lx);
			return (r);
		}
		if (!braces && (p->lx.tok != TOK_WORD))
			return (0);
		if (p->lx.tok == TOK_EOF)
			return (cp_error(p, open, NEVER_CLOSED));
		if (cp_option(p) == 0)
			continue;
		if (!braces)
			return (-1);
		r = -1;
		skip_in_braces(p);
	}
}

static int
nic_parse(struct conf_parser *p, bool local)
{
	struct conf_vm *vm = p->target;
	const struct lex_pos key_at = p->key_at;
	const uint64_t seen = p->seen;
	const struct conf_key *key = p->key;
	struct lex_pos open;
	struct conf_nic *nic;
	bool braces;
	int r;

	if (vm->nnics == CONF_NICS_MAX)
		return (cp_error(p, &key_at,
		    "vm \"%s\" has more than %d "
		    "interfaces",
		    vm->name, CONF_NICS_MAX));
	nic = &vm->nics[vm->nnics];
	nic_init(nic);
	nic->local = local;
	if (nic_tap(p, nic) == -1)
		return (-1);
	vm->nnics++;
	open = p->lx.at;
	if ((braces = cp_is_punct(p, '{')))
		lex_next(&p->lx);
	p->scope = CONF_SCOPE_IF;
	p->target = nic;
	p->seen = 0;
	r = sub_options(p, &open, braces);
	p->scope = CONF_SCOPE_VM;
	p->target = vm;
	p->seen = seen;
	p->key = key;
	if (r == 0 && nic->sw[0] != '\0')
		r = nic_ref(p, &key_at, (uint8_t)(vm->nnics - 1));
	return (r);
}

/* ---- disk ---- */

static int
disk_parse(struct conf_parser *p, struct conf_vm *vm, struct conf_disk *d)
{
	conf_disk_init(d);
	if (cp_path(p, "disk", false, d->path, sizeof(d->path)) == -1)
		return (-1);
	vm->ndisks++;
	return (sub_options(p, &p->lx.at, false));
}

/* PATH and its settings, on one line. */
int
stmt_disk(struct conf_parser *p)
{
	struct conf_vm *vm = p->target;
	const struct conf_key *key = p->key;
	const uint64_t seen = p->seen;
	int r;

	if (vm->ndisks == CONF_DISKS_MAX)
		return (cp_error(p, &p->key_at,
		    "vm \"%s\" has more than %d "
		    "disks",
		    vm->name, CONF_DISKS_MAX));
	p->scope = CONF_SCOPE_DISK;
	p->target = &vm->disks[vm->ndisks];
	p->seen = 0;
	r = disk_parse(p, vm, &vm->disks[vm->ndisks]);
	p->scope = CONF_SCOPE_VM;
	p->target = vm;
	p->seen = seen;
	p->key = key;
	return (r);
}

/* ---- share ---- */

/* Two in one guest would have it mount either. */
static int
share_check(struct conf_parser *p, const struct conf_vm *vm,
    const struct conf_share *s, const struct lex_pos *at)
{
	const struct conf_share *o;

	if (s->tag[0] == '\0')
		return (cp_error(p, at,
		    "share \"%s\" needs a \"tag\", which the guest mounts it "
		    "by",
		    s->path));
	for (o = vm->shares; o < s; o++)
		if (strcmp(o->tag, s->tag) == 0)
			return (cp_error(p, at,
			    "vm \"%s\" has two shares with the tag \"%s\"",
			    vm->name, s->tag));
	return (0);
}

static int
share_parse(struct conf_parser *p, struct conf_vm *vm, struct conf_share *s)
{
	const struct lex_pos at = p->key_at;

	memset(s, 0, sizeof(*s));
	conf_defaults(CONF_SCOPE_SHARE, s);
	if (cp_path(p, "share", false, s->path, sizeof(s->path)) == -1)
		return (-1);
	vm->nshares++;
	if (sub_options(p, &p->lx.at, false) == -1)
		return (-1);
	return (share_check(p, vm, s, &at));
}

/* PATH, its tag, and its settings, on one line. */
int
stmt_share(struct conf_parser *p)
{
	struct conf_vm *vm = p->target;
	const struct conf_key *key = p->key;
	const uint64_t seen = p->seen;
	int r;

	if (vm->nshares == CONF_SHARES_MAX)
		return (
		    cp_error(p, &p->key_at, "vm \"%s\" has more than %d shares",
			vm->name, CONF_SHARES_MAX));
	p->scope = CONF_SCOPE_SHARE;
	p->target = &vm->shares[vm->nshares];
	p->seen = 0;
	r = share_parse(p, vm, &vm->shares[vm->nshares]);
	p->scope = CONF_SCOPE_VM;
	p->target = vm;
	p->seen = seen;
	p->key = key;
	return (r);
}

int
stmt_interface(struct conf_parser *p)
{
	return (nic_parse(p, false));
}

int
stmt_local_interface(struct conf_parser *p)
{
	return (nic_parse(p, true));
}

/* [MAC]: without one an address is made. */
int
stmt_lladdr(struct conf_parser *p)
{
	struct conf_nic *nic = p->target;

	if (p->lx.tok != TOK_STRING &&
	    (p->lx.tok != TOK_WORD || cp_reserved(p->lx.text)))
		return (0);
	if (cp_lladdr(p, nic->lladdr) == -1)
		return (-1);
	nic->has_lladdr = true;
	return (0);
}

int
stmt_locked_lladdr(struct conf_parser *p)
{
	struct conf_nic *nic = p->target;

	nic->locked = true;
	return (stmt_lladdr(p));
}

/* ---- allow instance ---- */

const char *const conf_rights[CONF_NRIGHTS] = { "boot", "memory", "interface",
	"disk", "cdrom", "instance" };

static int
allow_right(struct conf_parser *p, struct conf_vm *vm)
{
	size_t i;

	if (cp_is_word(p, "owner")) {
		lex_next(&p->lx);
		vm->allow |= CONF_ALLOW_OWNER;
		return (cp_owner(p, &vm->allow_owner));
	}
	for (i = 0; i < CONF_NRIGHTS; i++)
		if (cp_is_word(p, conf_rights[i])) {
			vm->allow |= CONF_ALLOW_BOOT << i;
			lex_next(&p->lx);
			return (0);
		}
	return (cp_expected(p,
	    "\"boot\", \"memory\", \"interface\", \"disk\", "
	    "\"cdrom\", \"instance\" or \"owner\""));
}

/* One right, or several in braces. */
int
stmt_allow(struct conf_parser *p)
{
	const struct lex_pos open = p->lx.at;
	struct conf_vm *vm = p->target;
	int r = 0;

	if (!cp_is_punct(p, '{'))
		return (allow_right(p, vm));
	lex_next(&p->lx);
	for (;;) {
		while (cp_is_punct(p, ',') || p->lx.tok == TOK_NL)
			lex_next(&p->lx);
		if (p->lx.tok == TOK_EOF)
			return (cp_error(p, &open, NEVER_CLOSED));
		if (cp_is_punct(p, '}'))
			break;
		if (allow_right(p, vm) == -1) {
			r = -1;
			skip_in_braces(p);
		}
	}
	lex_next(&p->lx);
	if (r == 0 && vm->allow == 0)
		return (cp_error(p, &open,
		    "\"allow instance\" names no "
		    "right"));
	return (r);
}
