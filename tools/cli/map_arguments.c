/*
 * map_arguments.c - the arguments of quiverfs map.
 */
#include "tools/cli/map_arguments.h"
#include "tools/cli/arguments.h"
#include "tools/cli/ids.h"
#include "tools/cli/map_points.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* So many points a browser moves smoothly, in a file of some megabytes. */
#define MOST_DEFAULT 100000u
#define MOST_MAX 2000000u
#define CLUSTERS_DEFAULT 8u
#define NEIGHBOURS_DEFAULT 8u
#define NEIGHBOURS_MAX 64u

static const char map_help[] =
	"Draw a picture of the vectors in two dimensions, from a store that is not mounted, a live "
	"mount, or a snapshot.\v"
	"FILE.html is a page for a browser. You can move and zoom it and search for IDs and words. "
	"Point at a vector to see its neighbours. The page is one file, and loads nothing else. "
	"FILE.svg is a picture. FILE.csv has the places as numbers. PCA uses all vectors. If there "
	"are more than --max, some are drawn, spread evenly over their IDs. Vectors with a NaN or "
	"an infinity are not drawn, but counted. A file that exists is replaced when the new one "
	"is complete.";

static enum map_format format_of(const char *path)
{
	static const char *const endings[] = { ".html", ".svg", ".csv" };
	size_t length = strlen(path), format = 0;

	for (; format < MAP_FORMAT_NONE; format++) {
		size_t ending = strlen(endings[format]);

		if (length > ending && strcasecmp(path + length - ending, endings[format]) == 0)
			break;
	}
	return (enum map_format)format;
}

static error_t take_output(void *to, char *text, const struct argp_state *state)
{
	struct map_arguments *arguments = to;

	if (reach_is(text))
		return reach_take(&arguments->reach, text, state);
	arguments->output = text;
	arguments->format = format_of(text);
	if (arguments->format == MAP_FORMAT_NONE)
		arguments_error(
			state,
			"--output: expected a name that ends in .html, .svg or .csv, got '%s'",
			text);
	return 0;
}

static error_t take_method(void *to, char *text, const struct argp_state *state)
{
	static const char *const names[] = { "pca", "umap", "tsne" };
	enum map_method *method = to;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*method = (enum map_method)i;
			return 0;
		}
	}
	arguments_error(state, "--method: expected pca, umap or tsne, got '%s'", text);
	return 0;
}

static error_t take_color(void *to, char *text, const struct argp_state *state)
{
	struct map_arguments *arguments = to;

	if (map_table_parse(text, &arguments->colours) < 0)
		arguments_error(state, "--color: which column of '%s'? Give FILE:COLUMN", text);
	return 0;
}

/* A number from `least` to `most`. */
static void take_number(uint64_t *to, const char *name, const char *text, uint64_t least,
                        uint64_t most, const struct argp_state *state)
{
	if (!id_parse(text, to) || *to < least || *to > most)
		arguments_error(state, "--%s: '%s' is not a number from %llu to %llu", name, text,
		                (unsigned long long)least, (unsigned long long)most);
}

static error_t take_max(void *to, char *text, const struct argp_state *state)
{
	take_number(to, "max", text, 1, MOST_MAX, state);
	return 0;
}

static error_t take_clusters(void *to, char *text, const struct argp_state *state)
{
	take_number(to, "clusters", text, 0, MAP_GROUPS_MAX, state);
	return 0;
}

static error_t take_neighbours(void *to, char *text, const struct argp_state *state)
{
	take_number(to, "neighbours", text, 0, NEIGHBOURS_MAX, state);
	return 0;
}

static error_t take_neighbours_of(void *to, char *text, const struct argp_state *state)
{
	take_number(to, "neighbours-of", text, 1, MOST_MAX, state);
	return 0;
}

static error_t take_start_id(void *to, char *text, const struct argp_state *state)
{
	if (!id_parse(text, to))
		arguments_error(state, "--start-id: '%s' is not an ID", text);
	return 0;
}

static void check(void *to, const struct argp_state *state)
{
	struct map_arguments *arguments = to;

	if (arguments->output == NULL)
		arguments_error(state, "-o FILE is missing: it ends in .html, .svg or .csv");
	if (arguments->colours.id_column != NULL && arguments->colours.path == NULL)
		arguments_error(state, "--id-column is only for use with --color FILE:COLUMN");
	if (arguments->colours.id_column != NULL && arguments->colours.column == NULL)
		arguments_error(state, "--id-column: '%s' has lines, but no columns",
		                arguments->colours.path);
}

int map_arguments_parse(int argc, char **argv, struct map_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "output", 'o', "FILE",
		  "Write to FILE, which ends in .html, .svg or .csv. For a collection in Ceph, "
		  "also how to reach it: id=NAME, conf=FILE, keyring=FILE or op_timeout=SECONDS",
		  .take = take_output, .to = parsed },
		{ "method", 0, "NAME",
		  "'pca' (default), or 'umap' or 'tsne', which need a library of Python",
		  .take = take_method, .to = &parsed->method },
		{ "metric", 0, "NAME",
		  "Compare by 'l2', 'cosine', 'ip' or 'hamming' (default: the metric of the store)",
		  .take = arguments_take_metric, .to = &parsed->metric },
		{ "max", 0, "N", "Draw at most N vectors (default 100000)", .take = take_max,
		  .to = &parsed->most },
		{ "color", 0, "FILE:COLUMN",
		  "Colour by this column of a .csv, .tsv or .jsonl; in any other FILE each line is "
		  "a value",
		  .take = take_color, .to = parsed },
		{ "id-column", 0, "NAME",
		  "The column of FILE with IDs, or with keys (default 'id', '_id', 'ID', 'key' or "
		  "'word'; without one its rows count up)",
		  .keeps = &parsed->colours.id_column },
		{ "clusters", 0, "K",
		  "Without --color: colour K groups that lie together (default 8; 0: none)",
		  .take = take_clusters, .to = &parsed->clusters },
		{ "keys", 0, "FILE", "A file of keys to show, one line for each vector",
		  .keeps = &parsed->keys },
		{ "words", 0, NULL, NULL },
		{ "start-id", 0, "N",
		  "The first line of --keys, and the first row of a FILE without IDs, is for "
		  "vector N (default 0)",
		  .take = take_start_id, .to = &parsed->start_id },
		{ "neighbours", 0, "K",
		  "In .html: show the K nearest of a vector (default 8; 0: none)",
		  .take = take_neighbours, .to = &parsed->neighbours },
		{ "neighbours-of", 0, "N",
		  "Find neighbours for N of the vectors (default: as many as take some seconds)",
		  .take = take_neighbours_of, .to = &parsed->neighbours_of },
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE|MNT -o FILE",
		.help = map_help,
		.options = options,
		.words = { &parsed->target },
		.least = 1,
		.missing = "STORE or MNT and -o FILE are needed",
		.check = check,
		.to = parsed,
	};

	memset(parsed, 0, sizeof(*parsed));
	parsed->metric = QUIVER_METRIC_OF_STORE;
	parsed->most = MOST_DEFAULT;
	parsed->clusters = CLUSTERS_DEFAULT;
	parsed->neighbours = NEIGHBOURS_DEFAULT;
	return arguments_parse(&arguments, argc, argv);
}
