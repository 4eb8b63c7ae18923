/* SPDX-License-Identifier: ISC */
/*
 * Values of vm.conf(5): each is taken from the input, checked against its row
 * in conf_keys and stored.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf_int.h"

/* ---- checks without input ---- */

bool
conf_name_ok(const char *s)
{
	size_t n = strlen(s), i;

	if (n == 0 || n >= CONF_NAME_BYTES || !isalnum((unsigned char)s[0]))
		return (false);
	for (i = 1; i < n; i++)
		if (!isalnum((unsigned char)s[i]) &&
		    strchr("._-", s[i]) == NULL)
			return (false);
	return (true);
}

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
static bool
text_ok(const char *s)
{
	size_t n = strlen(s), i;

	for (i = 0; i < n; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return (false);
	return (n == 0 || s[n - 1] != '\\');
}

static int
size_unit(char c, uint64_t *unit)
{
	static const char units[] = "BKMGTPE";
	const char *p;

	if (c == '\0' || (p = strchr(units, toupper((unsigned char)c))) == NULL)
		return (-1);
	*unit = (uint64_t)1 << (10 * (p - units));
	return (0);
}

/* Digits, a fraction, a unit: what scan_scaled(3) takes, but for a sign. */
int
conf_size(const char *s, uint64_t *bytes)
{
	uint64_t whole = 0, frac = 0, pow = 1, unit = 1;
	unsigned digit;

	if (!isdigit((unsigned char)*s))
		return (-1);
	for (; isdigit((unsigned char)*s); s++) {
		digit = (unsigned)(*s - '0');
		if (whole > (UINT64_MAX - digit) / 10)
			return (-1);
		whole = whole * 10 + digit;
	}
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++)
			if (pow < 1000000) { /* the rest is too small */
				frac = frac * 10 + (unsigned)(*s - '0');
				pow *= 10;
			}
	if (*s != '\0' && (size_unit(*s++, &unit) == -1 || *s != '\0'))
		return (-1);
	if (whole > UINT64_MAX / unit)
		return (-1);
	whole *= unit;
	/* 10^6 times 2^40 fits; of larger units the parts are exact enough. */
	if (unit > (uint64_t)1 << 40)
		frac = unit / pow * frac;
	else
		frac = unit * frac / pow;
	if (whole > UINT64_MAX - frac)
		return (-1);
	*bytes = whole + frac;
	return (0);
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
	if (at != NULL)
		*at = p->lx.at;
	if (p->lx.tok != TOK_STRING &&
	    (p->lx.tok != TOK_WORD || cp_reserved(p->lx.text)))
		return (cp_expected(p, what));
	if (cp_copy(p, what, buf, bytes, 0) == -1)
		return (-1);
	lex_next(&p->lx);
	return (0);
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
	    (p->lx.tok == TOK_WORD && !cp_reserved(p->lx.text))) {
		if (cp_copy(p, what, buf, bytes, strlen(buf)) == -1)
			return (-1);
		lex_next(&p->lx);
	}
	if (!text_ok(buf))
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
	if (conf_name_ok(buf))
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
	for (i = 0, *val = 0; isdigit((unsigned char)word[i]) && i < 19; i++)
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

/* "128G" */
static const char *
size_text(char *buf, size_t bytes, uint64_t n)
{
	static const char units[] = "BKMGTPE";
	unsigned i;

	for (i = 0; n >= 1024 && n % 1024 == 0; i++)
		n /= 1024;
	snprintf(buf, bytes, "%" PRIu64 "%.1s", n, i == 0 ? "" : units + i);
	return (buf);
}

static int
cp_size(struct conf_parser *p, const struct conf_key *k, uint64_t *val)
{
	struct lex_pos at = p->lx.at;
	char word[32], lo[24], hi[24];

	if (cp_token(p, k->name, word, sizeof(word), NULL) == -1)
		return (-1);
	size_text(lo, sizeof(lo), k->min);
	size_text(hi, sizeof(hi), k->max);
	if (conf_size(word, val) == -1)
		return (cp_error(p, &at,
		    "%s must be a size such as %s, "
		    "not \"%s\"",
		    k->name, lo, word));
	if (*val < k->min || *val > k->max)
		return (cp_error(p, &at, "%s is %s; it must be %s to %s",
		    k->name, word, lo, hi));
	if (k->pow2 && (*val & (*val - 1)) != 0)
		return (cp_error(p, &at, "%s is %s; it must be a power of two",
		    k->name, word));
	if (k->step != 0 && *val % k->step != 0) {
		*val -= *val % k->step;
		cp_warn(p, &at, "%s %s is rounded down to %s", k->name, word,
		    size_text(lo, sizeof(lo), *val));
	}
	return (0);
}

/* ---- users ---- */

