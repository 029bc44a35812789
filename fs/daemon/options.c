/*
 * options.c - the -o options of a mount.
 */
#include "fs/daemon/options.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fuse_opt.h>

#include "fs/base/value.h"

/* An hour between two syncs is as good as never. */
#define COMMIT_SECONDS_MAX 3600u
#define COMMIT_SECONDS_DEFAULT 5u
/* Who waits for an hour has been forgotten. */
#define OP_TIMEOUT_SECONDS_MAX 3600u
/* Room for the strings of one passwd or group entry. */
#define ACCOUNT_BYTES 16384
/* What matrix_mode= may give. */
#define MATRIX_MODES 0644u
/* So much of an option, or of its value, is shown by a message, which then has room for its end. */
#define SHOWN_BYTES_MAX 200

enum option_kind {
	OPTION_IGNORE, /* for mount(8) and its kin, or already the default */
	OPTION_PASS, /* the kernel is to see it */
	OPTION_PREFIX_IGNORE, /* the same with anything behind */
	OPTION_PREFIX_PASS,
	OPTION_TAKE, /* ours: `take` looks at the value */
};

struct option_rule {
	const char *name;
	enum option_kind kind;
	bool has_value; /* OPTION_TAKE: name=value */
	int (*take)(struct mount_options *options, const char *value, struct quiver_error *error);
	bool of_changes; /* it means nothing where nothing can ever be changed */
};

static int fail(struct quiver_error *error, const char *name, const char *value, const char *wanted)
{
	snprintf(error->text, sizeof(error->text), "option %s=%.*s: expected %s", name,
	         SHOWN_BYTES_MAX, value, wanted);
	return -EINVAL;
}

static int take_ro(struct mount_options *options, const char *value, struct quiver_error *error)
{
	(void)value;
	(void)error;
	options->read_only = true;
	return 0;
}

static int take_rw(struct mount_options *options, const char *value, struct quiver_error *error)
{
	(void)value;
	(void)error;
	options->read_only = false;
	return 0;
}

static int take_allow_other(struct mount_options *options, const char *value,
                            struct quiver_error *error)
{
	(void)value;
	(void)error;
	options->allow_other = true;
	return 0;
}

/* `sync` and `dirsync` ask that every change is on the disk when its call
 * returns. The kernel's own flag would follow each write(2) with an fsync, which
 * a vector written in pieces could only refuse. */
static int take_sync(struct mount_options *options, const char *value, struct quiver_error *error)
{
	(void)value;
	(void)error;
	options->durability = QUIVER_ALWAYS;
	return 0;
}

/* What changes a mount that exists: mount(8)'s own work, or tools/cli/remount.c's. */
static int take_remount(struct mount_options *options, const char *value,
                        struct quiver_error *error)
{
	(void)options;
	(void)value;
	snprintf(error->text, sizeof(error->text),
	         "option remount: it is for mount(8), and so is bind: 'mount -o remount,ro DIR'");
	return -EINVAL;
}

/* A number or the name of a user. */
static int take_uid(struct mount_options *options, const char *value, struct quiver_error *error)
{
	char strings[ACCOUNT_BYTES];
	struct passwd entry, *found = NULL;
	uint64_t number;

	if (value_parse_u64(value, strlen(value), &number) == 0 && number < UINT32_MAX) {
		options->uid = (uid_t)number;
	} else if (!isdigit((unsigned char)value[0]) &&
	           getpwnam_r(value, &entry, strings, sizeof(strings), &found) == 0 && found) {
		options->uid = entry.pw_uid;
	} else {
		return fail(error, "uid", value, "a user number or the name of a user");
	}
	options->set_uid = true;
	return 0;
}

/* A number or the name of a group. */
static int take_gid(struct mount_options *options, const char *value, struct quiver_error *error)
{
	char strings[ACCOUNT_BYTES];
	struct group entry, *found = NULL;
	uint64_t number;

	if (value_parse_u64(value, strlen(value), &number) == 0 && number < UINT32_MAX) {
		options->gid = (gid_t)number;
	} else if (!isdigit((unsigned char)value[0]) &&
	           getgrnam_r(value, &entry, strings, sizeof(strings), &found) == 0 && found) {
		options->gid = entry.gr_gid;
	} else {
		return fail(error, "gid", value, "a group number or the name of a group");
	}
	options->set_gid = true;
	return 0;
}

