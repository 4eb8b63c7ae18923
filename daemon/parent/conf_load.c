/* SPDX-License-Identifier: ISC */
/*
 * vm.conf(5) from the host: its files, users and groups; and vmd -n.
 *
 * Runs in: parent before and after the sandbox, and vmd -n.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/parent/conf.h"

#define LOAD_BYTES_MAX (1024 * 1024)

static int
load_user(void *ctx, const char *name, uint32_t *uid)
{
	const struct passwd *pw;

	(void)ctx;
	if ((pw = getpwnam(name)) == NULL)
		return (-1);
	*uid = pw->pw_uid;
	return (0);
}

/* OpenBSD's wheel is the group of number 0; here that may be called root. */
static int
load_group(void *ctx, const char *name, uint32_t *gid)
{
	const struct group *gr;

	(void)ctx;
	if ((gr = getgrnam(name)) != NULL)
		*gid = gr->gr_gid;
	else if (strcmp(name, "wheel") == 0)
		*gid = 0;
	else
		return (-1);
	return (0);
}

/* All of an open regular file. */
static int
load_fd(int fd, const char *path, char **bytes, size_t *len, struct err *e)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1)
		return (err_errno(e, "%s", path));
	if (!S_ISREG(st.st_mode))
		return (err_set(e, EINVAL, "%s is not a regular file", path));
	if (st.st_size > LOAD_BYTES_MAX)
		return (err_set(e, EFBIG, "%s is larger than 1 MB", path));
	if ((*bytes = malloc((size_t)st.st_size + 1)) == NULL)
		return (err_set(e, ENOMEM, "%s: no memory", path));
	*len = 0;
	while (*len < (size_t)st.st_size) {
		n = read(fd, *bytes + *len, (size_t)st.st_size - *len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	if (*len == (size_t)st.st_size)
		return (0);
	free(*bytes);
	*bytes = NULL;
	return (err_set(e, EIO, "%s cannot be read to its end", path));
}

static int
load_file(const char *path, char **bytes, size_t *len, struct err *e)
{
	int fd, r;

	/* Not to hang on a FIFO. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return (err_errno(e, "cannot open %s", path));
	r = load_fd(fd, path, bytes, len, e);
	close(fd);
	return (r);
}

/* A relative name is one beside the file that includes it. */
static int
load_include(void *ctx, const char *from, const char *name, char **bytes,
    size_t *len, char **path, struct err *e)
{
	const char *slash = strrchr(from, '/');
	int n;

	(void)ctx;
	if (name[0] == '/' || slash == NULL)
		n = asprintf(path, "%s", name);
	else
		n = asprintf(path, "%.*s/%s", (int)(slash - from), from, name);
	if (n == -1)
		return (err_set(e, ENOMEM, "%s: no memory", name));
	if (load_file(*path, bytes, len, e) == 0)
		return (0);
	free(*path);
	*path = NULL;
	return (-1);
}

int
conf_load(struct conf **out, const char *path, const char *const *macros,
    size_t nmacros, const struct conf *base,
    void (*report)(void *ctx, enum conf_level, const char *line), void *ctx,
    struct err *e)
{
	const char *name = path == NULL ? CONF_FILE : path;
	struct conf_env env = { .ctx = ctx,
		.include = load_include,
		.user = load_user,
		.group = load_group,
		.report = report,
		.macros = macros,
		.nmacros = nmacros,
		.base = base };
	char cwd[PATH_MAX], *bytes = NULL;
	size_t len = 0;
	int r;

	*out = NULL;
	env.cwd = getcwd(cwd, sizeof(cwd));
	if (load_file(name, &bytes, &len, e) == -1) {
		if (path != NULL || e->code != ENOENT)
			return (-1);
		err_clear(e);
	}
	r = conf_parse(out, name, bytes == NULL ? "" : bytes, len, &env, e);
	free(bytes);
	return (r);
}

/* ---- vmd -n ---- */

struct check {
	bool verbose;
	unsigned nerrors;
};

static void
check_report(void *ctx, enum conf_level level, const char *line)
{
	struct check *check = ctx;

	if (level == CONF_ERROR)
		check->nerrors++;
	if (level != CONF_NOTE || check->verbose)
		fprintf(stderr, "%s\n", line);
}

int
conf_check_main(
    const char *path, const char *const *macros, size_t nmacros, bool verbose)
{
	struct check check = { verbose, 0 };
	struct err e = { 0 };
	struct conf *c;

	if (conf_load(&c, path, macros, nmacros, NULL, check_report, &check,
		&e) == -1) {
		if (check.nerrors == 0)
			fprintf(stderr, "%s\n", e.text);
		return (1);
	}
	conf_print(stdout, c);
	conf_free(c);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		fprintf(stderr, "stdout: %s\n", strerror(errno));
		return (1);
	}
	fprintf(stderr, "configuration OK\n");
	return (0);
}
