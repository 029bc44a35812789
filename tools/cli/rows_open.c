/*
 * rows_open.c - the files of rows that are imported, opened and looked at together.
 */
#include "tools/cli/row_order.h"
#include "tools/cli/rows.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* IDs that count up must not run out. Says errors. */
static int check_counting(const struct rows *rows)
{
	if (rows->total == 0 || rows->total == FORMAT_ROWS_UNKNOWN ||
	    rows->total - 1 <= QUIVER_ID_MAX - rows->next_id)
		return 0;
	say_error(rows->options->target,
	          "%" PRIu64 " rows from ID %" PRIu64 " on go beyond the largest ID, %" PRIu64,
	          rows->total, rows->next_id, QUIVER_ID_MAX);
	return -EINVAL;
}

/* The first file that is laid out as the vectors.npy of a store, or NULL. */
static const struct row_source *find_column(const struct rows *rows)
{
	for (size_t i = 0; i < rows->sources_count; i++) {
		if (row_source_is_column(&rows->sources[i]))
			return &rows->sources[i];
	}
	return NULL;
}

/* What the rows of a store's columns are: with the IDs of one those of vectors.npy, in which free
 * ones are passed over. Without them most may be no vectors at all. Says errors. */
static int check_columns(const struct rows *rows)
{
	const struct row_source *column = find_column(rows);

	if (rows->ids.free_rows > 0 && (rows->sources_count > 1 || column == NULL)) {
		say_error(rows->ids.path,
		          "%" PRIu64 " of its rows are free; this looks like the ids.npy of a "
		          "store; give it together with the vectors.npy or matrix.npy "
		          "of the same store, and free rows are skipped",
		          rows->ids.free_rows);
		return -EINVAL;
	}
	if (rows->ids.path != NULL || column == NULL || rows->options->start_given)
		return 0;
	say_error(column->stream.path, "it looks like the vectors.npy of a store: its rows are not "
	                               "in the order of the IDs, and some are free; --ids gives "
	                               "its ids.npy; --start-id N takes every row as it is");
	return -EINVAL;
}

/* Open the file of IDs. Says errors. */
static int open_ids(struct rows *rows)
{
	const struct rows_options *options = rows->options;
	int result = ids_file_open(options->ids_path, &rows->ids);
	uint64_t ids = rows->ids.rows;

	if (result < 0 || rows->total == FORMAT_ROWS_UNKNOWN || ids == IDS_FILE_ROWS_UNKNOWN ||
	    ids == rows->total || (ids < rows->total && ids >= options->limit) ||
	    (ids > rows->total && options->partial))
		return result;
	say_error(rows->ids.path, "it holds %" PRIu64 " IDs for %" PRIu64 " rows of vectors",
	          rows->ids.rows, rows->total);
	return -EINVAL;
}

/* Add the rows of a file to the total. Says errors. */
static int add_total(struct rows *rows, const struct row_source *source)
{
	uint64_t more = source->reader.rows;

	if (rows->total == FORMAT_ROWS_UNKNOWN || more == FORMAT_ROWS_UNKNOWN) {
		rows->total = FORMAT_ROWS_UNKNOWN;
		return 0;
	}
	if (!__builtin_add_overflow(rows->total, more, &rows->total) &&
	    rows->total != FORMAT_ROWS_UNKNOWN)
		return 0;
	say_error(source->stream.path, "more rows than there are IDs");
	return -EINVAL;
}

/* Standard input can be read once. Says errors. */
static int check_paths(const struct rows_options *options)
{
	unsigned standard = 0;

	for (size_t i = 0; i < options->paths_count; i++)
		standard += strcmp(options->paths[i], "-") == 0;
	if (standard <= 1)
		return 0;
	say_error("-", "standard input can be given only once");
	return -EINVAL;
}

/* Whether rows have IDs that do not just count up. */
static bool brings_ids(const struct rows *rows)
{
	bool own = false;

	for (size_t i = 0; i < rows->sources_count; i++)
		own = own || rows->sources[i].reader.has_ids;
	return rows->ids.path != NULL || rows->keys.numbering ||
	       (own && !rows->options->start_given);
}

/* Keys that stand for IDs number the rows, and words do not, unless known ones are to. */
static void choose_numbering(struct rows *rows)
{
	for (size_t i = 0; i < rows->sources_count; i++) {
		const struct format_reader *reader = &rows->sources[i].reader;

		if (rows->keys.path != NULL && rows->options->ids_path == NULL &&
		    reader->has_keys && !reader->format->keys_are_words)
			row_keys_number(&rows->keys);
	}
}

