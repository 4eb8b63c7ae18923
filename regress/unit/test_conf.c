/* SPDX-License-Identifier: ISC */
/* vm.conf(5): what regress/conf cannot see from outside. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf_int.h"
#include "regress/lib/tap.h"

struct says {
	char lines[4096];
	unsigned nerrors, nwarnings, nnotes;
	unsigned includes;
};

static void
say(void *ctx, enum conf_level level, const char *line)
{
	struct says *s = ctx;
	size_t n = strlen(s->lines);

	s->nerrors += level == CONF_ERROR;
	s->nwarnings += level == CONF_WARN;
	s->nnotes += level == CONF_NOTE;
	snprintf(s->lines + n, sizeof(s->lines) - n, "%s\n", line);
}

static int
one_user(void *ctx, const char *name, uint32_t *id)
{
	(void)ctx;
	*id = 1234;
	return (
	    strcmp(name, "alice") == 0 || strcmp(name, "disk") == 0 ? 0 : -1);
}

static int
one_group(void *ctx, const char *name, uint32_t *id)
{
	(void)ctx;
	*id = 5678;
	return (strcmp(name, "staff") == 0 ? 0 : -1);
}

static int
include_text(struct says *s, const char *name, const char *text, char **bytes,
    size_t *len, char **path)
{
	s->includes++;
	*bytes = strdup(text);
	*len = strlen(text);
	*path = strdup(name);
	return (0);
}

/* Every file includes itself and the next one. */
static int
endless_include(void *ctx, const char *from, const char *name, char **bytes,
    size_t *len, char **path, struct err *e)
{
	(void)from;
	(void)e;
	return (include_text(ctx, name, "include \"again\"\ninclude \"more\"\n",
	    bytes, len, path));
}

static int
empty_include(void *ctx, const char *from, const char *name, char **bytes,
    size_t *len, char **path, struct err *e)
{
	(void)from;
	(void)e;
	return (include_text(ctx, name, "", bytes, len, path));
}

static struct conf *
parse(const char *text, struct says *s, struct err *e)
{
	struct conf_env env = { .ctx = s,
		.report = say,
		.user = one_user,
		.group = one_group,
		.cwd = "/cwd" };
	struct conf *c;

	memset(s, 0, sizeof(*s));
	err_clear(e);
	conf_parse(&c, "t", text, strlen(text), &env, e);
	return (c);
}

static struct conf *
must(const char *text)
{
	struct says s;
	struct err e;
	struct conf *c = parse(text, &s, &e);

	CHECK_MSG(c != NULL, "%s: %s", text, e.text);
	return (c != NULL ? c : conf_new());
}

static void
refuse(const char *text, const char *why)
{
	struct says s;
	struct err e;
	struct conf *c = parse(text, &s, &e);

	CHECK(c == NULL);
	CHECK_STR(e.text, why);
	CHECK_EQ(e.code, EINVAL);
	conf_free(c);
}

/* ---- keys ---- */

static void
keys_are_sane(void)
{
	const struct conf_key *k;
	size_t i, j, scope;

	for (scope = 0; scope < CONF_NSCOPES; scope++)
		for (i = 0; i < conf_keys[scope].nrows; i++) {
			k = &conf_keys[scope].rows[i];
			CHECK_MSG(k->text != NULL && k->text[0] != '\0',
			    "%s has no text", k->name);
			CHECK_MSG(k->min <= k->max || k->type == CONF_CHOICE,
			    "%s: min > max", k->name);
			CHECK_MSG((k->type == CONF_SPECIAL) ==
				(cp_special((enum conf_scope)scope, k->name) !=
				    NULL),
			    "%s: handler", k->name);
			CHECK_MSG(k->type != CONF_CHOICE || k->choices != NULL,
			    "%s has no choices", k->name);
			for (j = 0; j < i; j++)
				CHECK_MSG(
				    strcmp(k->name,
					conf_keys[scope].rows[j].name) != 0,
				    "%s is there twice", k->name);
		}
	CHECK(conf_key_find(CONF_SCOPE_VM, "memory") != NULL);
	CHECK(conf_key_find(CONF_SCOPE_VM, "include") == NULL);
}

