/* SPDX-License-Identifier: ISC */
/*
 * What the verbs of vmctl share: see ctl.h.
 * Runs in: vmctl, as the caller.  Trusts: vmd no further than the message
 * table; names and reasons are made visible before they are printed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "daemon/ctl/ctl.h"
#include "shared/str.h"

/* Files and /dev/null are watched too, which epoll(7) refuses. */
static struct event_base *
open_base(void)
{
	struct event_config *cfg;
	struct event_base *base = NULL;

	if ((cfg = event_config_new()) == NULL)
		return (NULL);
	if (event_config_require_features(cfg, EV_FEATURE_FDS) == 0)
		base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return (base);
}

int
ctl_connect(struct ctl *ctl, const struct client_conf *extra, struct err *e)
{
	struct client_conf conf = { 0 };

	if (extra != NULL)
		conf = *extra;
	conf.path = ctl->socket;
	conf.text = "vmctl " CTL_VERSION;
	if (ctl->base == NULL && (ctl->base = open_base()) == NULL)
		return (err_set(e, ENOMEM, "no event loop"));
	ctl_disconnect(ctl);
	if ((ctl->client = client_open(ctl->base, &conf, e)) == NULL)
		return (-1);
	return (client_ready(ctl->client, e));
}

void
ctl_disconnect(struct ctl *ctl)
{
	client_close(ctl->client);
	ctl->client = NULL;
}

void
ctl_close(struct ctl *ctl)
{
	ctl_disconnect(ctl);
	if (ctl->base != NULL)
		event_base_free(ctl->base);
	ctl->base = NULL;
}

int
ctl_vm_op(struct ctl *ctl, enum msg_type type, const char *vm, const char *done,
    struct err *e)
{
	struct msg_ref m = { 0 };

	if (vm_ref_parse(&m.vm, vm, e) == -1 ||
	    ctl_connect(ctl, NULL, e) == -1 ||
	    client_call(ctl->client, type, &m, sizeof(m), NULL, NULL, e) == -1)
		return (-1);
	if (done != NULL)
		ctl_note("%s vm %s", done, vm);
	return (0);
}

void
ctl_note(const char *fmt, ...)
{
	char text[1024], shown[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_vis(shown, sizeof(shown), text);
	fprintf(stderr, "vmctl: %s\n", shown);
}

static int
pick_ambiguous(const char *const *names, size_t n, const char *what,
    const char *word, struct err *e)
{
	char fit[ERR_TEXT_BYTES] = "";
	size_t i;

	for (i = 0; i < n; i++) {
		if (strncmp(names[i], word, strlen(word)) != 0)
			continue;
		if (fit[0] != '\0')
			strlcat(fit, ", ", sizeof(fit));
		strlcat(fit, names[i], sizeof(fit));
	}
	return (err_set(
	    e, EINVAL, "ambiguous %s \"%s\": it could be %s", what, word, fit));
}

static int
pick_unknown(const char *const *names, size_t n, const char *what,
    const char *word, struct err *e)
{
	char all[ERR_TEXT_BYTES] = "";
	size_t i;

	for (i = 0; i < n; i++) {
		if (i > 0)
			strlcat(all, ", ", sizeof(all));
		strlcat(all, names[i], sizeof(all));
	}
	return (err_set(
	    e, EINVAL, "unknown %s \"%s\": use one of %s", what, word, all));
}

int
ctl_pick(const char *const *names, size_t n, const char *what, const char *word,
    struct err *e)
{
	size_t i, fits = 0;
	int found = -1;

	for (i = 0; i < n; i++) {
		if (strcmp(names[i], word) == 0)
			return ((int)i);
		if (strncmp(names[i], word, strlen(word)) == 0) {
			found = (int)i;
			fits++;
		}
	}
	if (fits == 0 || word[0] == '\0')
		return (pick_unknown(names, n, what, word, e));
	if (fits > 1)
		return (pick_ambiguous(names, n, what, word, e));
	return (found);
}
