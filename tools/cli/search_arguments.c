/*
 * search_arguments.c - the arguments of quiverfs search.
 */
#include "tools/cli/search_arguments.h"
#include "tools/cli/arguments.h"
#include "tools/cli/ids.h"
#include "tools/cli/row_arguments.h"
#include "tools/formats/formats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define K_DEFAULT 10u

/* What the options themselves say, until all are there. */
struct given {
	struct search_arguments *arguments;
	bool k, format;
};

static const char search_help[] =
	"Find the vectors that are nearest to each QUERY, in a store that is not mounted or "
	"through a live mount.\v"
	"A QUERY is a file of vectors, in any format that 'quiverfs import' reads. Each row is a "
	"question. '-' is standard input. A QUERY can also be the ID of a vector of the store; "
	"that vector is not an answer itself. If the name of a file is a number, put ./ before it. "
	"Each neighbour is a line 'ID distance', nearest first. At equal distances the lower ID "
	"comes first. A blank line stands between two questions. l2 is the sum of the squared "
	"differences, cosine is 1 - cos, ip is the inner product (largest first), hamming is the "
	"number of bits that differ. --self --within writes all pairs that near, as 'ID ID "
	"distance'. If a question cannot be answered, standard error says so, the others are "
	"answered, and the exit status is 1.";

static error_t take_k(void *to, char *text, const struct argp_state *state)
{
	struct given *given = to;
	uint64_t k;

	if (!id_parse(text, &k) || k == 0 || k > QUIVER_NEAREST_MAX)
		arguments_error(state, "-k: '%s' is not a number of neighbours from 1 to %u", text,
		                QUIVER_NEAREST_MAX);
	else
		given->arguments->out.k = (uint32_t)k;
	given->k = true;
	return 0;
}

static error_t take_within(void *to, char *text, const struct argp_state *state)
{
	struct search_wanted *wanted = to;
	char *end;

	wanted->within = strtod(text, &end);
	wanted->has_within = true;
	if (end == text || *end != '\0' || isnan(wanted->within))
		arguments_error(state, "--within: '%s' is not a distance", text);
	return 0;
}

static error_t take_format(void *to, char *text, const struct argp_state *state)
{
	struct given *given = to;

	given->format = true;
	given->arguments->out.format = search_format_by_name(text);
	if (given->arguments->out.format == SEARCH_FORMAT_NONE)
		arguments_error(state,
		                "--format: '%s' is not one of: " SEARCH_FORMAT_NAMES
		                "; --query-format is the format of QUERY",
		                text);
	return 0;
}

static error_t take_query_format(void *to, char *text, const struct argp_state *state)
{
	const char **format = to;

	if (format_by_name(text) == NULL)
		arguments_error(state, "--query-format: '%s' is not one of: %s", text,
		                FORMAT_NAMES);
	*format = text;
	return 0;
}

static error_t take_output(void *to, char *text, const struct argp_state *state)
{
	struct search_arguments *arguments = to;

	if (text[0] == '\0')
		arguments_error(state, "--output: the value is empty ('')");
	if (reach_is(text))
		return reach_take(&arguments->reach, text, state);
	arguments->out.file = text;
	return 0;
}

static error_t take_skip(void *to, char *text, const struct argp_state *state)
{
	uint64_t *bytes = to;

	if (!id_parse(text, bytes) || *bytes > INT64_MAX)
		arguments_error(state, "--skip-bytes: expected a number of bytes, got '%s'", text);
	return 0;
}

static error_t take_limit(void *to, char *text, const struct argp_state *state)
{
	uint64_t *limit = to;

	if (!id_parse(text, limit) || *limit == 0)
		arguments_error(state,
		                "--limit: expected a number of questions, 1 or more, got '%s'",
		                text);
	return 0;
}

/* ---- whether all fits together ------------------------------------------ */

/* What the words are: IDs, or names of files. */
static void take_words(struct search_arguments *arguments, const struct argp_state *state)
{
	size_t count = arguments->words_count;
	uint64_t first;

	if (arguments->self && count > 0)
		arguments_error(state,
		                "--self: all vectors are compared with each other; no QUERY such "
		                "as '%s' is possible",
		                arguments->words[0]);
	if (arguments->self)
		return;
	if (count == 0)
		arguments_error(state, "a QUERY is missing: a file of vectors, '-', or IDs");
	if (count == 0 || !id_parse(arguments->words[0], &first))
		return;
	arguments->ids = calloc(count, sizeof(*arguments->ids));
	if (arguments->ids == NULL) {
		arguments_error(state, "%s", strerror(ENOMEM));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (!id_parse(arguments->words[i], &arguments->ids[i]))
			arguments_error(state,
			                "'%s' is an ID and '%s' is not; give either files or IDs; "
			                "if it is a file, put ./ before its name",
			                arguments->words[0], arguments->words[i]);
	}
	arguments->id_count = count;
}

/* The format of what is written, and whether it can hold that. */
static void check_out(struct given *given, const struct argp_state *state)
{
	struct search_out_options *out = &given->arguments->out;
	bool is_stdout = strcmp(out->file, "-") == 0;

	if (!given->format)
		out->format = is_stdout ? SEARCH_TEXT : search_format_by_path(out->file);
	if (out->format == SEARCH_FORMAT_NONE)
		arguments_error(state,
		                "the name '%s' does not tell the format; give --format, one "
		                "of: " SEARCH_FORMAT_NAMES,
		                out->file);
	if (given->arguments->self && search_format_is_table(out->format))
		arguments_error(state, "--self: pairs can be written only as text or jsonl");
	if (given->arguments->self && out->distances != NULL)
		arguments_error(state, "--self: each pair is written with its distance; "
		                       "--distances cannot be used");
	if (given->arguments->all &&
	    (search_format_is_table(out->format) || out->distances != NULL))
		arguments_error(
			state,
			"--within: the number of neighbours differs from question to question, but "
			"rows of ivecs, fvecs and npy have one length; give -k");
	if (out->distances != NULL && search_format_by_path(out->distances) != SEARCH_FVECS &&
	    search_format_by_path(out->distances) != SEARCH_NPY)
		arguments_error(
			state, "--distances: expected a name that ends in .fvecs or .npy, got '%s'",
			out->distances);
}