/* The bounds of each number and size: taken at both, refused beyond. */
static void
key_bounds(void)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_VM];
	const struct conf_key *k;
	char text[128];
	struct says s;
	struct err e;
	size_t i;
	int d;

	for (i = 0; i < keys->nrows; i++) {
		k = &keys->rows[i];
		if (k->type != CONF_NUM && k->type != CONF_SIZE)
			continue;
		for (d = -1; d <= 2; d++) {
			unsigned long long v = d < 1
			    ? k->min + (uint64_t)d
			    : k->max + (uint64_t)(d - 1);
			struct conf *c;

			snprintf(
			    text, sizeof(text), "vm a { %s %llu }", k->name, v);
			c = parse(text, &s, &e);
			CHECK_MSG((c != NULL) == (d == 0 || d == 1), "%s: %s",
			    text, e.text);
			conf_free(c);
		}
	}
}

static void
defaults(void)
{
	struct conf *c = must("vm a {}\n");
	const struct conf_vm *vm = &c->vms[0];

	CHECK_EQ(c->nvms, 1);
	CHECK_STR(vm->name, "a");
	CHECK_EQ(vm->memory, 512 << 20);
	CHECK_EQ(vm->cpus, 1);
	CHECK_EQ(vm->console_size, 256 << 10);
	CHECK_EQ(vm->enabled, 1);
	CHECK_EQ(vm->owner.uid, 0);
	CHECK_EQ(vm->owner.gid, CONF_NONE);
	CHECK_EQ(conf_stop_timeout(c, vm), 60);
	CHECK_STR(c->socket_path, CONF_SOCKET);
	CHECK_STR(c->state_dir, CONF_STATE_DIR);
	CHECK_STR(c->agentx_path, CONF_AGENTX);
	CHECK_EQ(c->socket_owner.gid, 0);
	CHECK_EQ(c->prefix, 0x64400000);
	CHECK_EQ(c->prefix_len, 10);
	CHECK_EQ(c->parallel, 0);
	CHECK_EQ(c->delay, 30);
	CHECK(c->uid_last - c->uid_first + 1 >= CONF_VMS_MAX);
	conf_free(c);
	conf_free(NULL);
}

static void
values(void)
{
	struct conf *c =
	    must("stop timeout 7\n"
		 "vm a { owner alice:staff\n disk ./x/y.img\n boot \"k\"\n"
		 "interface lladdr 2:0:0:0:a:B }\n"
		 "vm b { owner :staff\n stop timeout 0 }\n");
	const struct conf_vm *vm = &c->vms[0];

	CHECK_EQ(c->nvms, 2);
	CHECK_EQ(vm->owner.uid, 1234);
	CHECK_EQ(vm->owner.gid, 5678);
	CHECK_STR(vm->owner.user, "alice");
	CHECK_STR(vm->owner.group, "staff");
	CHECK_STR(vm->disks[0].path, "/cwd/x/y.img");
	CHECK_STR(vm->boot, "/cwd/k");
	CHECK_EQ(vm->nics[0].lladdr[0], 2);
	CHECK_EQ(vm->nics[0].lladdr[5], 0xb);
	CHECK_EQ(conf_stop_timeout(c, vm), 7);
	CHECK_EQ(c->vms[1].owner.uid, 0);
	CHECK_EQ(c->vms[1].owner.gid, 5678);
	CHECK_EQ(conf_stop_timeout(c, &c->vms[1]), 0);
	conf_free(c);
}

static void
owners(void)
{
	refuse("vm a { owner bob }",
	    "t:1:14: there is no user \"bob\" on this host");
	refuse("vm a { owner alice:alice }",
	    "t:1:14: there is no group \"alice\" on this host");
	refuse("vm a { owner alice:staff:x }",
	    "t:1:14: there is no group \"staff:x\" on this host");
}

/* ---- errors ---- */

