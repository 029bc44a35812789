/*
 * like.c - a store that is to be like another, or as a file of vectors needs it.
 */
#include "tools/cli/like.h"
#include "tools/cli/rows.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Whether it names a store, as a folder, a snapshot or a collection; else it is a file. */
static bool is_store(const char *like)
{
	struct stat status;
	size_t length;

	if (stat(like, &status) == 0)
		return S_ISDIR(status.st_mode);
	return !quiver_is_folder(like) || quiver_is_snapshot(like, &length);
}

/* What is given goes before what is found. */
static void take_geometry(struct row_fit *fit, const struct quiver_geometry *like)
{
	struct quiver_geometry *geometry = &fit->geometry;

	if (geometry->dim == 0)
		geometry->dim = like->dim;
	if (!fit->dtype_given)
		geometry->dtype = like->dtype;
	geometry->vector_bytes = quiver_vector_bytes(geometry->dim, geometry->dtype);
}

/* Says errors. */
static int take_store(const char *like, const struct reach *reach, struct row_fit *fit,
                      enum quiver_metric *metric)
{
	static const struct reach none = { "" };
	struct quiver_description description;
	struct session session;
	int result = session_open(like, quiver_is_folder(like) ? &none : reach,
	                          SESSION_READ_ONLY | SESSION_QUIET, &session);
	int closed;

	if (result < 0)
		return result;
	take_geometry(fit, &session.geometry);
	result = session_describe(&session, &description);
	if (result == 0)
		*metric = description.metric;
	else if (result == -ENOENT)
		result = 0; /* its daemon is an older one, which knows none */
	closed = session_close(&session);
	return result < 0 ? result : closed;
}

/* Says errors. */
static int take_file(const char *like, const char *store, struct row_fit *fit)
{
	char path[PATH_MAX];
	char *paths[] = { path };
	const struct rows_options options = {
		.paths = paths,
		.paths_count = 1,
		.format_option = "'quiverfs import STORE FILE --format NAME'",
		.start_given = true, /* IDs do not matter */
		.compared = true, /* it may be a file of a store */
		.convert = true, /* its rows are not taken */
		.limit = UINT64_MAX,
		.geometry = &fit->geometry,
		.fit = fit,
		.target = store,
	};
	struct rows rows;
	int result;

	if (strcmp(like, "-") == 0) {
		say_error("standard input",
		          "--like needs a file; 'quiverfs import %s - --format NAME' makes the "
		          "store and imports what comes",
		          store);
		return -EINVAL;
	}
	if (snprintf(path, sizeof(path), "%s", like) >= (int)sizeof(path)) {
		say_errno(like, -ENAMETOOLONG);
		return -ENAMETOOLONG;
	}
	result = rows_open(&options, &rows);
	if (result == 0)
		rows_close(&rows);
	return result;
}

int like_take(const char *like, const char *store, const struct reach *reach, struct row_fit *fit,
              enum quiver_metric *metric)
{
	int result = is_store(like) ? take_store(like, reach, fit, metric)
	                            : take_file(like, store, fit);

	if (result < 0 || fit->geometry.vector_bytes > 0)
		return result;
	say_error(
		like,
		"%u elements of %s cannot be a vector of a store; with b1 expected a multiple of 8",
		fit->geometry.dim, quiver_dtype_name(fit->geometry.dtype));
	return -EINVAL;
}
