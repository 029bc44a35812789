/*
 * remove.c - quiverfs remove: a collection in a cluster, with all that is in it.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/reach.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* An answer that is longer is none. */
#define ANSWER_BYTES 16
/* Room for how many vectors there are. */
#define CONTENT_BYTES 96

struct remove_arguments {
	char *collection;
	struct reach reach;
	bool yes;
};

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct remove_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "yes", 0, NULL, "Remove it without asking", .sets = &parsed->yes },
		REACH_OPTION(&parsed->reach),
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "rados:POOL[/NAMESPACE]/COLLECTION",
		.help = "Remove a collection in Ceph, with all vectors in it.\v"
			"It cannot be brought back. A mount of it gets EIO from then on. If a "
			"removal was stopped, run it again to remove the rest.",
		.options = options,
		.words = { &parsed->collection },
		.least = 1,
		.missing = "the collection is missing: rados:POOL/COLLECTION",
	};

	return arguments_parse(&arguments, argc, argv);
}

/* How many vectors are in it, for who is asked: to list them may take a while. 0, or a negative errno
 * with the reason in *error. */
static int count_vectors(const struct remove_arguments *arguments, uint64_t *count,
                         struct quiver_error *error)
{
	struct quiver_options options = {
		.size = sizeof(options),
		.read_only = true,
		.access = reach_access(&arguments->reach),
	};
	struct quiver_list *list;
	struct quiver *store;
	int result = quiver_open(arguments->collection, &options, &store, error);

	if (result < 0)
		return result;
	result = quiver_list_open(store, 0, &list);
	if (result == 0) {
		*count = quiver_list_count(store, list);
		quiver_list_close(store, list);
	}
	(void)quiver_close(store); /* it was only read */
	return result;
}

/* What is in it, in words: one that cannot be read may be removed all the same. A negative errno after
 * having said why not. */
static int tell_content(const struct remove_arguments *arguments, char content[CONTENT_BYTES])
{
	struct quiver_error error = { "" };
	uint64_t count = 0;
	int result = count_vectors(arguments, &count, &error);

	switch (result) {
	case 0:
		(void)snprintf(content, CONTENT_BYTES, "%" PRIu64 " vector%s", count,
		               count == 1 ? "" : "s");
		return 0;
	case -EUCLEAN:
		say_note(arguments->collection, "%s",
		         error.text[0] != '\0' ? error.text : strerror(-result));
		(void)snprintf(content, CONTENT_BYTES, "an unknown number of vectors");
		return 0;
	default:
		say_engine(arguments->collection, error.text, result);
		return result;
	}
}

/* Ask on the terminal. */
static bool ask(const char *collection, const char *content)
{
	char answer[ANSWER_BYTES];

	say_question("%s: %s. Remove all of it, for good? (yes or no)", collection, content);
	if (fgets(answer, sizeof(answer), stdin) == NULL)
		return false;
	answer[strcspn(answer, "\n")] = '\0';
	return strcmp(answer, "yes") == 0;
}

/* Whether somebody who is asked wants that. STATUS_OK, or another exit status after having said so. */
static int confirm(const struct remove_arguments *arguments)
{
	const char *collection = arguments->collection;
	char content[CONTENT_BYTES];

	if (tell_content(arguments, content) < 0)
		return STATUS_FAILED;
	if (isatty(STDIN_FILENO) != 1) {
		say_error(collection, "%s; nobody can be asked; --yes removes it without asking",
		          content);
		return STATUS_USAGE;
	}
	if (!ask(collection, content)) {
		say_error(collection, "not removed");
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

/* The exit status. */
static int remove_collection(const struct remove_arguments *arguments)
{
	const char *collection = arguments->collection;
	struct quiver_error error = { "" };
	int result = arguments->yes ? STATUS_OK : confirm(arguments);

	if (result != STATUS_OK)
		return result;
	result = quiver_destroy(collection, reach_access(&arguments->reach), &error);
	if (result < 0) {
		say_engine(collection, error.text, result);
		return STATUS_FAILED;
	}
	say_result("%s: removed", collection);
	return STATUS_OK;
}

int remove_command(int argc, char **argv)
{
	struct remove_arguments arguments = { 0 };

	if (parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	if (quiver_is_folder(arguments.collection)) {
		say_error(arguments.collection,
		          "a collection in Ceph is needed, rados:POOL/COLLECTION; the folder of a "
		          "store is removed by rm -r, that of a mount by umount first");
		return STATUS_USAGE;
	}
	return remove_collection(&arguments);
}
