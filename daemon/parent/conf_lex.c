/* SPDX-License-Identifier: ISC */
/*
 * Lexer of vm.conf(5).  A macro's value is text that is read again, as on
 * OpenBSD: it may hold several words, and join the word after it.  What comes
 * out of a macro is not expanded again, so nothing can loop.
 *
 * Runs in: parent, and vmd -n.  Trusts: nobody.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf_lex.h"

#define LEX_END (-1)

void
lex_init(struct lex *lx,
    void (*error)(void *ctx, const struct lex_pos *, const char *), void *ctx)
{
	memset(lx, 0, sizeof(*lx));
	lx->error = error;
	lx->ctx = ctx;
}

void
lex_fini(struct lex *lx)
{
	size_t i;

	for (i = 0; i < lx->nfiles; i++) {
		free(lx->paths[i]);
		free(lx->bytes[i]);
	}
	for (i = 0; i < lx->nmacros; i++)
		free(lx->macros[i].value);
	free(lx->macros);
}

int
lex_push(struct lex *lx, char *path, char *owned, const char *bytes, size_t len,
    const char **why)
{
	struct lex_frame *f;

	*why = NULL;
	if (lx->nframes == LEX_DEPTH)
		*why = "files are nested too deep; does one include itself?";
	else if (lx->nfiles == LEX_FILES)
		*why = "too many files are included";
	if (*why != NULL) {
		free(path);
		free(owned);
		return (-1);
	}
	lx->paths[lx->nfiles] = path;
	lx->bytes[lx->nfiles++] = owned;
	f = &lx->frames[lx->nframes++];
	*f = (struct lex_frame){
		.bytes = bytes, .len = len, .at = { path, 1, 1 }
	};
	return (0);
}

bool
lex_pop(struct lex *lx)
{
	if (lx->nframes > 0)
		lx->nframes--;
	return (lx->nframes > 0);
}

/* ---- bytes ---- */

static void
lex_advance(struct lex_frame *f)
{
	char c = f->bytes[f->pos++];

	if (f->macro)
		return;
	if (c == '\n') {
		f->at.line++;
		f->at.col = 1;
	} else
		f->at.col++;
}

/*
 * The next byte, or LEX_END at the end of a file.  Ends of macros are passed
 * over, and so is a backslash before a newline.
 */
static int
lex_peek(struct lex *lx)
{
	struct lex_frame *f;

	for (;;) {
		f = &lx->frames[lx->nframes - 1];
		if (f->pos == f->len) {
			if (!f->macro)
				return (LEX_END);
			lx->nframes--;
		} else if (f->len - f->pos >= 2 &&
		    memcmp(f->bytes + f->pos, "\\\n", 2) == 0) {
			lex_advance(f);
			lex_advance(f);
		} else
			return ((unsigned char)f->bytes[f->pos]);
	}
}

/* After lex_peek() gave a byte: be past it. */
static void
lex_skip(struct lex *lx)
{
	lex_advance(&lx->frames[lx->nframes - 1]);
}

static enum lex_tok
lex_bad(struct lex *lx, const char *text)
{
	lx->error(lx->ctx, &lx->at, text);
	return (lx->tok = TOK_BAD);
}

/* false: the token is longer than any sane one. */
static bool
lex_add(struct lex *lx, int c)
{
	if (lx->len == sizeof(lx->text) - 1)
		return (false);
	lx->text[lx->len++] = (char)c;
	lx->text[lx->len] = '\0';
	return (true);
}

/* ---- macros ---- */

bool
lex_macro_name(const char *s)
{
	size_t n = strlen(s), i;

	if (n == 0 || n >= LEX_MACRO_BYTES)
		return (false);
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_')
			return (false);
	return (true);
}

struct lex_macro *
lex_macro_find(struct lex *lx, const char *name)
{
	size_t i;

	for (i = 0; i < lx->nmacros; i++)
		if (strcmp(lx->macros[i].name, name) == 0)
			return (&lx->macros[i]);
	return (NULL);
}

int
lex_macro_set(struct lex *lx, const char *name, const char *value,
    const struct lex_pos *at)
{
	struct lex_macro *m = lex_macro_find(lx, name), *list;
	char *copy;

	/* What -D says stands, whatever the file says. */
	if (m != NULL && m->at.file == NULL && at->file != NULL)
		return (0);
	if (m == NULL && lx->nmacros == LEX_MACROS)
		return (-1);
	if ((copy = strdup(value)) == NULL)
		return (-1);
	if (m == NULL) {
		list = reallocarray(lx->macros, lx->nmacros + 1, sizeof(*list));
		if (list == NULL) {
			free(copy);
			return (-1);
		}
		lx->macros = list;
		m = &list[lx->nmacros++];
		memset(m, 0, sizeof(*m));
		snprintf(m->name, sizeof(m->name), "%s", name);
	}
	free(m->value);
	m->value = copy;
	m->at = *at;
	return (0);
}

