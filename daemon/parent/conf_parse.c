/* SPDX-License-Identifier: ISC */
/*
 * Parser of vm.conf(5): statements and blocks by the rows of conf_keys.  An
 * error leaves out the rest of its line, so that one run names several.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf_int.h"

/* Go to the end of a broken line, over the blocks that begin on it. */
static void
cp_skip_line(struct conf_parser *p)
{
	unsigned depth = 0;

	for (; p->lx.tok != TOK_EOF; lex_next(&p->lx)) {
		if (p->lx.tok == TOK_NL && depth == 0)
			return;
		if (cp_is_punct(p, '{'))
			depth++;
		else if (cp_is_punct(p, '}')) {
			if (depth == 0 && p->scope != CONF_SCOPE_GLOBAL)
				return;
			if (depth > 0)
				depth--;
		}
	}
}

/* ---- statements ---- */

/* 0 if the statement ends here. */
static int
cp_line_end(struct conf_parser *p)
{
	if (p->lx.tok == TOK_NL || p->lx.tok == TOK_EOF ||
	    (p->scope != CONF_SCOPE_GLOBAL && cp_is_punct(p, '}')))
		return (0);
	if (p->lx.tok == TOK_BAD)
		return (-1);
	return (cp_error(p, &p->lx.at,
	    "found \"%.40s\" where the line should "
	    "end%s",
	    p->lx.text,
	    p->lx.tok != TOK_PUNCT
		? ""
		: "; strings with blanks or signs need quotes"));
}

static int
cp_macro(struct conf_parser *p, const char *name, const struct lex_pos *at)
{
	char value[LEX_TEXT_BYTES];

	lex_next(&p->lx);
	if (!lex_macro_name(name))
		return (cp_error(p, at,
		    "macro name \"%.40s\" may have letters, digits and "
		    "\"_\" only, at most %d",
		    name, LEX_MACRO_BYTES - 1));
	if (cp_reserved(name))
		return (cp_error(p, at,
		    "\"%s\" is a keyword and cannot name a macro", name));
	if (cp_string(p, "value of the macro", value, sizeof(value), NULL) ==
	    -1)
		return (-1);
	/* At the end of its line no macro is read, so none is freed in use. */
	if (cp_line_end(p) == -1)
		return (-1);
	if (lex_macro_find(&p->lx, name) == NULL && p->lx.nmacros == LEX_MACROS)
		return (cp_error(p, at, "more than %d macros", LEX_MACROS));
	if (lex_macro_set(&p->lx, name, value, at) == -1)
		return (cp_nomem(p));
	return (0);
}

/* No such key: say which one may be meant. */
static int
cp_unknown(struct conf_parser *p, const char *first, const struct lex_pos *at)
{
	const struct conf_keys *keys = &conf_keys[p->scope];
	size_t i, n = strlen(first), len;
	const char *hint = "";
	char list[160] = "";

	for (i = 0; i < keys->nrows; i++)
		if (strncmp(keys->rows[i].name, first, n) == 0 &&
		    keys->rows[i].name[n] == ' ') {
			len = strlen(list);
			snprintf(list + len, sizeof(list) - len, "%s\"%s\"",
			    len == 0 ? "" : " or ", keys->rows[i].name + n + 1);
		}
	if (list[0] != '\0')
		return (cp_expected(p, list));
	if (p->scope == CONF_SCOPE_GLOBAL)
		return (
		    cp_error(p, at, "there is no setting \"%.40s\"", first));
	if (conf_key_find(CONF_SCOPE_GLOBAL, first) != NULL)
		hint = "; is a \"}\" missing above?";
	return (cp_error(p, at, "a%s %s has no setting \"%.40s\"%s",
	    p->scope == CONF_SCOPE_IF ? "n" : "", keys->name, first, hint));
}

/* The row of one or two words at the input, which is then past them. */
static const struct conf_key *
cp_key(struct conf_parser *p, const char *first)
{
	char two[LEX_MACRO_BYTES * 2];
	const struct conf_key *k;
	int n;

	if (p->lx.tok == TOK_WORD) {
		n = snprintf(two, sizeof(two), "%s %s", first, p->lx.text);
		if (n > 0 && (size_t)n < sizeof(two) &&
		    (k = conf_key_find(p->scope, two)) != NULL) {
			lex_next(&p->lx);
			return (k);
		}
	}
	return (conf_key_find(p->scope, first));
}

