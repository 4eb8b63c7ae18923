/* SPDX-License-Identifier: ISC */
/*
 * The statements of vm.conf(5) with a grammar of their own: the CONF_SPECIAL
 * rows of conf_keys, one function each.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <sys/socket.h>

#include <ctype.h>
#include <stdlib.h>
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

/* ---- global ---- */

static int
stmt_include(struct conf_parser *p)
{
	return (cp_string(p, "the file to include", p->include,
	    sizeof(p->include), &p->include_at));
}

/* "FIRST - LAST"; blanks make no difference. */
static int
stmt_user_range(struct conf_parser *p)
{
	const struct conf_key *k = p->key;
	unsigned long long first, last;
	struct conf *c = p->target;
	char word[48], *end;

	if (cp_string(p, "a range of user ids", word, sizeof(word),
		&p->range_at) == -1)
		return (-1);
	first = strtoull(word, &end, 10);
	if (!isdigit((unsigned char)word[0]) || *end++ != '-' ||
	    !isdigit((unsigned char)*end))
		return (cp_error(p, &p->range_at,
		    "user range must be two numbers, FIRST - LAST"));
	last = strtoull(end, &end, 10);
	if (*end != '\0' || first > last)
		return (cp_error(p, &p->range_at,
		    "user range must be two numbers, the smaller one first"));
	if (first < k->min || last > k->max)
		return (cp_error(p, &p->range_at,
		    "user range must be within "
		    "%llu - %llu",
		    (unsigned long long)k->min, (unsigned long long)k->max));
	/* nobody, and the 16-bit "no id". */
	if (first <= 65535 && last >= 65534)
		return (cp_error(p, &p->range_at,
		    "user range must leave out 65534 and 65535"));
	c->uid_first = (uint32_t)first;
	c->uid_last = (uint32_t)last;
	return (0);
}

/* parallel NUM delay NUM */
static int
stmt_staggered(struct conf_parser *p)
{
	struct conf *c = p->target;
	uint64_t parallel, delay;

	if (!cp_is_word(p, "parallel"))
		return (cp_expected(p, "\"parallel\""));
	lex_next(&p->lx);
	if (cp_number(p, "parallel", p->key->min, p->key->max, &parallel) == -1)
		return (-1);
	if (!cp_is_word(p, "delay"))
		return (cp_expected(p, "\"delay\""));
	lex_next(&p->lx);
	if (cp_number(p, "delay", 0, 86400, &delay) == -1)
		return (-1);
	c->staggered = true;
	c->parallel = (uint32_t)parallel;
	c->delay = (uint32_t)delay;
	return (0);
}

static int
stmt_local_prefix(struct conf_parser *p)
{
	struct conf *c = p->target;
	uint8_t a[4];

	if (cp_prefix(p, AF_INET, a, &c->prefix_len) == -1)
		return (-1);
	c->prefix = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 |
	    (uint32_t)a[2] << 8 | a[3];
	return (0);
}

/* [prefix ADDR/LEN] */
static int
stmt_local_inet6(struct conf_parser *p)
{
	struct conf *c = p->target;

	c->inet6 = true;
	if (!cp_is_word(p, "prefix"))
		return (0);
	lex_next(&p->lx);
	if (cp_prefix(p, AF_INET6, c->prefix6, &c->prefix6_len) == -1)
		return (-1);
	c->has_prefix6 = true;
	return (0);
}

/* [context STR] [path STR] in either order */
static int
stmt_agentx(struct conf_parser *p)
{
	struct conf *c = p->target;
	bool context = false, path = false;

	c->agentx = true;
	for (;;) {
		if (!context && cp_is_word(p, "context")) {
			context = true;
			lex_next(&p->lx);
			if (cp_string(p, "agentx context", c->agentx_context,
				sizeof(c->agentx_context), NULL) == -1)
				return (-1);
		} else if (!path && cp_is_word(p, "path")) {
			path = true;
			lex_next(&p->lx);
			if (cp_path(p, "agentx path", true, c->agentx_path,
				sizeof(c->agentx_path)) == -1)
				return (-1);
		} else
			return (0);
	}
}

/*
 * Room for one more in an array of n that has a power of two of them; NULL
 * without memory.
 */
static void *
array_grow(void *list, size_t n, size_t bytes)
{
	if ((n & (n - 1)) != 0)
		return (list);
	return (reallocarray(list, n == 0 ? 1 : 2 * n, bytes));
}

/* ---- switch ---- */

static void
switch_init(struct conf_switch *sw, const char *name)
{
	memset(sw, 0, sizeof(*sw));
	memcpy(sw->name, name, CONF_NAME_BYTES);
	conf_defaults(CONF_SCOPE_SWITCH, sw);
}