static void
errors(void)
{
	struct says s;
	struct err e;
	struct conf *c;

	c = parse("x\nvm a { memory 0 }\nvm b {}\nvm b {}\n", &s, &e);
	CHECK(c == NULL);
	CHECK_EQ(s.nerrors, 3);
	CHECK_STR(e.text, "t:1:1: there is no setting \"x\"");
	CHECK(strstr(s.lines, "t:2:15: memory is 0") != NULL);
	CHECK(strstr(s.lines, "t:4:4: vm \"b\" is defined twice") != NULL);
}

static void
warnings(void)
{
	struct says s;
	struct err e;
	struct conf *c;

	c = parse("u = 1\nvm a { memory 1500K\ninterface switch s }\n", &s, &e);
	REQUIRE(c != NULL);
	CHECK_EQ(s.nerrors, 0);
	CHECK_EQ(s.nwarnings, 2);
	CHECK_EQ(s.nnotes, 1);
	CHECK_EQ(c->vms[0].memory, 1 << 20);
	CHECK_EQ(e.text[0], 0);
	conf_free(c);
}

static void
no_callbacks(void)
{
	const char text[] = "include \"x\"\n";
	struct conf *c;
	struct err e;

	CHECK_EQ(conf_parse(&c, "t", text, strlen(text), NULL, &e), -1);
	CHECK(c == NULL);
	CHECK_STR(e.text, "t:1:9: files cannot be included here");
	CHECK_EQ(conf_parse(&c, "t", text, strlen(text), NULL, NULL), -1);
	CHECK_EQ(conf_parse(&c, "t", "", 0, NULL, &e), 0);
	conf_free(c);
}

static void
include_bomb(void)
{
	const char text[] = "include \"start\"\n";
	struct says s = { 0 };
	struct conf_env env = {
		.ctx = &s, .report = say, .include = endless_include
	};
	struct conf *c;
	struct err e;

	CHECK_EQ(conf_parse(&c, "t", text, strlen(text), &env, &e), -1);
	CHECK(s.includes <= LEX_FILES + CONF_ERRORS_MAX);
	CHECK_STR(e.text,
	    "again:1:9: files are nested too deep; does one "
	    "include itself?");
}

static void
include_many(void)
{
	struct says s = { 0 };
	struct conf_env env = {
		.ctx = &s, .report = say, .include = empty_include
	};
	char text[4096] = "";
	struct conf *c;
	struct err e;
	unsigned i;

	for (i = 0; i < LEX_FILES - 1; i++)
		strcat(text, "include \"x\"\n");
	CHECK_EQ(conf_parse(&c, "t", text, strlen(text), &env, &e), 0);
	conf_free(c);
	strcat(text, "include \"x\"\n");
	CHECK_EQ(conf_parse(&c, "t", text, strlen(text), &env, &e), -1);
	CHECK_STR(e.text, "t:64:9: too many files are included");
}

static void
defines(void)
{
	static const char *const macros[] = { "a=vm x {}", "b=\033[m" };
	struct conf_env env = { .macros = macros, .nmacros = 1 };
	struct conf *c;
	struct err e;

	CHECK_EQ(conf_parse(&c, "t", "$a", 2, &env, &e), 0);
	CHECK(c != NULL && conf_vm_find(c, "x") != NULL);
	conf_free(c);
	env.nmacros = 2;
	CHECK_EQ(conf_parse(&c, "t", "$a", 2, &env, &e), -1);
	CHECK_STR(e.text, "-D b has a control character in its value");
}

static void
limits(void)
{
	char *text = malloc(1 << 20);
	struct says s;
	struct err e;
	size_t n = 0;
	unsigned i;

	REQUIRE(text != NULL);
	for (i = 0; i <= CONF_VMS_MAX; i++)
		n += (size_t)sprintf(text + n, "vm v%u {}\n", i);
	CHECK(parse(text, &s, &e) == NULL);
	CHECK_STR(e.text, "t:4097:4: more than 4096 VMs");
	for (i = n = 0; i <= LEX_MACROS; i++)
		n += (size_t)sprintf(text + n, "m%u = 1\n", i);
	CHECK(parse(text, &s, &e) == NULL);
	CHECK_STR(e.text, "t:1025:1: more than 1024 macros");
	for (i = n = 0; i <= CONF_SWITCHES_MAX; i++)
		n += (size_t)sprintf(text + n, "switch s%u {interface b}\n", i);
	CHECK(parse(text, &s, &e) == NULL);
	CHECK_STR(e.text, "t:257:8: more than 256 switches");
	free(text);
}

