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

/* ---- global ---- */

static int
stmt_include(struct conf_parser *p)
{
	return (cp_string(p, "file to include", p->include, sizeof(p->include),
	    &p->include_at));
}

/* "FIRST - LAST"; blanks make no difference. */
static int
stmt_user_range(struct conf_parser *p)
{
	const struct conf_key *k = p->key;
	unsigned long long first, last;
	struct conf *c = p->target;
	char word[48], *end;

	if (cp_string(
		p, "range of user ids", word, sizeof(word), &p->range_at) == -1)
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

void *
cp_grow(void *list, size_t n, size_t bytes)
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
	list = cp_grow(c->switches, c->nswitches, sizeof(*list));
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
	{ CONF_SCOPE_VM, "share", stmt_share },
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