static int
stmt_switch(struct conf_parser *p)
{
	char name[CONF_NAME_BYTES] = "";
	struct conf *c = p->target;
	struct conf_switch *list;
	struct lex_pos at;
	unsigned nerrors;

	if (cp_name(p, "switch name", name, &at) == -1)
		return (-1);
	if (conf_switch_find(c, name) != NULL)
		return (cp_error(p, &at,
		    "switch \"%s\" is defined twice; give "
		    "one another name",
		    name));
	if (c->nswitches == CONF_SWITCHES_MAX)
		return (cp_error(
		    p, &at, "more than %d switches", CONF_SWITCHES_MAX));
	list = array_grow(c->switches, c->nswitches, sizeof(*list));
	if (list == NULL)
		return (cp_nomem(p));
	c->switches = list;
	list += c->nswitches++;
	switch_init(list, name);
	nerrors = p->nerrors;
	if (cp_block(p, CONF_SCOPE_SWITCH, list) == -1)
		return (-1);
	if (list->ifname[0] == '\0' && nerrors == p->nerrors)
		return (cp_error(
		    p, &at, "switch \"%s\" needs an \"interface\"", name));
	return (0);
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

static int
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
	list = array_grow(c->vms, c->nvms, sizeof(*list));
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

/* PATH [format (raw|qcow2)] */
static int
stmt_disk(struct conf_parser *p)
{
	static const char *const formats[] = { "raw", "qcow2" };
	struct conf_vm *vm = p->target;
	struct conf_disk *d;
	size_t i;

	if (vm->ndisks == CONF_DISKS_MAX)
		return (cp_error(p, &p->key_at,
		    "vm \"%s\" has more than %d "
		    "disks",
		    vm->name, CONF_DISKS_MAX));
	d = &vm->disks[vm->ndisks];
	d->format = CONF_FORMAT_AUTO;
	if (cp_path(p, "disk", false, d->path, sizeof(d->path)) == -1)
		return (-1);
	vm->ndisks++;
	if (!cp_is_word(p, "format"))
		return (0);
	lex_next(&p->lx);
	for (i = 0; i < COUNT(formats); i++)
		if ((p->lx.tok == TOK_WORD || p->lx.tok == TOK_STRING) &&
		    strcmp(p->lx.text, formats[i]) == 0) {
			d->format = (uint8_t)(CONF_FORMAT_RAW + i);
			lex_next(&p->lx);
			return (0);
		}
	return (cp_expected(p, "\"raw\" or \"qcow2\""));
}

static int
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

	list = array_grow(p->refs, p->nrefs, sizeof(*list));
	if (list == NULL)
		return (cp_nomem(p));
	p->refs = list;
	p->refs[p->nrefs++] =
	    (struct conf_ref){ .at = *at, .vm = p->conf->nvms - 1, .nic = nic };
	return (0);
}

/* Settings on the line, or in braces with anything between them. */
static int
nic_options(struct conf_parser *p, const struct lex_pos *open, bool braces)
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
	r = nic_options(p, &open, braces);
	p->scope = CONF_SCOPE_VM;
	p->target = vm;
	p->seen = seen;
	p->key = key;
	if (r == 0 && nic->sw[0] != '\0')
		r = nic_ref(p, &key_at, (uint8_t)(vm->nnics - 1));
	return (r);
}

static int
stmt_interface(struct conf_parser *p)
{
	return (nic_parse(p, false));
}

static int
stmt_local_interface(struct conf_parser *p)
{
	return (nic_parse(p, true));
}

/* [MAC]: without one an address is made. */
static int
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

static int
stmt_locked_lladdr(struct conf_parser *p)
{
	struct conf_nic *nic = p->target;

	nic->locked = true;
	return (stmt_lladdr(p));
}

/* ---- allow instance ---- */

static int
allow_right(struct conf_parser *p, struct conf_vm *vm)
{
	static const char *const rights[] = { "boot", "memory", "interface",
		"disk", "cdrom", "instance" };
	size_t i;

	if (cp_is_word(p, "owner")) {
		lex_next(&p->lx);
		vm->allow |= CONF_ALLOW_OWNER;
		return (cp_owner(p, &vm->allow_owner));
	}
	for (i = 0; i < COUNT(rights); i++)
		if (cp_is_word(p, rights[i])) {
			vm->allow |= CONF_ALLOW_BOOT << i;
			lex_next(&p->lx);
			return (0);
		}
	return (cp_expected(p,
	    "\"boot\", \"memory\", \"interface\", \"disk\", "
	    "\"cdrom\", \"instance\" or \"owner\""));
}

/* One right, or several in braces. */
static int
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

/* ---- the table ---- */

static const struct {
	enum conf_scope scope;
	const char *key;
	cp_stmt_fn *fn;
} specials[] = {
	{ CONF_SCOPE_GLOBAL, "agentx", stmt_agentx },
	{ CONF_SCOPE_GLOBAL, "include", stmt_include },
	{ CONF_SCOPE_GLOBAL, "local inet6", stmt_local_inet6 },
	{ CONF_SCOPE_GLOBAL, "local prefix", stmt_local_prefix },
	{ CONF_SCOPE_GLOBAL, "staggered start", stmt_staggered },
	{ CONF_SCOPE_GLOBAL, "switch", stmt_switch },
	{ CONF_SCOPE_GLOBAL, "user range", stmt_user_range },
	{ CONF_SCOPE_GLOBAL, "vm", stmt_vm },
	{ CONF_SCOPE_VM, "allow instance", stmt_allow },
	{ CONF_SCOPE_VM, "disk", stmt_disk },
	{ CONF_SCOPE_VM, "interface", stmt_interface },
	{ CONF_SCOPE_VM, "interfaces", stmt_interfaces },
	{ CONF_SCOPE_VM, "local interface", stmt_local_interface },
	{ CONF_SCOPE_IF, "lladdr", stmt_lladdr },
	{ CONF_SCOPE_IF, "locked lladdr", stmt_locked_lladdr },
};

cp_stmt_fn *
cp_special(enum conf_scope scope, const char *key)
{
	size_t i;

	for (i = 0; i < COUNT(specials); i++)
		if (specials[i].scope == scope &&
		    strcmp(specials[i].key, key) == 0)
			return (specials[i].fn);
	return (NULL);
}