/* A template and a switch that "vmctl load" finds in the running daemon. */
static void
base(void)
{
	const char text[] = "vm t instance i { interface switch s }\n"
			    "vm t {}\n";
	struct conf *old = must("switch s { interface b }\nvm t {}\n"), *c;
	struct says s = { 0 };
	struct conf_env env = { .ctx = &s, .report = say, .base = old };
	struct err e;

	CHECK_EQ(conf_parse(&c, "t", text, strlen(text), &env, &e), 0);
	CHECK_EQ(s.nwarnings, 0);
	conf_free(c);
	env.base = NULL;
	CHECK_EQ(conf_parse(&c, "t", text, strlen(text), &env, &e), -1);
	CHECK_STR(e.text, "t:1:4: template \"t\" is not defined above");
	conf_free(old);
}

/* ---- print ---- */

static void
print_round_trip(void)
{
	static const char *const texts[] = { "", "vm a {}",
		"vm a { boot \"\\\"/x\\\"\"\n cmdline ' \\ \\\"a\\'\t\\\\ b' }",
		"vm t { owner alice\nallow instance { disk owner alice:staff } "
		"}\nvm t instance i { enable\n memory 512M\n owner 0\n"
		" cmdline ''\n interfaces 4 }",
		"switch \"disk\" { interface \"disk\" }",
		"vm a { owner \"disk\" }",
		"vm t {}\nvm t instance i { enable\ndisable }",
		"agentx context a\nlocal inet6 prefix fd00::\nlocal inet6\n" };
	struct conf *a, *b;
	char *text;
	size_t i, len;
	FILE *f;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		a = must(texts[i]);
		f = open_memstream(&text, &len);
		conf_print(f, a);
		fclose(f);
		b = must(text);
		CHECK_MSG(conf_equal(a, b), "%s", text);
		free(text);
		conf_free(a);
		conf_free(b);
	}
}

/* A record must be readable when alice has left the host. */
static void
print_ids(void)
{
	struct conf *a = must("vm t { owner alice:staff\n"
			      "allow instance { owner :staff } }"),
		    *b = NULL;
	struct err e = { 0 };
	char *text;
	size_t len;
	FILE *f;

	f = open_memstream(&text, &len);
	conf_print_vm_ids(f, &a->vms[0]);
	fclose(f);
	CHECK_EQ(conf_parse(&b, "record", text, len, NULL, &e), 0);
	CHECK_STR(e.text, "");
	CHECK(b != NULL && conf_equal(a, b));
	free(text);
	conf_free(a);
	conf_free(b);
}

/* ---- compare, reload ---- */

static void
equality(void)
{
	static const char *const settings[] = { "disable", "memory 1G",
		"cpus 2", "boot /k", "boot device net", "cdrom /c", "disk /d",
		"disk /d format raw", "disk /d readonly", "disk /d direct",
		"disk /d serial x", "disk /d on error pause", "interface",
		"interface tap1", "interface switch s",
		"interface lladdr 2:0:0:0:0:1", "interface locked lladdr",
		"interface down", "interface rdomain 1", "interface group g",
		"local interface", "console size 1M", "stop timeout 1",
		"owner 1", "owner :1", "allow instance disk",
		"allow instance owner 1", "sev", "seves", "share /d tag t",
		"share /d tag u", "share /d tag t rw", "share /e tag t" };
	const size_t n = sizeof(settings) / sizeof(settings[0]);
	struct conf *plain = must("vm a {}"), *c;
	struct conf *confs[40];
	char text[128];
	size_t i, j;

	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "vm a { %s }", settings[i]);
		c = confs[i] = must(text);
		CHECK_MSG(!conf_vm_equal(&plain->vms[0], &c->vms[0]),
		    "%s makes no difference", text);
		for (j = 0; j < i; j++)
			CHECK_MSG(!conf_equal(c, confs[j]), "%s equals %s",
			    text, settings[j]);
	}
	for (i = 0; i < n; i++)
		conf_free(confs[i]);
	c = must("vm a { enable\nmemory 512M\ncpus 1\nowner 0\n"
		 "interfaces 0\nconsole size 256K }");
	CHECK(conf_equal(plain, c));
	conf_free(c);
	conf_free(plain);
	/* To an instance it makes a difference: it inherits the rest. */
	plain = must("vm t {}\nvm t instance i {}");
	c = must("vm t {}\nvm t instance i { memory 512M }");
	CHECK(!conf_equal(plain, c));
	conf_free(c);
	conf_free(plain);
}

