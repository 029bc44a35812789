/*
 * map.c - quiverfs map: a picture of the vectors in two dimensions.
 */
#include "tools/cli/apart.h"
#include "tools/cli/command.h"
#include "tools/cli/map_about.h"
#include "tools/cli/map_arguments.h"
#include "tools/cli/map_colours.h"
#include "tools/cli/map_csv.h"
#include "tools/cli/map_html.h"
#include "tools/cli/map_labels.h"
#include "tools/cli/map_near.h"
#include "tools/cli/map_other.h"
#include "tools/cli/map_place.h"
#include "tools/cli/map_points.h"
#include "tools/cli/map_svg.h"
#include "tools/cli/out_file.h"
#include "tools/cli/say.h"
#include "tools/cli/search_ask.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Tell which files are read, and open the one that is written. Says errors. */
static int open_out(const struct map_arguments *arguments, const struct session *session,
                    struct out_file *file)
{
	struct apart apart = { 0 };
	int result = apart_store(&apart, session->target.path);

	if (result == 0 && arguments->keys != NULL)
		result = apart_read(&apart, arguments->keys);
	if (result == 0 && arguments->colours.path != NULL)
		result = apart_read(&apart, arguments->colours.path);
	if (result == 0)
		result = out_file_open(arguments->output, 0, &apart, file);
	apart_free(&apart);
	return result;
}

/* By which metric vectors are compared. Says errors. */
static int find_metric(const struct map_arguments *arguments, struct session *session,
                       enum quiver_metric *metric)
{
	const struct search_wanted wanted = { .metric = arguments->metric };
	struct search_asker asker = { .fd = -1 };
	int result = search_asker_open(session, &wanted, &asker);

	*metric = asker.metric;
	search_asker_close(&asker);
	return result;
}

/* Give the points other places where that is asked for. Says errors. */
static int place_otherwise(const struct map_arguments *arguments, struct map_points *points)
{
	if (arguments->method == MAP_PCA)
		return 0;
	if (points->count < MAP_OTHER_LEAST) {
		say_note(arguments->target,
		         "%zu vectors are too few for umap or tsne; use --method pca",
		         points->count);
		return 0;
	}
	return map_other(arguments->method, points);
}

/* Find out all that is shown. Says errors, but for -EINTR. */
static int find_all(const struct map_arguments *arguments, struct session *session,
                    struct map_points *points)
{
	uint64_t most;
	int result = find_metric(arguments, session, &points->metric);

	if (result == 0)
		result = map_place(session, arguments->most, points);
	if (result == 0)
		result = place_otherwise(arguments, points);
	most = arguments->neighbours_of > 0 ? arguments->neighbours_of
	                                    : map_near_most(session, points);
	if (result == 0 && arguments->format == MAP_HTML && arguments->neighbours > 0)
		result = map_near(session, (uint32_t)arguments->neighbours, most, points);
	if (result == 0 && arguments->keys != NULL)
		result = map_labels_read(arguments->keys, arguments->start_id, points);
	if (result == 0 && arguments->colours.path != NULL)
		return map_colours_of_table(&arguments->colours, arguments->start_id, points);
	if (result == 0 && arguments->clusters > 0 && points->count > 0) {
		result = map_colours_of_clusters((size_t)arguments->clusters, points);
		if (result < 0)
			say_errno(session->target.path, result);
	}
	return result;
}

static int write_all(const struct map_arguments *arguments, const struct map_about *about,
                     const struct map_points *points, struct out_file *file)
{
	int result = arguments->format == MAP_HTML  ? map_html_write(about, points, file)
	             : arguments->format == MAP_SVG ? map_svg_write(about, points, file)
	                                            : map_csv_write(points, file);

	if (result == 0)
		result = out_file_sync(file);
	return result < 0 ? result : out_file_end(file);
}

/* Tell what the picture does not show. */
static void say_notes(const struct map_arguments *arguments, const struct map_points *points)
{
	size_t drawn = points->count;

	if (arguments->format == MAP_SVG && drawn > MAP_SVG_MAX)
		drawn = MAP_SVG_MAX;
	if (drawn < points->used)
		say_note(arguments->output,
		         "%zu of %" PRIu64 " vectors are drawn, spread evenly over their IDs%s",
		         drawn, points->used,
		         drawn < points->count ? "; an .html can show more" : "; --max draws more");
	if (points->not_finite > 0)
		say_note(arguments->target,
		         "%" PRIu64 " vectors have a NaN or an infinity, and are not drawn",
		         points->not_finite);
	if (points->without_direction > 0)
		say_note(arguments->target,
		         "%" PRIu64
		         " vectors hold only zeros; they have no direction, and are not drawn",
		         points->without_direction);
	if (points->k > 0 && points->asked_count < points->count)
		say_note(arguments->output,
		         "neighbours were found for %zu of %zu vectors, to save time; "
		         "--neighbours-of N finds more",
		         points->asked_count, points->count);
}

/* Draw the map of an open session. Says errors. */
static int map_session(const struct map_arguments *arguments, struct session *session)
{
	struct map_points points = { 0 };
	struct out_file file = { 0 };
	struct map_about about;
	bool to_stdout;
	int result = open_out(arguments, session, &file);

	to_stdout = result == 0 && out_file_is_stdout(&file);
	if (result == 0)
		result = find_all(arguments, session, &points);
	if (result == 0) {
		map_about_make(session->target.path, &session->geometry, arguments->method, &points,
		               &about);
		result = write_all(arguments, &about, &points, &file);
	}
	if (result == -EINTR)
		say_error(session->target.path, "stopped; nothing was written");
	if (result == 0) {
		say_notes(arguments, &points);
		if (!to_stdout)
			say_result("a map of %zu vector%s written to %s", points.count,
			           points.count == 1 ? "" : "s", arguments->output);
	}
	out_file_drop(&file);
	map_points_free(&points);
	return result;
}

int map_command(int argc, char **argv)
{
	struct map_arguments arguments;
	struct session session;
	int result, closed;

	if (map_arguments_parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	if (search_open(arguments.target, &arguments.reach, &session) < 0)
		return STATUS_FAILED;
	result = map_session(&arguments, &session);
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}
