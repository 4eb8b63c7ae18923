/* SPDX-License-Identifier: ISC */
/*
 * Values of vm.conf(5): each is taken from the input, checked against its row
 * in conf_keys and stored.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/parent/conf_int.h"
#include "shared/size.h"
#include "shared/str.h"

/* ---- checks without input ---- */

/* What the kernel's dev_valid_name() takes. */
static bool
ifname_ok(const char *s)
{
	size_t n = strlen(s), i;

	if (n == 0 || n >= CONF_IFNAME_BYTES || strcmp(s, ".") == 0 ||
	    strcmp(s, "..") == 0)
		return (false);
	for (i = 0; i < n; i++)
		if (s[i] == '/' || s[i] == ':' || s[i] <= ' ' || s[i] == 0x7f)
			return (false);
	return (true);
}

static bool
group_ok(const char *s)
{
	size_t n = strlen(s);

	return (ifname_ok(s) && !isdigit((unsigned char)s[n - 1]));
}

/*
 * What conf_print() can write so that it is read back the same: a backslash in
 * front of the closing quote would hide that.
 */
bool
cp_text_ok(const char *s)
{
	size_t n = strlen(s), i;

	for (i = 0; i < n; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return (false);
	return (n == 0 || s[n - 1] != '\\');
}

/* ---- words ---- */

static int
cp_copy(struct conf_parser *p, const char *what, char *buf, size_t bytes,
    size_t have)
{
	if (p->lx.len >= bytes - have)
		return (cp_error(p, &p->lx.at,
		    "%s is longer than %zu characters", what, bytes - 1));
	memcpy(buf + have, p->lx.text, p->lx.len + 1);
	return (0);
}

int
cp_token(struct conf_parser *p, const char *what, char *buf, size_t bytes,
    struct lex_pos *at)
{
	char want[64];

	if (at != NULL)
		*at = p->lx.at;
	if (p->lx.tok != TOK_STRING &&
	    (p->lx.tok != TOK_WORD || cp_reserved(p->lx.text))) {
		snprintf(want, sizeof(want), "the %s", what);
		return (cp_expected(p, want));
	}
	if (cp_copy(p, what, buf, bytes, 0) == -1)
		return (-1);
	lex_next(&p->lx);
	return (0);
}

/*
 * Does this word begin a setting?  Then it is no part of the string before it,
 * so that "boot /bsd cpus 2" is told apart from a strange path.
 */
static bool
begins_key_of(const struct conf_parser *p, enum conf_scope scope)
{
	const struct conf_keys *keys = &conf_keys[scope];
	size_t i;

	for (i = 0; i < keys->nrows; i++)
		if (strncmp(keys->rows[i].name, p->lx.text, p->lx.len) == 0 &&
		    strchr(" ", keys->rows[i].name[p->lx.len]) != NULL)
			return (true);
	return (false);
}

static bool
begins_key(const struct conf_parser *p)
{
	return (begins_key_of(p, p->scope) ||
	    (p->scope == CONF_SCOPE_DISK && begins_key_of(p, CONF_SCOPE_VM)) ||
	    (p->scope == CONF_SCOPE_SHARE && begins_key_of(p, CONF_SCOPE_VM)) ||
	    cp_reserved(p->lx.text));
}

int
cp_string(struct conf_parser *p, const char *what, char *buf, size_t bytes,
    struct lex_pos *at)
{
	struct lex_pos first = p->lx.at;

	if (at != NULL)
		*at = first;
	if (cp_token(p, what, buf, bytes, NULL) == -1)
		return (-1);
	while (p->lx.tok == TOK_STRING ||
	    (p->lx.tok == TOK_WORD && !begins_key(p))) {
		if (cp_copy(p, what, buf, bytes, strlen(buf)) == -1)
			return (-1);
		lex_next(&p->lx);
	}
	if (!cp_text_ok(buf))
		return (cp_error(p, &first,
		    "%s holds a control character or ends in a backslash",
		    what));
	return (0);
}

int
cp_name(struct conf_parser *p, const char *what, char *buf, struct lex_pos *at)
{
	struct lex_pos first;

	if (cp_string(p, what, buf, CONF_NAME_BYTES, &first) == -1)
		return (-1);
	if (at != NULL)
		*at = first;
	if (str_valid_name(buf))
		return (0);
	return (cp_error(p, &first,
	    "%s \"%.40s\" is no name; use letters, "
	    "digits, \".\", \"-\" and \"_\", a letter or digit first",
	    what, buf));
}

int
cp_path(struct conf_parser *p, const char *what, bool absolute, char *buf,
    size_t bytes)
{
	const char *cwd = p->env->cwd, *sep;
	char name[CONF_PATH_BYTES], *rel = name;
	struct lex_pos at;
	int n;

	if (cp_string(p, what, name, sizeof(name), &at) == -1)
		return (-1);
	if (name[0] == '\0')
		return (cp_error(p, &at, "%s is empty", what));
	if (name[0] != '/' && absolute)
		return (cp_error(p, &at, "%s must begin with \"/\"", what));
	while (strncmp(rel, "./", 2) == 0)
		rel += 2;
	if (cwd == NULL || name[0] == '/')
		cwd = "";
	sep = name[0] == '/' || (cwd[0] != '\0' && cwd[strlen(cwd) - 1] == '/')
	    ? ""
	    : "/";
	n = snprintf(buf, bytes, "%s%s%s", cwd, sep, rel);
	if (n < 0 || (size_t)n >= bytes)
		return (cp_error(p, &at, "%s is longer than %zu characters",
		    what, bytes - 1));
	return (0);
}

/* ---- numbers ---- */

int
cp_number(struct conf_parser *p, const char *what, uint64_t min, uint64_t max,
    uint64_t *val)
{
	struct lex_pos at = p->lx.at;
	char word[24];
	size_t i;

	if (cp_token(p, what, word, sizeof(word), NULL) == -1)
		return (-1);
	for (i = 0, *val = 0; i < 19 && isdigit((unsigned char)word[i]); i++)
		*val = *val * 10 + (unsigned)(word[i] - '0');
	if (i == 0 || (word[i] != '\0' && !isdigit((unsigned char)word[i])))
		return (cp_error(
		    p, &at, "%s must be a number, not \"%s\"", what, word));
	if (word[i] != '\0' || *val < min || *val > max)
		return (cp_error(p, &at,
		    "%s is %s; it must be %" PRIu64 " to %" PRIu64, what, word,
		    min, max));
	return (0);
}

static int
cp_size(struct conf_parser *p, const struct conf_key *k, uint64_t *val)
{
	struct lex_pos at = p->lx.at;
	struct err e = { 0 };
	char word[32], lo[24], hi[24];

	if (cp_token(p, k->name, word, sizeof(word), NULL) == -1)
		return (-1);
	conf_size_text(lo, sizeof(lo), k->min);
	conf_size_text(hi, sizeof(hi), k->max);
	if (size_parse(word, val, &e) == -1 && e.code != ERANGE)
		return (cp_error(p, &at,
		    "%s must be a size such as %s, "
		    "not \"%s\"",
		    k->name, lo, word));
	if (e.code == ERANGE || *val < k->min || *val > k->max)
		return (cp_error(p, &at, "%s is %s; it must be %s to %s",
		    k->name, word, lo, hi));
	if (k->pow2 && (*val & (*val - 1)) != 0)
		return (cp_error(p, &at, "%s is %s; it must be a power of two",
		    k->name, word));
	if (k->step != 0 && *val % k->step != 0) {
		*val -= *val % k->step;
		cp_warn(p, &at, "%s %s is rounded down to %s", k->name, word,
		    conf_size_text(lo, sizeof(lo), *val));
	}
	return (0);
}

/* ---- by row ---- */

static int
cp_choice(struct conf_parser *p, const struct conf_key *k, uint8_t *val)
{
	char list[96] = "";
	size_t i, n;

	for (i = 0; k->choices[i] != NULL; i++) {
		if ((p->lx.tok == TOK_WORD || p->lx.tok == TOK_STRING) &&
		    strcmp(p->lx.text, k->choices[i]) == 0) {
			*val = (uint8_t)(i + k->min);
			lex_next(&p->lx);
			return (0);
		}
		n = strlen(list);
		snprintf(list + n, sizeof(list) - n, "%s\"%s\"",
		    i == 0 ? "" : " or ", k->choices[i]);
	}
	return (cp_expected(p, list));
}

static int
cp_text(struct conf_parser *p, const struct conf_key *k, char *field)
{
	struct lex_pos at;

	if (k->type == CONF_NAME)
		return (cp_name(p, k->name, field, NULL));
	if (k->type == CONF_PATH || k->type == CONF_ABSPATH)
		return (cp_path(
		    p, k->name, k->type == CONF_ABSPATH, field, k->max + 1));
	if (cp_string(p, k->name, field, k->max + 1, &at) == -1)
		return (-1);
	if (k->type == CONF_IFNAME && !ifname_ok(field))
		return (cp_error(p, &at, "\"%s\" is no interface name", field));
	if (k->type == CONF_GROUP && !group_ok(field))
		return (cp_error(p, &at,
		    "\"%s\" is no interface group; it must "
		    "not end in a digit",
		    field));
	return (0);
}

int
cp_value(struct conf_parser *p, const struct conf_key *k)
{
	char *field = (char *)p->target + k->field;
	uint64_t n;

	switch (k->type) {
	case CONF_FLAG:
		*(bool *)field = k->min != 0;
		return (0);
	case CONF_CHOICE:
		return (cp_choice(p, k, (uint8_t *)field));
	case CONF_NUM:
		if (cp_number(p, k->name, k->min, k->max, &n) == -1)
			return (-1);
		*(uint32_t *)(void *)field = (uint32_t)n;
		return (0);
	case CONF_SIZE:
		return (cp_size(p, k, (uint64_t *)(void *)field));
	case CONF_OWNER:
		return (cp_owner(p, (struct conf_owner *)(void *)field));
	case CONF_STRING:
	case CONF_PATH:
	case CONF_ABSPATH:
	case CONF_NAME:
	case CONF_IFNAME:
	case CONF_GROUP:
		return (cp_text(p, k, field));
	case CONF_SPECIAL:
		break;
	}
	return (-1);
}
