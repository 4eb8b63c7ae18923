/* SPDX-License-Identifier: ISC */
/*
 * vmtop(1): guests and their consoles in a terminal.  All files are read here,
 * before the sandbox; after that only bytes of the daemon and the keyboard.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/client.h"
#include "tui/loop.h"
#include "tui/sandbox.h"
#include "tui/users.h"

#define THEME_DIR "/usr/share/vmtop/themes"

struct options {
	const char *socket, *theme;
	int delay_ms;
	bool mouse;
};

static void
usage(void)
{
	fputs(
	    "usage: vmtop [-M] [-d seconds] [-s socket] [-t theme]\n", stderr);
	exit(1);
}

static void
die(const struct err *e)
{
	fprintf(stderr, "vmtop: %s\n", e->text);
	exit(1);
}

static int
parse_delay(const char *text)
{
	char *end;
	double s;

	s = strtod(text, &end);
	if (end == text || *end != '\0' || !(s >= 0.2 && s <= 60)) {
		fprintf(stderr, "vmtop: -d %s: not 0.2 to 60 seconds\n", text);
		exit(1);
	}
	return ((int)(s * 1000 + 0.5));
}

static void
parse_args(struct options *o, int argc, char *argv[])
{
	int c;

	while ((c = getopt(argc, argv, "Md:s:t:")) != -1) {
		switch (c) {
		case 'M':
			o->mouse = false;
			break;
		case 'd':
			o->delay_ms = parse_delay(optarg);
			break;
		case 's':
			o->socket = optarg;
			break;
		case 't':
			o->theme = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
}

/* Directory i where themes may be; false: there is no such one. */
static bool
theme_dir(int i, char *buf, size_t size)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char exe[512], *slash;
	ssize_t n;

	switch (i) {
	case 0:
		if (xdg != NULL && xdg[0] == '/')
			snprintf(buf, size, "%s/vmtop/themes", xdg);
		else if (home != NULL)
			snprintf(buf, size, "%s/.config/vmtop/themes", home);
		else
			buf[0] = '\0';
		return (true);
	case 1:
		snprintf(buf, size, "%s", THEME_DIR);
		return (true);
	case 2: /* installed elsewhere */
	case 3: /* not installed: build/vmtop */
		n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
		exe[n < 0 ? 0 : n] = '\0';
		if ((slash = strrchr(exe, '/')) != NULL)
			*slash = '\0';
		snprintf(buf, size, "%s/../%sthemes", exe,
		    i == 2 ? "share/vmtop/" : "");
		return (true);
	default:
		return (false);
	}
}

static FILE *
theme_find(const char *name, char *path, size_t size)
{
	char dir[640];
	FILE *f;
	int i;

	if (strchr(name, '/') != NULL) {
		snprintf(path, size, "%s", name);
		return (fopen(path, "re"));
	}
	for (i = 0; theme_dir(i, dir, sizeof(dir)); i++) {
		snprintf(path, size, "%s/%s.theme", dir, name);
		if ((f = fopen(path, "re")) != NULL)
			return (f);
		if (errno != ENOENT && errno != ENOTDIR)
			return (NULL);
	}
	return (NULL);
}

static int
load_theme(struct theme *t, const char *name, struct err *e)
{
	char path[1024], *text;
	size_t len;
	FILE *f;
	int rc;

	if (name == NULL) {
		theme_default(t);
		return (0);
	}
	if ((f = theme_find(name, path, sizeof(path))) == NULL)
		return (err_errno(
		    e, "theme %s (vmtop(1) says where themes are)", name));
	if ((text = malloc(THEME_FILE_BYTES + 1)) == NULL) {
		fclose(f);
		return (err_errno(e, "theme"));
	}
	len = fread(text, 1, THEME_FILE_BYTES + 1, f);
	fclose(f);
	if ((rc = theme_parse(t, text, len, e)) == -1)
		err_prefix(e, "%s", path);
	free(text);
	return (rc);
}

static bool
no_colour(void)
{
	const char *v = getenv("NO_COLOR");

	return (v != NULL && v[0] != '\0'); /* no-color.org */
}

int
main(int argc, char *argv[])
{
	struct options o = { client_path(NULL), NULL, 1000, true };
	struct screen *screen = NULL;
	struct host_files host;
	struct loop *loop = NULL;
	struct theme theme;
	struct model model;
	struct err e;

	setlocale(LC_CTYPE,
	    ""); /* messages stay: their files would be out of reach */
	parse_args(&o, argc, argv);
	tzset();
	err_clear(&e);
	if (load_theme(&theme, o.theme, &e) == -1)
		die(&e);
	model_init(&model);
	model.delay_ms = o.delay_ms;
	users_load();
	host_open(&host, &model.host);
	signal(SIGPIPE, SIG_IGN);
	if (screen_open(&screen, &theme, o.mouse, no_colour(), &e) == -1)
		die(&e);
	loop = loop_open(screen, &host, &model, o.socket, o.mouse, &e);
	if (loop == NULL || sandbox_tui(&e) == -1) {
		loop_close(loop);
		screen_close(screen);
		die(&e);
	}
	loop_run(loop);
	loop_close(loop);
	screen_close(screen);
	host_close(&host);
	model_fini(&model);
	return (0);
}
