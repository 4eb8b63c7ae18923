/* SPDX-License-Identifier: ISC */
/*
 * Lexer of vm.conf(5): files, macros and quotes to tokens.  Reentrant, bytes
 * in, nothing opened.  Internal to conf_*.c.
 */
#ifndef PARENT_CONF_LEX_H
#define PARENT_CONF_LEX_H

#include <stdbool.h>
#include <stddef.h>

#define LEX_TEXT_BYTES 8192 /* one token, with NUL */
#define LEX_DEPTH 16        /* files open at once */
#define LEX_FILES 64        /* files in all */
#define LEX_MACROS 1024
#define LEX_MACRO_BYTES 64 /* a name, with NUL */

enum lex_tok {
	TOK_EOF, /* of the file on top; lex_pop() goes on */
	TOK_NL,
	TOK_WORD,   /* unquoted: may be a keyword */
	TOK_STRING, /* quoted */
	TOK_PUNCT,  /* text is one character */
	TOK_BAD     /* reported already */
};

struct lex_pos {
	const char *file;   /* lives as long as the lexer */
	unsigned line, col; /* from 1; col in bytes */
};

struct lex_macro {
	char name[LEX_MACRO_BYTES];
	char *value;
	struct lex_pos at; /* file NULL: from the command line */
	bool used;
};

/* A file, or the text of a macro that is being expanded. */
struct lex_frame {
	const char *bytes;
	size_t len, pos;
	struct lex_pos at; /* of the next byte; of a macro: of its $ */
	bool macro;
};

struct lex {
	struct lex_frame frames[LEX_DEPTH + 1];
	size_t nframes;
	char *paths[LEX_FILES]; /* owned */
	char *bytes[LEX_FILES]; /* owned; NULL: the caller's */
	size_t nfiles;
	struct lex_macro *macros;
	size_t nmacros;
	/* The token. */
	enum lex_tok tok;
	struct lex_pos at;
	size_t len;
	char text[LEX_TEXT_BYTES];
	/* What is wrong with it goes here. */
	void (*error)(void *ctx, const struct lex_pos *, const char *text);
	void *ctx;
};

void lex_init(struct lex *,
    void (*error)(void *ctx, const struct lex_pos *, const char *), void *ctx);
void lex_fini(struct lex *);

/*
 * Read from these bytes until TOK_EOF.  Takes path; takes owned if not NULL
 * (bytes then points into it).  -1: too deep or too many (the two are freed),
 * *why says which.
 */
int lex_push(struct lex *, char *path, char *owned, const char *bytes,
    size_t len, const char **why);
/* Leave the file on top.  false: it was the last. */
bool lex_pop(struct lex *);
/* The next token into lx->tok, at, text, len. */
enum lex_tok lex_next(struct lex *);

bool lex_macro_name(const char *);
struct lex_macro *lex_macro_find(struct lex *, const char *name);
/*
 * Define or define again, unless from the command line; only while the token
 * is TOK_NL or TOK_EOF.  -1: too many or no memory.
 */
int lex_macro_set(
    struct lex *, const char *name, const char *value, const struct lex_pos *);

#endif
