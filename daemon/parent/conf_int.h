/* SPDX-License-Identifier: ISC */
/* The parser's inside: shared by conf_parse.c, conf_value.c and conf_stmt.c. */
#ifndef PARENT_CONF_INT_H
#define PARENT_CONF_INT_H

#include "daemon/parent/conf.h"
#include "daemon/parent/conf_lex.h"

#define CONF_ERRORS_MAX 20 /* then no more are reported */

/* "switch NAME" of an interface, looked up when all switches are known. */
struct conf_ref {
	struct lex_pos at;
	size_t vm;
	uint8_t nic;
};

struct conf_parser {
	struct lex lx;
	const struct conf_env *env;
	struct conf *conf;
	struct err *e;
	unsigned nerrors;
	bool nomem;
	struct conf_ref *refs;
	size_t nrefs;
	struct lex_pos range_at; /* of "user range"; file NULL: not given */
	/* The block that is being read. */
	enum conf_scope scope;
	void *target;  /* struct conf, conf_switch, _vm, _nic, _disk, _share */
	uint64_t seen; /* bit per row of the scope */
	const struct conf_key *key; /* of the statement */
	struct lex_pos key_at;
	unsigned nics_min; /* "interfaces N" */
	/* "include", done when its line has ended. */
	char include[CONF_PATH_BYTES];
	struct lex_pos include_at;
};

/* ---- conf_report.c ---- */

/* Hand on a finding; an error counts. */
void cp_report(struct conf_parser *, enum conf_level, const struct lex_pos *,
    const char *text);
/* Report; always -1. */
int cp_error(struct conf_parser *, const struct lex_pos *, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void cp_warn(struct conf_parser *, const struct lex_pos *, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int cp_nomem(struct conf_parser *);
/* Error: this token is not what belongs here. */
int cp_expected(struct conf_parser *, const char *what);
void cp_newlines(struct conf_parser *);
bool cp_is_word(const struct conf_parser *, const char *);
bool cp_is_punct(const struct conf_parser *, char);
/* A word that OpenBSD's grammar keeps for itself. */
bool cp_reserved(const char *);

/* ---- conf_parse.c ---- */

/* Statements of a block up to its brace, or of the file. */
int cp_block(struct conf_parser *, enum conf_scope, void *target);
/* One setting of the scope that is set, without the end of its line. */
int cp_option(struct conf_parser *);

/* ---- conf_value.c: take a value from the input, check it, go past it ---- */

/* Can conf_print() write it so that it is read back the same? */
bool cp_text_ok(const char *);
/* One word or string; copies to buf.  at may be NULL. */
int cp_token(struct conf_parser *, const char *what, char *buf, size_t bytes,
    struct lex_pos *at);
/* Adjacent words and strings as one. */
int cp_string(struct conf_parser *, const char *what, char *buf, size_t bytes,
    struct lex_pos *at);
int cp_path(struct conf_parser *, const char *what, bool absolute, char *buf,
    size_t bytes);
int cp_number(struct conf_parser *, const char *what, uint64_t min,
    uint64_t max, uint64_t *);
int cp_name(
    struct conf_parser *, const char *what, char *buf, struct lex_pos *at);
/* The value of a key that is not CONF_SPECIAL. */
int cp_value(struct conf_parser *, const struct conf_key *);

/* ---- conf_addr.c: the same ---- */

int cp_owner(struct conf_parser *, struct conf_owner *);
int cp_lladdr(struct conf_parser *, uint8_t lladdr[6]);
/* ADDR or ADDR/LEN of AF_INET or AF_INET6; addr: 4 or 16 bytes. */
int cp_prefix(struct conf_parser *, int af, uint8_t *addr, uint8_t *len);

/* ---- conf_stmt.c: CONF_SPECIAL keys ---- */

typedef int cp_stmt_fn(struct conf_parser *);
/* NULL: the key has no handler (a test looks for that). */
cp_stmt_fn *cp_special(enum conf_scope, const char *key);

/* ---- conf_vm.c ---- */

cp_stmt_fn stmt_vm, stmt_allow, stmt_disk, stmt_share, stmt_interface,
    stmt_interfaces, stmt_local_interface, stmt_lladdr, stmt_locked_lladdr;

/* The words for CONF_ALLOW_BOOT and the bits after it. */
#define CONF_NRIGHTS 6
extern const char *const conf_rights[CONF_NRIGHTS];

/*
 * Room for one more in an array of n that has a power of two of them; NULL
 * without memory.
 */
void *cp_grow(void *list, size_t n, size_t bytes);

/* ---- conf_print.c ---- */

#define CONF_SIZE_BYTES 24
/* A size without loss in the largest unit that fits, "128G". */
const char *conf_size_text(char *buf, size_t bytes, uint64_t n);

#endif