/* "act:name ..." */
static void
diff_text(const struct conf *old, const struct conf_have *have, size_t nhave,
    const struct conf *new, bool add_only, char *buf, size_t bytes)
{
	static const char *const names[] = { "global", "switches", "remove",
		"change", "add", "later" };
	struct conf_action *acts, *a;
	const char *what;
	size_t n, i, len = 0;

	buf[0] = '\0';
	CHECK_EQ(conf_diff(old, have, nhave, new, add_only, &acts, &n), 0);
	for (i = 0; i < n; i++) {
		a = &acts[i];
		if (a->act == CONF_SWITCHES_CHANGE)
			what = "";
		else if (a->act == CONF_GLOBAL_CHANGE)
			what = a->key->name;
		else
			what = a->vm != NULL ? a->vm->name
					     : have[a->have].vm->name;
		if (a->act == CONF_VM_LATER && a->vm == NULL)
			len +=
			    (size_t)snprintf(buf + len, bytes - len, "gone-");
		len += (size_t)snprintf(
		    buf + len, bytes - len, "%s:%s ", names[a->act], what);
	}
	CHECK((acts == NULL) == (n == 0));
	free(acts);
}

static void
reload(void)
{
	struct conf *old =
	    must("stop timeout 5\nswitch s { interface b }\n"
		 "vm same {}\nvm runs {}\nvm runs-same {}\nvm runs-gone {}\n"
		 "vm changed {}\nvm gone {}\n");
	struct conf *new =
	    must("huge pages off\nswitch s { interface c }\n"
		 "vm new {}\nvm changed { cpus 2 }\nvm runs { cpus 3 }\n"
		 "vm same { memory 512M }\nvm runs-same {}\n");
	struct conf_have have[6];
	struct conf *more;
	char text[512];
	size_t i;

	for (i = 0; i < 6; i++) {
		have[i].vm = &old->vms[i];
		have[i].running = strncmp(old->vms[i].name, "runs", 4) == 0;
	}
	diff_text(old, have, 6, new, false, text, sizeof(text));
	CHECK_STR(text,
	    "global:huge pages global:stop timeout switches: "
	    "gone-later:runs-gone remove:gone add:new change:changed "
	    "later:runs ");
	diff_text(old, have, 6, new, true, text, sizeof(text));
	CHECK_STR(text, "add:new later:changed later:runs ");
	diff_text(old, have, 6, old, false, text, sizeof(text));
	CHECK_STR(text, "");
	more = must("switch s { interface c }\nswitch t { interface d }\n");
	diff_text(old, have, 6, more, true, text, sizeof(text));
	CHECK_STR(text, "switches: ");
	CHECK(!conf_equal(old, more));
	conf_free(more);
	/* A VM that ran with old settings is changed once it has stopped. */
	have[1].running = false;
	diff_text(new, have, 6, new, false, text, sizeof(text));
	CHECK_STR(text,
	    "gone-later:runs-gone remove:gone add:new "
	    "change:changed change:runs ");
	conf_free(old);
	conf_free(new);
}