/* Octal, 0 to 0777, as umask(1) takes it. */
static int parse_octal(const char *value, mode_t *mode)
{
	unsigned number = 0;

	for (const char *at = value; *at; at++) {
		if (*at < '0' || *at > '7' || number > 0777)
			return -EINVAL;
		number = number * 8 + (unsigned)(*at - '0');
	}
	if (!*value || number > 0777)
		return -EINVAL;
	*mode = number;
	return 0;
}

static int take_umask(struct mount_options *options, const char *value, struct quiver_error *error)
{
	if (parse_octal(value, &options->umask) < 0)
		return fail(error, "umask", value, "an octal number from 0 to 0777");
	options->set_umask = true;
	return 0;
}

/* Nobody writes to the raw views; that the owner could is how such modes are given. */
static int take_matrix_mode(struct mount_options *options, const char *value,
                            struct quiver_error *error)
{
	if (parse_octal(value, &options->matrix_mode) < 0 || options->matrix_mode & ~MATRIX_MODES)
		return fail(error, "matrix_mode", value,
		            "permissions of matrix.npy and ids.npy in octal, 0644 at most: only "
		            "bits for reading, since nobody can write to them or run them");
	options->set_matrix_mode = true;
	return 0;
}

static int take_durability(struct mount_options *options, const char *value,
                           struct quiver_error *error)
{
	if (quiver_durability_parse(value, &options->durability) < 0)
		return fail(error, "durability", value, "always, fsync, flush or none");
	options->set_durability = true;
	return 0;
}

/* Seconds; 0 is the default, as for ext4. */
static int take_commit(struct mount_options *options, const char *value, struct quiver_error *error)
{
	uint64_t seconds;

	if (value_parse_u64(value, strlen(value), &seconds) < 0 || seconds > COMMIT_SECONDS_MAX)
		return fail(error, "commit", value, "seconds, at most 3600");
	if (seconds == 0)
		seconds = COMMIT_SECONDS_DEFAULT;
	options->commit_interval_ms = (uint32_t)seconds * 1000;
	return 0;
}

static int take_autocompact(struct mount_options *options, const char *value,
                            struct quiver_error *error)
{
	uint64_t percent;

	if (value_parse_u64(value, strlen(value), &percent) < 0 || percent > 100)
		return fail(error, "autocompact", value, "a number from 0 (never) to 100");
	options->autocompact_percent = (uint32_t)percent;
	return 0;
}

static int take_io_uring(struct mount_options *options, const char *value,
                         struct quiver_error *error)
{
	if (strcmp(value, "auto") == 0)
		options->io_uring = IO_URING_AUTO;
	else if (strcmp(value, "on") == 0)
		options->io_uring = IO_URING_ON;
	else if (strcmp(value, "off") == 0)
		options->io_uring = IO_URING_OFF;
	else
		return fail(error, "io_uring", value, "auto, on or off");
	return 0;
}

/* Add what tells how a store elsewhere is reached; the engine looks at it. */
static int add_access(struct mount_options *options, const char *name, const char *value)
{
	char *option;
	int err = 0;

	if (asprintf(&option, "%s=%s", name, value) < 0)
		return -ENOMEM;
	if (fuse_opt_add_opt_escaped(&options->access, option) < 0)
		err = -ENOMEM;
	free(option);
	return err;
}

/* A file: the daemon that opens it leaves the folder that it was started in. */
static int add_access_file(struct mount_options *options, const char *name, const char *value)
{
	char *here, *path;
	int err;

	if (value[0] == '/')
		return add_access(options, name, value);
	here = getcwd(NULL, 0);
	if (!here)
		return -errno;
	if (asprintf(&path, "%s/%s", here, value) < 0) {
		free(here);
		return -ENOMEM;
	}
	err = add_access(options, name, path);
	free(here);
	free(path);
	return err;
}