/* Note in a VM which keys the file gave: see conf_vm.set. */
static void
cp_given(struct conf_parser *p, const struct conf_key *k)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_VM];
	struct conf_vm *vm = p->target;
	size_t i;

	if (p->scope != CONF_SCOPE_VM)
		return;
	if (k->type == CONF_FLAG)
		for (i = 0; i < keys->nrows; i++)
			if (keys->rows[i].type == CONF_FLAG &&
			    keys->rows[i].field == k->field)
				vm->set &= ~((uint64_t)1 << i);
	if (strcmp(k->name, "interfaces") == 0)
		return; /* becomes interfaces at the end of the block */
	if (strcmp(k->name, "local interface") == 0)
		k = conf_key_find(CONF_SCOPE_VM, "interface");
	vm->set |= (uint64_t)1 << (k - keys->rows);
}

static int
cp_run(
    struct conf_parser *p, const struct conf_key *k, const struct lex_pos *at)
{
	uint64_t bit = (uint64_t)1 << (k - conf_keys[p->scope].rows);
	int r;

	if (!k->many && (p->seen & bit))
		return (cp_error(p, at, "\"%s\" is given twice", k->name));
	p->key = k;
	p->key_at = *at;
	if (k->type == CONF_SPECIAL)
		r = cp_special(p->scope, k->name)(p);
	else
		r = cp_value(p, k);
	if (r == 0) {
		p->seen |= bit;
		cp_given(p, k);
	}
	return (r);
}

int
cp_option(struct conf_parser *p)
{
	const struct conf_key *k;
	char first[LEX_MACRO_BYTES];
	struct lex_pos at = p->lx.at;

	if (p->lx.tok != TOK_WORD)
		return (cp_expected(p, "a setting"));
	if (p->lx.len >= sizeof(first))
		return (cp_error(
		    p, &at, "there is no setting \"%.40s...\"", p->lx.text));
	memcpy(first, p->lx.text, p->lx.len + 1);
	lex_next(&p->lx);
	if (p->scope == CONF_SCOPE_GLOBAL && cp_is_punct(p, '='))
		return (cp_macro(p, first, &at));
	if ((k = cp_key(p, first)) == NULL)
		return (cp_unknown(p, first, &at));
	return (cp_run(p, k, &at));
}

static int
cp_statement(struct conf_parser *p)
{
	return (cp_option(p) == -1 ? -1 : cp_line_end(p));
}

int
cp_block(struct conf_parser *p, enum conf_scope scope, void *target)
{
	const enum conf_scope old_scope = p->scope;
	const uint64_t old_seen = p->seen;
	void *old_target = p->target;
	struct lex_pos open;

	cp_newlines(p);
	if (!cp_is_punct(p, '{'))
		return (cp_expected(p, "\"{\""));
	open = p->lx.at;
	lex_next(&p->lx);
	p->scope = scope;
	p->target = target;
	p->seen = 0;
	for (cp_newlines(p); p->lx.tok != TOK_EOF && !cp_is_punct(p, '}');
	     cp_newlines(p))
		if (cp_statement(p) == -1)
			cp_skip_line(p);
	p->scope = old_scope;
	p->target = old_target;
	p->seen = old_seen;
	if (p->lx.tok == TOK_EOF)
		return (cp_error(p, &open, "this \"{\" is never closed"));
	lex_next(&p->lx);
	return (0);
}

/* ---- files ---- */

static void
cp_include(struct conf_parser *p)
{
	const char *from = p->include_at.file, *why;
	char *bytes = NULL, *path = NULL;
	struct err e = { 0 };
	size_t len = 0;

	if (p->env->include == NULL) {
		cp_error(p, &p->include_at, "files cannot be included here");
		return;
	}
	if (p->env->include(
		p->env->ctx, from, p->include, &bytes, &len, &path, &e) == -1) {
		cp_error(p, &p->include_at, "%s", e.text);
		return;
	}
	if (lex_push(&p->lx, path, bytes, bytes, len, &why) == -1)
		cp_error(p, &p->include_at, "%s", why);
}

/* All statements of all files. */
static void
cp_files(struct conf_parser *p)
{
	do {
		lex_next(&p->lx);
		for (cp_newlines(p); p->lx.tok != TOK_EOF; cp_newlines(p)) {
			p->include[0] = '\0';
			if (cp_statement(p) == -1)
				cp_skip_line(p);
			else if (p->include[0] != '\0') {
				cp_include(p);
				lex_next(&p->lx);
			}
		}
	} while (lex_pop(&p->lx));
}

