/*
 * reach.h - how a command reaches a store that lies elsewhere: its -o.
 */
#ifndef REACH_H
#define REACH_H

#include <argp.h>
#include <stdbool.h>

/* As a mount takes: fs/daemon/options.h. */
#define REACH_BYTES_MAX 4096

struct reach {
	char access[REACH_BYTES_MAX]; /* all -o, joined by commas */
};

/* The row of a table of arguments.h that takes them. */
#define REACH_OPTION(reach)                                                         \
	{                                                                           \
		NULL, 'o', "OPT,...",                                               \
			"How a collection in Ceph is reached: id=NAME, conf=FILE, " \
			"keyring=FILE, op_timeout=SECONDS",                         \
			.take = reach_take, .to = (reach)                           \
	}

/* Take one -o; `to` is a struct reach. */
error_t reach_take(void *to, char *text, const struct argp_state *state);

/* Whether the value of an -o that also names a file is one of these. */
bool reach_is(const char *text);

/* What struct quiver_options calls `access`; NULL where there is no -o. */
const char *reach_access(const struct reach *reach);

/* Whether -o fits what is named by `given`, a folder or a store elsewhere. 0, or -EINVAL after having
 * said that it does not. */
int reach_check(const struct reach *reach, const char *given);

#endif
