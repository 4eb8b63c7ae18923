/* SPDX-License-Identifier: ISC */
/*
 * What the parser of vm.conf(5) says, and the small questions it asks about the
 * token at hand.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "daemon/parent/conf_int.h"

/* Words that OpenBSD's vm.conf(5) reserves: they never stand for a string. */
static const char *const reserved[] = { "add", "agentx", "allow", "boot",
	"cdrom", "context", "delay", "device", "disable", "disk", "down",
	"enable", "format", "group", "id", "include", "inet6", "instance",
	"interface", "interfaces", "lladdr", "local", "locked", "memory", "net",
	"owner", "parallel", "path", "prefix", "rdomain", "sev", "seves",
	"size", "socket", "staggered", "start", "switch", "up", "vm" };

bool
cp_reserved(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(reserved[i], word) == 0)
			return (true);
	return (false);
}

/* ---- reports ---- */

/* Let every file end here. */
static void
cp_stop(struct conf_parser *p)
{
	size_t i;

	for (i = 0; i < p->lx.nframes; i++)
		p->lx.frames[i].pos = p->lx.frames[i].len;
}

/* In struct err's size, so that the first error and its line read the same. */
void
cp_report(struct conf_parser *p, enum conf_level level,
    const struct lex_pos *at, const char *text)
{
	struct err line = { 0 };

	if (at->file != NULL)
		err_set(&line, EINVAL, "%s:%u:%u: %s%s", at->file, at->line,
		    at->col, level == CONF_ERROR ? "" : "warning: ", text);
	else
		err_set(&line, EINVAL, "%s%s",
		    level == CONF_ERROR ? "" : "warning: ", text);
	if (level == CONF_ERROR && p->nerrors++ == 0 && p->e != NULL)
		*p->e = line;
	if (p->env->report != NULL)
		p->env->report(p->env->ctx, level, line.text);
}

int
cp_error(struct conf_parser *p, const struct lex_pos *at, const char *fmt, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list ap;

	if (p->nerrors >= CONF_ERRORS_MAX || p->nomem)
		return (-1);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cp_report(p, CONF_ERROR, at, text);
	if (p->nerrors == CONF_ERRORS_MAX) {
		cp_report(p, CONF_ERROR, at, "too many errors, giving up here");
		cp_stop(p);
	}
	return (-1);
}

void
cp_warn(struct conf_parser *p, const struct lex_pos *at, const char *fmt, ...)
{
	char text[ERR_TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cp_report(p, CONF_WARN, at, text);
}

int
cp_nomem(struct conf_parser *p)
{
	p->nomem = true;
	cp_stop(p);
	return (-1);
}

int
cp_expected(struct conf_parser *p, const char *what)
{
	const struct lex *lx = &p->lx;

	switch (lx->tok) {
	case TOK_BAD:
		return (-1);
	case TOK_EOF:
		return (cp_error(
		    p, &lx->at, "the file ends where %s should be", what));
	case TOK_NL:
		return (cp_error(
		    p, &lx->at, "the line ends where %s should be", what));
	case TOK_WORD:
		if (cp_reserved(lx->text) && what[0] != '"')
			return (cp_error(p, &lx->at,
			    "found the keyword \"%s\""
			    " where %s should be; quote it to mean a name",
			    lx->text, what));
		break;
	default:
		break;
	}
	return (cp_error(
	    p, &lx->at, "found \"%.40s\" where %s should be", lx->text, what));
}

/* ---- tokens ---- */

bool
cp_is_word(const struct conf_parser *p, const char *word)
{
	return (p->lx.tok == TOK_WORD && strcmp(p->lx.text, word) == 0);
}

bool
cp_is_punct(const struct conf_parser *p, char c)
{
	return (p->lx.tok == TOK_PUNCT && p->lx.text[0] == c);
}

void
cp_newlines(struct conf_parser *p)
{
	while (p->lx.tok == TOK_NL)
		lex_next(&p->lx);
}