static int take_id(struct mount_options *options, const char *value, struct quiver_error *error)
{
	if (value[0] == '\0')
		return fail(error, "id", value, "the NAME of a user of the cluster, client.NAME");
	return add_access(options, "id", value);
}

static int take_conf(struct mount_options *options, const char *value, struct quiver_error *error)
{
	if (value[0] == '\0')
		return fail(error, "conf", value, "a file as /etc/ceph/ceph.conf");
	return add_access_file(options, "conf", value);
}

static int take_keyring(struct mount_options *options, const char *value,
                        struct quiver_error *error)
{
	if (value[0] == '\0')
		return fail(error, "keyring", value, "a file with the key of that user");
	return add_access_file(options, "keyring", value);
}

static int take_op_timeout(struct mount_options *options, const char *value,
                           struct quiver_error *error)
{
	uint64_t seconds;

	if (value_parse_u64(value, strlen(value), &seconds) < 0 || seconds == 0 ||
	    seconds > OP_TIMEOUT_SECONDS_MAX)
		return fail(error, "op_timeout", value, "seconds, from 1 to 3600");
	return add_access(options, "op_timeout", value);
}

static const struct option_rule rules[] = {
	{ "ro", OPTION_TAKE, false, take_ro },
	{ "rw", OPTION_TAKE, false, take_rw },
	{ "allow_other", OPTION_TAKE, false, take_allow_other },
	{ "uid", OPTION_TAKE, true, take_uid, true },
	{ "gid", OPTION_TAKE, true, take_gid, true },
	{ "umask", OPTION_TAKE, true, take_umask, true },
	{ "matrix_mode", OPTION_TAKE, true, take_matrix_mode },
	{ "durability", OPTION_TAKE, true, take_durability, true },
	{ "commit", OPTION_TAKE, true, take_commit, true },
	{ "autocompact", OPTION_TAKE, true, take_autocompact, true },
	{ "io_uring", OPTION_TAKE, true, take_io_uring },
	{ "id", OPTION_TAKE, true, take_id },
	{ "conf", OPTION_TAKE, true, take_conf },
	{ "keyring", OPTION_TAKE, true, take_keyring },
	{ "op_timeout", OPTION_TAKE, true, take_op_timeout },
	{ "sync", OPTION_TAKE, false, take_sync },
	{ "dirsync", OPTION_TAKE, false, take_sync },
	{ "remount", OPTION_TAKE, false, take_remount },
	{ "bind", OPTION_TAKE, false, take_remount },

	{ "suid", OPTION_PASS },
	{ "nosuid", OPTION_PASS },
	{ "dev", OPTION_PASS },
	{ "nodev", OPTION_PASS },
	{ "exec", OPTION_PASS },
	{ "noexec", OPTION_PASS },
	{ "noatime", OPTION_PASS },
	{ "nodiratime", OPTION_PASS },
	{ "symfollow", OPTION_PASS },
	{ "nosymfollow", OPTION_PASS },
	{ "context=", OPTION_PREFIX_PASS },
	{ "fscontext=", OPTION_PREFIX_PASS },
	{ "defcontext=", OPTION_PREFIX_PASS },
	{ "rootcontext=", OPTION_PREFIX_PASS },

	{ "defaults", OPTION_IGNORE },
	{ "default_permissions", OPTION_IGNORE },
	{ "async", OPTION_IGNORE },
	{ "atime", OPTION_IGNORE },
	{ "diratime", OPTION_IGNORE },
	{ "relatime", OPTION_IGNORE },
	{ "norelatime", OPTION_IGNORE },
	{ "strictatime", OPTION_IGNORE },
	{ "nostrictatime", OPTION_IGNORE },
	{ "lazytime", OPTION_IGNORE },
	{ "nolazytime", OPTION_IGNORE },
	{ "iversion", OPTION_IGNORE },
	{ "noiversion", OPTION_IGNORE },
	{ "silent", OPTION_IGNORE },
	{ "loud", OPTION_IGNORE },
	{ "auto", OPTION_IGNORE },
	{ "noauto", OPTION_IGNORE },
	{ "nofail", OPTION_IGNORE },
	{ "_netdev", OPTION_IGNORE },
	{ "user", OPTION_IGNORE },
	{ "nouser", OPTION_IGNORE },
	{ "users", OPTION_IGNORE },
	{ "nousers", OPTION_IGNORE },
	{ "owner", OPTION_IGNORE },
	{ "noowner", OPTION_IGNORE },
	{ "group", OPTION_IGNORE },
	{ "nogroup", OPTION_IGNORE },
	{ "user=", OPTION_PREFIX_IGNORE },
	{ "comment=", OPTION_PREFIX_IGNORE },
	{ "x-", OPTION_PREFIX_IGNORE },
	{ "X-", OPTION_PREFIX_IGNORE },
};

