/*
 * snapshot_diff.c - what differs between two snapshots of a store: quiverfs snapshot diff.
 */
#include "tools/cli/snapshot_diff.h"
#include "engine/quiver.h"
#include "tools/cli/say.h"
#include "tools/cli/snapshots.h"
#include "tools/cli/target.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>

/* One that differs; `arg` is whether attributes count. -EIO where nobody takes the line: main says
 * why. */
static int print_one(void *arg, uint64_t id, enum quiver_change change)
{
	static const char marks[] = {
		[QUIVER_ADDED] = '+',
		[QUIVER_REMOVED] = '-',
		[QUIVER_CHANGED] = '~',
		[QUIVER_ATTRIBUTES_CHANGED] = '=',
	};
	const bool *attributes = arg;

	if (change == QUIVER_ATTRIBUTES_CHANGED && !*attributes)
		return 0;
	return printf("%c %" PRIu64 "\n", marks[change], id) < 0 ? -EIO : 0;
}

int snapshot_diff(const char *given, const char *older, const char *newer, bool attributes)
{
	struct quiver_error error = { "" };
	char store[PATH_MAX];
	int result = target_find_store(given, store);

	if (result < 0)
		return result;
	if (!quiver_is_folder(store)) {
		cli_snapshots_say_none(given);
		return -EOPNOTSUPP;
	}
	result = quiver_snapshot_diff(store, older, newer, print_one, &attributes, &error);
	if (result < 0 && ferror(stdout) == 0) {
		(void)fflush(stdout); /* main looks at its errors */
		say_engine(store, error.text, result);
	}
	return result;
}