/* "name=value" from the command line. */
static int
cp_define(struct conf_parser *p, const char *arg)
{
	const char *eq = strchr(arg, '=');
	const struct lex_pos nowhere = { 0 };
	char name[LEX_MACRO_BYTES];
	const char *c;

	snprintf(name, sizeof(name), "%.*s",
	    eq == NULL ? 0 : (int)(eq - arg < 64 ? eq - arg : 64), arg);
	if (!lex_macro_name(name) || strlen(name) != (size_t)(eq - arg))
		return (cp_error(p, &nowhere,
		    "-D \"%.60s\" must be name=value,"
		    " the name of letters, digits and \"_\"",
		    arg));
	if (cp_reserved(name))
		return (cp_error(p, &nowhere,
		    "-D \"%s\" is a keyword and "
		    "cannot name a macro",
		    name));
	for (c = eq + 1; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return (cp_error(p, &nowhere,
			    "-D %s has a control "
			    "character in its value",
			    name));
	if (lex_macro_set(&p->lx, name, eq + 1, &nowhere) == -1)
		return (cp_nomem(p));
	return (0);
}

/* ---- what can be checked at the end only ---- */

static void
cp_check_refs(struct conf_parser *p)
{
	const struct conf *base = p->env->base;
	const char *sw;
	size_t i;

	for (i = 0; i < p->nrefs; i++) {
		sw = p->conf->vms[p->refs[i].vm].nics[p->refs[i].nic].sw;
		if (conf_switch_find(p->conf, sw) == NULL &&
		    (base == NULL || conf_switch_find(base, sw) == NULL))
			cp_warn(
			    p, &p->refs[i].at, "there is no switch \"%s\"", sw);
	}
}

static void
cp_check_macros(struct conf_parser *p)
{
	char text[LEX_MACRO_BYTES + 32];
	const struct lex_macro *m;
	size_t i;

	for (i = 0; i < p->lx.nmacros; i++) {
		m = &p->lx.macros[i];
		if (m->used)
			continue;
		snprintf(
		    text, sizeof(text), "macro \"%s\" is not used", m->name);
		cp_report(p, CONF_NOTE, &m->at, text);
	}
}

static void
cp_check_range(struct conf_parser *p)
{
	const struct conf *c = p->conf;
	const uint32_t n = c->uid_last - c->uid_first + 1;

	if (c->nvms > n)
		cp_error(p, &p->range_at,
		    "%zu VMs need a user id each, and the range has %u",
		    c->nvms, n);
}

static int
cp_main(struct conf_parser *p, const char *name, const char *bytes, size_t len)
{
	const char *why;
	char *path;
	size_t i;

	if ((p->conf = conf_new()) == NULL || (path = strdup(name)) == NULL)
		return (cp_nomem(p));
	if (lex_push(&p->lx, path, NULL, bytes, len, &why) == -1)
		return (-1);
	for (i = 0; i < p->env->nmacros; i++)
		cp_define(p, p->env->macros[i]);
	p->scope = CONF_SCOPE_GLOBAL;
	p->target = p->conf;
	cp_files(p);
	if (p->nerrors == 0 && !p->nomem)
		cp_check_range(p);
	if (p->nerrors > 0 || p->nomem)
		return (-1);
	cp_check_refs(p);
	cp_check_macros(p);
	return (0);
}

static void
cp_lex_error(void *ctx, const struct lex_pos *at, const char *text)
{
	cp_error(ctx, at, "%s", text);
}

int
conf_parse(struct conf **out, const char *name, const char *bytes, size_t len,
    const struct conf_env *env, struct err *e)
{
	static const struct conf_env nobody;
	struct conf_parser *p;
	int r = -1;

	*out = NULL;
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return (err_set(e, ENOMEM, "%s: no memory", name));
	p->env = env == NULL ? &nobody : env;
	p->e = e;
	lex_init(&p->lx, cp_lex_error, p);
	if (cp_main(p, name, bytes, len) == 0) {
		*out = p->conf;
		p->conf = NULL;
		r = 0;
	} else if (p->nomem)
		err_set(e, ENOMEM, "%s: no memory", name);
	lex_fini(&p->lx);
	conf_free(p->conf);
	free(p->refs);
	free(p);
	return (r);
}