/* A number, or a name that the system knows. */
static int
cp_id(struct conf_parser *p, const struct lex_pos *at, const char *what,
    const char *word, int (*lookup)(void *, const char *, uint32_t *),
    uint32_t *id)
{
	uint64_t n = 0;
	size_t i;

	if (strlen(word) >= CONF_LOGIN_BYTES || !text_ok(word))
		return (cp_error(p, at, "%s \"%.40s\" is no name", what, word));
	for (i = 0; isdigit((unsigned char)word[i]); i++)
		if ((n = n * 10 + (unsigned)(word[i] - '0')) >= CONF_NONE)
			return (
			    cp_error(p, at, "%s number is too large", what));
	if (word[i] == '\0') {
		*id = (uint32_t)n;
		return (0);
	}
	if (lookup != NULL && lookup(p->env->ctx, word, id) == 0)
		return (0);
	return (
	    cp_error(p, at, "there is no %s \"%s\" on this host", what, word));
}

/* user, user:group, :group; what is left out is root and no group. */
int
cp_owner(struct conf_parser *p, struct conf_owner *o)
{
	char word[2 * CONF_LOGIN_BYTES + 1], *group;
	struct lex_pos at;

	if (cp_token(p, "owner", word, sizeof(word), &at) == -1)
		return (-1);
	memset(o, 0, sizeof(*o));
	o->gid = CONF_NONE;
	if ((group = strchr(word, ':')) != NULL)
		*group++ = '\0';
	if (word[0] == '\0' && (group == NULL || group[0] == '\0'))
		return (cp_error(p, &at, "owner names no user and no group"));
	if (word[0] != '\0' &&
	    cp_id(p, &at, "user", word, p->env->user, &o->uid) == -1)
		return (-1);
	if (group != NULL && group[0] != '\0' &&
	    cp_id(p, &at, "group", group, p->env->group, &o->gid) == -1)
		return (-1);
	memcpy(o->user, word, strlen(word) + 1);
	if (group != NULL)
		memcpy(o->group, group, strlen(group) + 1);
	return (0);
}

/* ---- addresses ---- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	c = (char)tolower((unsigned char)c);
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

/* Six numbers of one or two hex digits; returns 0 or -1. */
static int
parse_lladdr(const char *s, uint8_t lladdr[6])
{
	int i, d;

	for (i = 0; i < 6; i++) {
		if ((d = hex_digit(*s++)) == -1)
			return (-1);
		lladdr[i] = (uint8_t)d;
		if ((d = hex_digit(*s)) != -1) {
			lladdr[i] = (uint8_t)(lladdr[i] << 4 | d);
			s++;
		}
		if (*s++ != (i < 5 ? ':' : '\0'))
			return (-1);
	}
	return (0);
}

int
cp_lladdr(struct conf_parser *p, uint8_t lladdr[6])
{
	static const uint8_t zero[6];
	struct lex_pos at;
	char word[64];

	if (cp_token(p, "lladdr", word, sizeof(word), &at) == -1)
		return (-1);
	if (parse_lladdr(word, lladdr) == -1)
		return (cp_error(p, &at,
		    "lladdr \"%s\" is not six bytes such "
		    "as fe:e1:bb:d1:00:01",
		    word));
	if (lladdr[0] & 1)
		return (cp_error(p, &at,
		    "lladdr %s is a multicast address; "
		    "the first byte must be even",
		    word));
	if (memcmp(lladdr, zero, 6) == 0)
		return (cp_error(p, &at, "lladdr is all zero"));
	return (0);
}

/* Are the bits after len zero? */
static bool
prefix_aligned(const uint8_t *addr, size_t bytes, unsigned len)
{
	size_t i;

	for (i = len; i < 8 * bytes; i++)
		if (addr[i / 8] & (0x80 >> i % 8))
			return (false);
	return (true);
}

int
cp_prefix(struct conf_parser *p, int af, uint8_t *addr, uint8_t *len)
{
	char word[64], *slash, *end;
	struct lex_pos at;
	unsigned long n;
	const char *what = af == AF_INET ? "an IPv4" : "an IPv6";

	if (cp_token(p, "prefix", word, sizeof(word), &at) == -1)
		return (-1);
	n = p->key->max;
	if ((slash = strchr(word, '/')) != NULL) {
		*slash++ = '\0';
		n = strtoul(slash, &end, 10);
		if (!isdigit((unsigned char)*slash) || *end != '\0' ||
		    n < p->key->min || n > p->key->max)
			return (cp_error(p, &at,
			    "prefix length is \"%s\"; it "
			    "must be %" PRIu64 " to %" PRIu64,
			    slash, p->key->min, p->key->max));
	}
	if (inet_pton(af, word, addr) != 1)
		return (
		    cp_error(p, &at, "\"%s\" is not %s address", word, what));
	if (!prefix_aligned(addr, af == AF_INET ? 4 : 16, (unsigned)n))
		return (cp_error(p, &at,
		    "prefix %s/%lu has bits set after "
		    "its length",
		    word, n));
	*len = (uint8_t)n;
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
