/*
 * reach.c - how a command reaches a store that lies elsewhere: its -o.
 */
#include "tools/cli/reach.h"
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

error_t reach_take(void *to, char *text, const struct argp_state *state)
{
	struct reach *reach = to;
	size_t length = strlen(reach->access);
	size_t room = sizeof(reach->access) - length;

	if (snprintf(reach->access + length, room, "%s%s", length > 0 ? "," : "", text) >=
	    (int)room)
		arguments_error(state, "-o: all of them together are longer than %d bytes",
		                REACH_BYTES_MAX - 1);
	return 0;
}

bool reach_is(const char *text)
{
	static const char *const names[] = { "id=", "conf=", "keyring=", "op_timeout=" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(text, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

const char *reach_access(const struct reach *reach)
{
	return reach->access[0] != '\0' ? reach->access : NULL;
}

int reach_check(const struct reach *reach, const char *given)
{
	if (reach->access[0] == '\0' || !quiver_is_folder(given))
		return 0;
	say_error(given,
	          "is a folder, but -o %s is only for a collection in Ceph, rados:POOL/COLLECTION",
	          reach->access);
	return -EINVAL;
}