/* Whether `rule` is the one for `option`; *value is then what stands behind '='. */
static bool rule_fits(const struct option_rule *rule, const char *option, const char **value)
{
	size_t length = strlen(rule->name);

	*value = "";
	if (strncmp(option, rule->name, length) != 0)
		return false;
	if (rule->kind == OPTION_PREFIX_IGNORE || rule->kind == OPTION_PREFIX_PASS)
		return true;
	if (rule->kind == OPTION_TAKE && rule->has_value) {
		*value = option + length + 1;
		return option[length] == '=';
	}
	return option[length] == '\0';
}

/* One option of the list, unescaped. */
static int take_option(struct mount_options *options, const char *option,
                       struct quiver_error *error)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct option_rule *rule = &rules[i];
		const char *value;

		if (!rule_fits(rule, option, &value))
			continue;
		switch (rule->kind) {
		case OPTION_TAKE:
			if (rule->of_changes)
				options->of_changes = rule->name;
			return rule->take(options, value, error);
		case OPTION_PASS:
		case OPTION_PREFIX_PASS:
			if (fuse_opt_add_opt_escaped(&options->pass, option) < 0)
				return -ENOMEM;
			return 0;
		case OPTION_IGNORE:
		case OPTION_PREFIX_IGNORE:
			return 0;
		}
	}
	snprintf(error->text, sizeof(error->text), "option %.*s: quiverfs does not know it",
	         SHOWN_BYTES_MAX, option);
	return -EINVAL;
}

/* The next option of the list at *at, unescaped, into `to` (as long as the whole
 * list); a backslash takes the next character as it is, and commas between double
 * quotes (context="a:b:c,d") do not end an option. */
static void next_option(const char **at, char *to)
{
	bool quoted = false;

	while (**at && (quoted || **at != ',')) {
		if (**at == '\\' && (*at)[1])
			(*at)++;
		else if (**at == '"')
			quoted = !quoted;
		*to++ = *(*at)++;
	}
	*to = '\0';
	if (**at == ',')
		(*at)++;
}

int mount_options_parse(const char *text, struct mount_options *options, struct quiver_error *error)
{
	char option[MOUNT_OPTIONS_BYTES_MAX];
	int err = 0;

	memset(options, 0, sizeof(*options));
	options->durability = QUIVER_FSYNC;
	options->commit_interval_ms = COMMIT_SECONDS_DEFAULT * 1000;
	if (!text)
		return 0;
	if (strlen(text) >= sizeof(option)) {
		snprintf(error->text, sizeof(error->text), "the list of options is longer than %d",
		         MOUNT_OPTIONS_BYTES_MAX - 1);
		return -EINVAL;
	}
	while (err == 0 && *text) {
		next_option(&text, option);
		if (option[0])
			err = take_option(options, option, error);
	}
	if (err == -ENOMEM)
		snprintf(error->text, sizeof(error->text), "no memory for the options");
	else if (err != 0 && error->text[0] == '\0')
		snprintf(error->text, sizeof(error->text), "the folder of conf= or keyring=: %s",
		         strerror(-err));
	return err;
}

void mount_options_free(struct mount_options *options)
{
	free(options->pass);
	free(options->access);
	options->pass = NULL;
	options->access = NULL;
}