/* Say in which order files are read whose numbers tell another one, where rows are counted. */
static void note_order(const struct rows *rows)
{
	char *const *paths = rows->options->paths;
	size_t at = row_order_doubtful(paths, rows->options->paths_count);
	bool counted = rows->options->start_given || rows->ids.path != NULL;

	for (size_t i = 0; i < rows->sources_count; i++)
		counted = counted || !rows->sources[i].reader.has_ids;
	if (counted && at < rows->options->paths_count)
		say_note(rows->options->target,
		         "the files are read in the order given, %s before %s, and the rows are "
		         "numbered in this order; $(ls -v FILES) sorts files by the numbers in "
		         "their names",
		         paths[at], paths[at + 1]);
}

/* All files are open: what do their rows add up to? Says errors. */
static int check_all(struct rows *rows)
{
	int result = 0;

	choose_numbering(rows);
	if (rows->options->ids_path != NULL)
		result = open_ids(rows);
	if (result == 0)
		result = check_columns(rows);
	if (result < 0)
		return result;
	if (rows->total != FORMAT_ROWS_UNKNOWN) {
		rows->total -= rows->ids.free_rows;
		if (rows->total > rows->options->limit)
			rows->total = rows->options->limit;
	}
	rows->brings_ids = brings_ids(rows);
	note_order(rows);
	return rows->ids.path != NULL ? 0 : check_counting(rows);
}

/* A file is read that must not be one of the store's own, unless it is only compared: its rows would
 * move while they are read. Says errors. */
static int add_read(struct apart *apart, bool compared, const char *path)
{
	int result = compared ? 0 : apart_check_source(apart, path);

	return result < 0 ? result : apart_read(apart, path);
}

/* Look at what is read, and open the file for keys, which is none of that. Says errors. */
static int check_files(struct rows *rows)
{
	const struct rows_options *options = rows->options;
	struct apart apart = { 0 };
	int result = apart_store(&apart, options->target);

	if (result == 0 && options->ids_path != NULL)
		result = add_read(&apart, false, options->ids_path);
	for (size_t i = 0; i < options->paths_count && result == 0; i++)
		result = add_read(&apart, options->compared, options->paths[i]);
	if (result == 0 && options->keys_path != NULL)
		result = row_keys_open(options->keys_path, options->add_keys, &apart, &rows->keys);
	apart_free(&apart);
	return result;
}

/* How many rows may be read at most of the file that is opened next. */
static uint64_t limit_left(const struct rows *rows)
{
	uint64_t limit = rows->options->limit;

	if (limit == UINT64_MAX || rows->total == FORMAT_ROWS_UNKNOWN)
		return limit;
	return rows->total < limit ? limit - rows->total : 0;
}

static int open_all(struct rows *rows)
{
	const struct rows_options *options = rows->options;
	int result = check_paths(options);

	if (result == 0)
		result = element_parse(quiver_dtype_name(options->geometry->dtype), &rows->type);
	if (result == 0)
		result = check_files(rows);
	for (size_t i = 0; i < options->paths_count && result == 0; i++) {
		rows->sources_count = i + 1;
		result = row_source_open(options, rows->type, limit_left(rows), &rows->keys,
		                         &rows->names, options->paths[i], &rows->sources[i]);
		if (result == 0 && options->fit != NULL) /* the first file has told it */
			result = element_parse(quiver_dtype_name(options->geometry->dtype),
			                       &rows->type);
		if (result == 0)
			result = add_total(rows, &rows->sources[i]);
	}
	return result < 0 ? result : check_all(rows);
}

int rows_open(const struct rows_options *options, struct rows *rows)
{
	int result;

	memset(rows, 0, sizeof(*rows));
	rows->options = options;
	rows->ids.fd = -1;
	rows->next_id = options->start_id;
	id_tally_start(&rows->tally, ID_TALLY_GROUPS_MAX);
	rows->sources = calloc(options->paths_count, sizeof(*rows->sources));
	if (rows->sources == NULL) {
		say_errno(options->target, -ENOMEM);
		return -ENOMEM;
	}
	result = open_all(rows);
	if (result < 0)
		rows_close(rows);
	return result;
}

void rows_close(struct rows *rows)
{
	for (size_t i = 0; i < rows->sources_count; i++)
		row_source_close(&rows->sources[i]);
	ids_file_close(&rows->ids);
	row_keys_close(&rows->keys);
	row_names_free(&rows->names);
	free(rows->sources);
	free(rows->raw);
	free(rows->offsets);
	free(rows->places);
	id_tally_end(&rows->tally);
	memset(rows, 0, sizeof(*rows));
	rows->ids.fd = -1;
}