static void
reload_globals(void)
{
	static const char *const settings[] = { "socket path /x",
		"socket owner 5", "state directory /x", "user range 2000-2001",
		"huge pages off", "stop timeout 1",
		"staggered start parallel 1 delay 1", "local prefix 10.0.0.0/8",
		"local inet6", "agentx" };
	struct conf *old = must(""), *new;
	char text[256], want[256], key[64];
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_GLOBAL];
	size_t i, j;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		new = must(settings[i]);
		key[0] = '\0';
		for (j = 0; j < keys->nrows; j++)
			if (strncmp(keys->rows[j].name, settings[i],
				strlen(keys->rows[j].name)) == 0)
				snprintf(
				    key, sizeof(key), "%s", keys->rows[j].name);
		snprintf(want, sizeof(want), "global:%s ", key);
		diff_text(old, NULL, 0, new, false, text, sizeof(text));
		CHECK_STR(text, want);
		conf_free(new);
	}
	conf_free(old);
}

/* ---- what cannot be started ---- */

static void
unsupported(void)
{
	static const struct {
		const char *setting, *word;
	} cases[] = {
		{ "disk /d format qcow2", "raw images only" },
		{ "disk /d.qcow2", "raw images only" },
		{ "interface", "\"interface\"" },
		{ "interfaces 1", "\"interface\"" },
		{ "local interface", "\"local interface\"" },
		{ "cdrom /c", "\"cdrom\"" },
		{ "boot device disk", "\"boot device\"" },
		{ "sev", "\"sev\"" },
		{ "seves", "\"seves\"" },
	};
	struct conf *c;
	char text[128];
	struct err e;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "vm a { boot /k\n%s }",
		    cases[i].setting);
		c = must(text);
		err_clear(&e);
		CHECK_EQ(conf_vm_unsupported(&c->vms[0], &e), -1);
		CHECK_MSG(strstr(e.text, cases[i].word) != NULL, "%s", e.text);
		CHECK_EQ(e.code, ENOTSUP);
		conf_free(c);
	}
	c = must("vm a { disable }\nvm a instance i { boot /k }\n"
		 "vm l { boot /k\ninitrd /i\ncmdline x\ncpus 64\n"
		 "disk /a\ndisk /b.qcow2 format raw readonly }");
	CHECK_EQ(conf_vm_unsupported(&c->vms[0], &e), -1);
	CHECK(strstr(e.text, "firmware") != NULL);
	CHECK_EQ(conf_vm_unsupported(&c->vms[1], &e), -1);
	CHECK(strstr(e.text, "instance") != NULL);
	CHECK_EQ(conf_vm_unsupported(&c->vms[2], &e), 0);
	conf_free(c);
}

/* ---- the manual ---- */

/* Of an .It line "Ic a b Ar x" the words "a b"; Oo and Oc are left out. */
static void
item_words(char *line, char *words, size_t bytes)
{
	bool key = false;
	char *w, *save;
	size_t len = 0;

	words[0] = '\0';
	for (w = strtok_r(line, " \n", &save); w != NULL;
	     w = strtok_r(NULL, " \n", &save)) {
		if (strcmp(w, "Ic") == 0)
			key = true;
		else if (strcmp(w, "Oo") == 0 || strcmp(w, "Oc") == 0 ||
		    strcmp(w, ".It") == 0)
			continue;
		else if (strcmp(w, "Ar") == 0 || strcmp(w, "Op") == 0 ||
		    strcmp(w, "Pq") == 0 || strcmp(w, "Brq") == 0)
			break;
		else if (key)
			len += (size_t)snprintf(words + len, bytes - len,
			    "%s%s", len == 0 ? "" : " ", w);
	}
}

/*
 * Mark the rows that an item stands for: the longest that it begins with, and
 * what is left without an optional first word.
 */