static void check(void *to, const struct argp_state *state)
{
	struct given *given = to;
	struct search_arguments *arguments = given->arguments;

	if (arguments->self && !arguments->wanted.has_within)
		arguments_error(state, "--self needs --within D");
	if (arguments->self && given->k)
		arguments_error(
			state,
			"--self: all pairs are written; -k is for questions, and cannot be used");
	arguments->all = arguments->wanted.has_within && !given->k;
	/* all that there are is not what an index finds */
	arguments->wanted.exact = arguments->wanted.exact || arguments->all;
	take_words(arguments, state);
	check_out(given, state);
	arguments->rows.with_names = arguments->out.format == SEARCH_JSONL;
	arguments->rows.paths = arguments->words;
	arguments->rows.paths_count = arguments->words_count;
}

int search_arguments_parse(int argc, char **argv, struct search_arguments *parsed)
{
	struct given given = { .arguments = parsed };
	const struct argument_option options[] = {
		{ NULL, 'k', "K", "Find N neighbours for each question (default 10)",
		  .take = take_k, .to = &given },
		{ "metric", 0, "NAME",
		  "Compare by 'l2', 'cosine', 'ip' or 'hamming' (default: the metric of the store)",
		  .take = arguments_take_metric, .to = &parsed->wanted.metric },
		{ "ids", 0, "FILE",
		  "Search only among the vectors with these IDs: a .npy of type <u8, <i8, <u4 or "
		  "<i4, or a .txt with one per line",
		  .keeps = &parsed->ids_path },
		{ "exact", 0, NULL, "Compare all vectors, even if there is an index",
		  .sets = &parsed->wanted.exact },
		{ "within", 0, "D",
		  "Only neighbours at a distance of at most D; with ip, at a product of at least "
		  "D; without -k all of them",
		  .take = take_within, .to = &parsed->wanted },
		{ "self", 0, NULL,
		  "All pairs of vectors within D, each once, in ascending order of their IDs",
		  .sets = &parsed->self },
		{ "output", 'o', "FILE",
		  "Write to FILE; '-' is standard output. For a collection in Ceph, also how to "
		  "reach it: id=NAME, conf=FILE, keyring=FILE or op_timeout=SECONDS",
		  .take = take_output, .to = parsed },
		{ "format", 0, "NAME",
		  "One of: " SEARCH_FORMAT_NAMES "; without it the suffix of FILE tells",
		  .take = take_format, .to = &given },
		{ "distances", 0, "FILE",
		  "Write the distances to this .fvecs or .npy, beside the IDs in an .ivecs or .npy",
		  .keeps = &parsed->out.distances },
		{ "query-format", 0, "NAME",
		  "The format of QUERY, one of: " FORMAT_NAMES "; without it the suffix tells",
		  .take = take_query_format, .to = &parsed->rows.format },
		{ "convert", 0, NULL,
		  "Convert elements of QUERY to the type of the store, and report what is lost",
		  .sets = &parsed->rows.convert },
		{ "limit", 0, "N", "Only the first N questions", .take = take_limit,
		  .to = &parsed->rows.limit },
		{ "dataset", 0, "NAME", "The name of the array in QUERY, as for 'quiverfs import'",
		  .keeps = &parsed->rows.dataset },
		{ "skip-bytes", 0, "N", "Skip N bytes at the start of a raw QUERY",
		  .take = take_skip, .to = &parsed->rows.skip_bytes },
		{ "vector-column", 0, "NAME", "The column or member of QUERY that is the vector",
		  .keeps = &parsed->rows.vector_column },
		{ "id-column", 0, "NAME",
		  "The column or member of QUERY that names the question in jsonl",
		  .keeps = &parsed->rows.id_column },
		{ "header", 0, "WHAT",
		  "Whether the first line of CSV names the columns: 'yes', 'no' or 'auto'",
		  .take = row_arguments_header, .to = &parsed->rows.header },
		{ "delimiter", 0, "CHAR",
		  "The character between the fields of CSV: 'comma', 'semicolon', 'tab', 'space', "
		  "'pipe' or the character itself",
		  .take = row_arguments_delimiter, .to = &parsed->rows.delimiter },
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE|MNT QUERY...\nSTORE|MNT --self --within D",
		.help = search_help,
		.options = options,
		.words = { &parsed->target },
		.rest = &parsed->words,
		.rest_count = &parsed->words_count,
		.least = 1,
		.missing = "STORE or MNT and a QUERY are needed",
		.check = check,
		.to = &given,
	};
	int result;

	memset(parsed, 0, sizeof(*parsed));
	parsed->wanted.metric = QUIVER_METRIC_OF_STORE;
	parsed->out.file = "-";
	parsed->out.k = K_DEFAULT;
	parsed->rows.limit = UINT64_MAX;
	parsed->rows.start_given = true; /* rows are numbered, whatever IDs they bring */
	parsed->rows.compared = true;
	parsed->rows.format_option = "--query-format";
	result = arguments_parse(&arguments, argc, argv);
	if (result < 0)
		search_arguments_free(parsed);
	return result;
}

void search_arguments_free(struct search_arguments *arguments)
{
	free(arguments->ids);
	free(arguments->wanted.ids);
	arguments->ids = NULL;
	arguments->wanted.ids = NULL;
}