/* At a $ in a file: put the macro's value in front of what follows. */
static int
lex_expand(struct lex *lx)
{
	char name[LEX_MACRO_BYTES], msg[LEX_MACRO_BYTES + 64];
	struct lex_macro *m;
	struct lex_frame *f;
	size_t n = 0;
	int c;

	lex_skip(lx);
	while ((c = lex_peek(lx)) != LEX_END && (isalnum(c) || c == '_')) {
		if (n == sizeof(name) - 1) {
			lex_bad(lx, "macro name is too long");
			return (-1);
		}
		name[n++] = (char)c;
		lex_skip(lx);
	}
	name[n] = '\0';
	if (n == 0) {
		lex_bad(lx, "\"$\" must be followed by the name of a macro");
		return (-1);
	}
	if ((m = lex_macro_find(lx, name)) == NULL) {
		snprintf(msg, sizeof(msg), "macro \"%s\" is not defined", name);
		lex_bad(lx, msg);
		return (-1);
	}
	m->used = true;
	f = &lx->frames[lx->nframes++];
	*f = (struct lex_frame){ .bytes = m->value,
		.len = strlen(m->value),
		.at = lx->at,
		.macro = true };
	return (0);
}

/* ---- tokens ---- */

/*
 * In quotes a backslash takes the special meaning from the quote, a space or a
 * tab, and stands for itself before anything else.  A newline is left out.
 */
static enum lex_tok
lex_quoted(struct lex *lx, int quote)
{
	const char *bad = NULL;
	int c, next;

	lex_skip(lx);
	for (;;) {
		if ((c = lex_peek(lx)) == LEX_END)
			return (lex_bad(lx, "string has no closing quote"));
		lex_skip(lx);
		if (c == quote)
			break;
		if (c == '\n')
			continue;
		if (c == '\0')
			bad = "string holds a NUL byte";
		if (c == '\\') {
			next = lex_peek(lx);
			if (next == quote || next == ' ' || next == '\t') {
				c = next;
				lex_skip(lx);
			}
		}
		if (!lex_add(lx, c))
			bad = "string is too long";
	}
	return (bad != NULL ? lex_bad(lx, bad) : (lx->tok = TOK_STRING));
}

static bool
lex_in_word(int c)
{
	return (c > ' ' && c != 0x7f && strchr("(){}<>!=#,\"'", c) == NULL);
}

static enum lex_tok
lex_word(struct lex *lx)
{
	bool fits = true;
	int c;

	while ((c = lex_peek(lx)) != LEX_END && lex_in_word(c)) {
		fits = lex_add(lx, c);
		lex_skip(lx);
	}
	return (fits ? (lx->tok = TOK_WORD) : lex_bad(lx, "word is too long"));
}

/* Blanks and a comment; gives the byte after them. */
static int
lex_blank(struct lex *lx)
{
	int c;

	while ((c = lex_peek(lx)) == ' ' || c == '\t' || c == '\r')
		lex_skip(lx);
	if (c == '#')
		while ((c = lex_peek(lx)) != LEX_END && c != '\n')
			lex_skip(lx);
	return (c);
}

enum lex_tok
lex_next(struct lex *lx)
{
	struct lex_frame *f;
	char msg[48];
	int c;

	for (;;) {
		lx->len = 0;
		lx->text[0] = '\0';
		c = lex_blank(lx);
		f = &lx->frames[lx->nframes - 1];
		lx->at = f->at;
		if (c != '$' || f->macro)
			break;
		if (lex_expand(lx) == -1)
			return (TOK_BAD);
	}
	if (c == LEX_END)
		return (lx->tok = TOK_EOF);
	if (c == '"' || c == '\'')
		return (lex_quoted(lx, c));
	if (lex_in_word(c))
		return (lex_word(lx));
	lex_skip(lx);
	if (c == '\n')
		return (lx->tok = TOK_NL);
	lex_add(lx, c);
	if (c >= ' ' && c != 0x7f)
		return (lx->tok = TOK_PUNCT);
	snprintf(msg, sizeof(msg), "byte 0x%02x has no place here", c);
	return (lex_bad(lx, msg));
}
