/* SPDX-License-Identifier: ISC */
/*
 * Values of vm.conf(5) with a form of their own: owners, Ethernet addresses,
 * IP prefixes.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf_int.h"

/* ---- users ---- */

/* A number, or a name that the system knows. */
static int
cp_id(struct conf_parser *p, const struct lex_pos *at, const char *what,
    const char *word, int (*lookup)(void *, const char *, uint32_t *),
    uint32_t *id)
{
	uint64_t n = 0;
	size_t i;

	if (strlen(word) >= CONF_LOGIN_BYTES || !cp_text_ok(word))
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
