/*
 * list.c - quiverfs list: which collections there are in a pool.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/reach.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* First size of the list; it doubles. */
#define LIST_FIRST 64u

struct names {
	char **list; /* malloc'd, and each of them */
	size_t count, room;
	bool failed; /* no memory */
};

static void add(void *arg, const char *name)
{
	struct names *names = arg;

	if (names->count == names->room) {
		size_t larger = names->room == 0 ? LIST_FIRST : names->room * 2;
		char **list = reallocarray(names->list, larger, sizeof(*list));

		if (list == NULL) {
			names->failed = true;
			return;
		}
		names->list = list;
		names->room = larger;
	}
	names->list[names->count] = strdup(name);
	if (names->list[names->count] == NULL)
		names->failed = true;
	else
		names->count++;
}

static int compare(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Print each as a command takes it. */
static int list_place(char *place, const struct reach *reach)
{
	struct quiver_error error = { "" };
	struct names names = { 0 };
	size_t length = strlen(place);
	int result;

	result = quiver_stores(place, reach_access(reach), add, &names, &error);
	if (result == 0 && names.failed)
		result = -ENOMEM;
	if (result < 0)
		say_engine(place, error.text, result);
	if (length > 0 && place[length - 1] == '/')
		place[length - 1] = '\0';
	if (names.count > 1)
		qsort(names.list, names.count, sizeof(*names.list), compare);
	for (size_t i = 0; i < names.count; i++) {
		if (result == 0)
			say_result("%s/%s", place, names.list[i]);
		free(names.list[i]);
	}
	free(names.list);
	return result;
}

int list_command(int argc, char **argv)
{
	char *place = NULL;
	struct reach reach = { "" };
	const struct argument_option options[] = { REACH_OPTION(&reach), { 0 } };
	const struct arguments arguments = {
		.usage = "rados:POOL[/NAMESPACE]",
		.help = "List the collections in a pool of Ceph, or in a namespace of it.\v"
			"Each line is a name as the other commands take it. The lines are sorted. "
			"Without NAMESPACE only collections outside of all namespaces are listed.",
		.options = options,
		.words = { &place },
		.least = 1,
		.missing = "the pool is missing: rados:POOL or rados:POOL/NAMESPACE",
	};

	if (arguments_parse(&arguments, argc, argv) < 0)
		return STATUS_USAGE;
	if (quiver_is_folder(place)) {
		say_error(place, "expected a pool of Ceph, rados:POOL or rados:POOL/NAMESPACE; for "
		                 "stores in a folder use ls");
		return STATUS_USAGE;
	}
	return list_place(place, &reach) == 0 ? STATUS_OK : STATUS_FAILED;
}