static bool
item_rows(const char *words, uint64_t *seen, const struct conf_keys *keys)
{
	size_t i, n, len = strlen(words), best = keys->nrows, best_len = 0;

	for (i = 0; i < keys->nrows; i++) {
		n = strlen(keys->rows[i].name);
		if (strncmp(words, keys->rows[i].name, n) == 0 &&
		    (words[n] == '\0' || words[n] == ' ') && n > best_len) {
			best = i;
			best_len = n;
		} else if (n < len && words[len - n - 1] == ' ' &&
		    strcmp(words + len - n, keys->rows[i].name) == 0)
			*seen |= (uint64_t)1 << i;
	}
	if (best < keys->nrows)
		*seen |= (uint64_t)1 << best;
	return (best < keys->nrows);
}

static void
manual_line(char *line, int *scope, uint64_t seen[CONF_NSCOPES])
{
	char words[256];

	if (strncmp(line, ".Ss Including", 13) == 0 ||
	    strncmp(line, ".Sh GLOBAL", 10) == 0)
		*scope = CONF_SCOPE_GLOBAL;
	else if (strncmp(line, ".Sh SWITCHES", 12) == 0)
		*scope = CONF_SCOPE_SWITCH;
	else if (strncmp(line, ".Sh VIRTUAL", 11) == 0)
		*scope = CONF_SCOPE_VM;
	else if (strncmp(line, ".Sh", 3) == 0)
		*scope = -1;
	else if (*scope == CONF_SCOPE_VM &&
	    strncmp(line, "their own and separated", 23) == 0)
		*scope = CONF_SCOPE_IF;
	else if (*scope == CONF_SCOPE_VM &&
	    strncmp(line, "The options stand on the same line:", 35) == 0)
		*scope = CONF_SCOPE_DISK;
	else if (*scope == CONF_SCOPE_VM &&
	    strncmp(line, "Its settings stand on the same line:", 36) == 0)
		*scope = CONF_SCOPE_SHARE;
	else if ((*scope == CONF_SCOPE_IF || *scope == CONF_SCOPE_DISK ||
		     *scope == CONF_SCOPE_SHARE) &&
	    strncmp(line, ".El", 3) == 0)
		*scope = CONF_SCOPE_VM;
	if (*scope == -1 || strncmp(line, ".It ", 4) != 0 ||
	    strstr(line, "Ic ") == NULL)
		return;
	item_words(line, words, sizeof(words));
	CHECK_MSG(item_rows(words, &seen[*scope], &conf_keys[*scope]),
	    "the manual has \"%s\", the %s keys have not", words,
	    conf_keys[*scope].name);
}

/* vm.conf(5) has an item for each row, and no other. */
static void
manual(void)
{
	uint64_t seen[CONF_NSCOPES] = { 0 };
	char line[512];
	int scope = -1;
	size_t i, j;
	FILE *f;

	REQUIRE((f = fopen("man/vm.conf.5", "r")) != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		manual_line(line, &scope, seen);
	fclose(f);
	for (i = 0; i < CONF_NSCOPES; i++)
		for (j = 0; j < conf_keys[i].nrows; j++)
			CHECK_MSG(seen[i] >> j & 1,
			    "the manual has no \"%s\" for %s",
			    conf_keys[i].rows[j].name, conf_keys[i].name);
}

static const struct tap_case cases[] = {
	{ "conf keys: the manual has them all", manual },
	{ "conf keys: names, texts, handlers", keys_are_sane },
	{ "conf keys: bounds", key_bounds },
	{ "conf defaults", defaults },
	{ "conf values", values },
	{ "conf owners", owners },
	{ "conf errors: several, the first in struct err", errors },
	{ "conf warnings do not fail", warnings },
	{ "conf without callbacks", no_callbacks },
	{ "conf include bomb ends", include_bomb },
	{ "conf include of many files ends", include_many },
	{ "conf macros of the command line", defines },
	{ "conf limits of VMs, macros, switches", limits },
	{ "conf base of vmctl load", base },
	{ "conf print and parse again", print_round_trip },
	{ "conf print of owners as numbers", print_ids },
	{ "conf equality sees every setting", equality },
	{ "conf diff: reload and load", reload },
	{ "conf diff: every global setting", reload_globals },
	{ "conf unsupported settings by name", unsupported },
};

TAP_MAIN(cases)
