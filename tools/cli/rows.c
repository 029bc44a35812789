/*
 * rows.c - the rows of files of vectors with their IDs, one after another.
 */
#include "tools/cli/rows.h"
#include "tools/cli/say.h"
#include "tools/formats/formats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Keep the key of a row. Says errors. */
static int keep_key(void *arg, const char *key, size_t length)
{
	struct out_file *keys = arg;
	int result = out_file_write(keys, key, length);

	return result < 0 ? result : out_file_write(keys, "\n", 1);
}

/* Say why a path has no format: of what is no file, that, else that nobody said which. */
static void say_no_format(const char *path)
{
	struct stat status;

	if (strcmp(path, "-") == 0)
		say_error("standard input",
		          "it has no name that tells its format; --format does, "
		          "one of: %s",
		          FORMAT_NAMES);
	else if (stat(path, &status) < 0)
		say_errno(path, -errno);
	else if (S_ISDIR(status.st_mode))
		say_error(path, "a folder; expected is a file of vectors, of one of the formats %s",
		          FORMAT_NAMES);
	else
		say_error(path, "its name does not tell its format; --format does, one of: %s",
		          FORMAT_NAMES);
}

/* The format of a path. Says errors. */
static const struct format *find_format(const struct rows_options *options, const char *path)
{
	const struct format *format = options->format != NULL ? format_by_name(options->format)
	                                                      : format_to_read(path);

	if (format == NULL)
		say_no_format(path);
	return format;
}

/* Say what a store of bits takes. */
static int refuse_bits(const struct rows *rows, const struct rows_source *source)
{
	const struct quiver_geometry *geometry = rows->options->geometry;

	say_error(source->stream.path,
	          "its vectors have dim %" PRIu32 " and dtype %s, but %s has dim %" PRIu32
	          " and dtype b1: expected are %" PRIu32 " bools, %" PRIu32
	          " u1 with eight bits each (numpy.packbits) or, with --convert, %" PRIu32
	          " numbers that are 0 or 1",
	          source->reader.dim, element_name(source->reader.type), rows->options->target,
	          geometry->dim, geometry->dim, geometry->vector_bytes, geometry->dim);
	return -EINVAL;
}

/* Compare a file with the store. Says errors. */
static int compare(const struct rows *rows, struct rows_source *source)
{
	const struct format_reader *reader = &source->reader;
	const struct quiver_geometry *geometry = rows->options->geometry;
	bool same_dim = reader->dim == geometry->dim;
	bool bits = rows->type == ELEMENT_B1;

	source->as_it_is =
		(same_dim && reader->type == rows->type) ||
		(bits && reader->type == ELEMENT_U1 && reader->dim == geometry->vector_bytes);
	if (source->as_it_is || (same_dim && rows->options->convert) ||
	    (same_dim && bits && reader->type == ELEMENT_BOOL))
		return 0;
	if (bits)
		return refuse_bits(rows, source);
	say_error(source->stream.path,
	          "its vectors have dim %" PRIu32 " and dtype %s, but %s has dim %" PRIu32
	          " and dtype %s%s",
	          reader->dim, element_name(reader->type), rows->options->target, geometry->dim,
	          element_name(rows->type),
	          same_dim ? "; --convert converts them, and says what is lost" : "");
	return -EINVAL;
}

/* What was asked for of columns fits the format. Says errors. */
static int check_columns(const struct rows_options *options, const struct rows_source *source)
{
	const struct format *format = source->reader.format;

	if ((options->vector_column != NULL || options->id_column != NULL) &&
	    !format->has_columns) {
		say_error(source->stream.path,
		          "%s: a file of the format %s has no columns with names",
		          options->vector_column != NULL ? "--vector-column" : "--id-column",
		          format->name);
		return -EINVAL;
	}
	if ((options->header != FORMAT_HEADER_AUTO || options->delimiter != '\0') &&
	    !format->has_header) {
		say_error(source->stream.path, "%s is for CSV; a file of the format %s has none",
		          options->delimiter != '\0' ? "--delimiter" : "--header", format->name);
		return -EINVAL;
	}
	return 0;
}

/* See to it that packed bytes are unpacked, and that a format that needs a file has one. Says
 * errors. */
static int unpack_source(struct rows_source *source, const struct format *format)
{
	struct stream *stream = &source->stream;
	int result = stream_unpack(stream, !format->any_start, false);

	if (result < 0 && result != -EINTR)
		say_error(stream->path, "%s",
		          stream->reason != NULL ? stream->reason : strerror(-result));
	if (result < 0 || !format->needs_path || stream->sized)
		return result;
	say_error(stream->path, "%s is read from a file only, not from %s", format->name,
	          stream->packed != UNPACK_NONE
	                  ? "a compressed one: decompress it first, with gzip -dk or zstd -dk"
	                  : "a pipe: save it in a file first, and import that");
	return -EINVAL;
}

/* Open one file and look at its header. Says errors. */
static int open_source(struct rows *rows, const char *path, struct rows_source *source)
{
	const struct rows_options *options = rows->options;
	const struct format *format = find_format(options, path);
	struct format_reader *reader = &source->reader;
	int result;

	if (format == NULL)
		return -EINVAL;
	result = stream_open(path, &source->stream);
	if (result < 0) {
		say_errno(path, result);
		return result;
	}
	source->opened = true;
	reader->format = format;
	reader->stream = &source->stream;
	reader->wanted.dim = options->geometry->dim;
	reader->wanted.type = rows->type;
	reader->wanted.convert = options->convert;
	reader->wanted.dataset = options->dataset;
	reader->wanted.vector_column = options->vector_column;
	reader->wanted.id_column = options->id_column;
	reader->wanted.header = options->header;
	reader->wanted.delimiter = options->delimiter;
	reader->wanted.ids_unused = options->start_given || options->ids_path != NULL;
	if (rows->keys.path != NULL) {
		reader->wanted.on_key = keep_key;
		reader->wanted.on_key_arg = &rows->keys;
	}
	result = unpack_source(source, format);
	if (result < 0)
		return result;
	if (options->dataset != NULL && !format->has_datasets) {
		say_error(source->stream.path,
		          "--dataset: a file of the format %s has one array, without a name",
		          format->name);
		return -EINVAL;
	}
	result = check_columns(options, source);
	if (result < 0)
		return result;
	if (rows->keys.path != NULL && !format->reads_keys) {
		say_error(source->stream.path, "--keys: the format %s has none", format->name);
		return -EINVAL;
	}
	result = format->calls->open(reader);
	if (result < 0) {
		if (result != -EINTR && source->stream.sized && source->stream.size == 0)
			say_error(source->stream.path,
			          "the file is empty: expected is the format %s", format->name);
		else if (result != -EINTR)
			say_error(source->stream.path, "%s", reader->reason);
		return result;
	}
	if (reader->note[0] != '\0')
		say_note(source->stream.path, "%s", reader->note);
	stream_rest(&source->stream);
	result = compare(rows, source);
	if (result == 0 && rows->keys.path != NULL && reader->rows != 0 && !reader->has_keys) {
		say_error(source->stream.path, "--keys: its rows have neither keys nor IDs");
		return -EINVAL;
	}
	return result;
}

/* IDs that count up must not run out. Says errors. */
static int check_counting(const struct rows *rows)
{
	if (rows->total == 0 || rows->total == FORMAT_ROWS_UNKNOWN ||
	    rows->total - 1 <= QUIVER_ID_MAX - rows->next_id)
		return 0;
	say_error(rows->options->target,
	          "%" PRIu64 " rows counted from ID %" PRIu64 " go beyond the largest ID, "
	          "%" PRIu64,
	          rows->total, rows->next_id, QUIVER_ID_MAX);
	return -EINVAL;
}

/* Open the file of IDs. Says errors. */
static int open_ids(struct rows *rows)
{
	int result = ids_file_open(rows->options->ids_path, &rows->ids);

	if (result < 0 || rows->total == FORMAT_ROWS_UNKNOWN || rows->ids.rows == rows->total)
		return result;
	say_error(rows->ids.path, "it holds %" PRIu64 " IDs for %" PRIu64 " rows of vectors",
	          rows->ids.rows, rows->total);
	return -EINVAL;
}

/* Add the rows of a file to the total. Says errors. */
static int add_total(struct rows *rows, const struct rows_source *source)
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
	say_error("-", "standard input can be given once only");
	return -EINVAL;
}

/* The file for keys is new: export reads such a file, so one that is there may be wanted. Says
 * errors. */
static int open_keys(struct rows *rows)
{
	const char *path = rows->options->keys_path;
	struct stat status;

	if (lstat(path, &status) < 0)
		return out_file_open(path, &rows->keys);
	say_error(path, "--keys: it exists already, and would be replaced by the keys of this "
	                "import; remove it or give another name");
	return -EEXIST;
}

static int open_all(struct rows *rows)
{
	const struct rows_options *options = rows->options;
	int result = check_paths(options);

	if (result == 0)
		result = element_parse(quiver_dtype_name(options->geometry->dtype), &rows->type);
	if (result == 0 && options->keys_path != NULL)
		result = open_keys(rows);
	for (size_t i = 0; i < options->paths_count && result == 0; i++) {
		rows->sources_count = i + 1;
		result = open_source(rows, options->paths[i], &rows->sources[i]);
		if (result == 0)
			result = add_total(rows, &rows->sources[i]);
	}
	if (result == 0)
		result = options->ids_path != NULL ? open_ids(rows) : check_counting(rows);
	return result;
}

int rows_open(const struct rows_options *options, struct rows *rows)
{
	int result;

	memset(rows, 0, sizeof(*rows));
	rows->options = options;
	rows->ids.fd = -1;
	rows->next_id = options->start_id;
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

/* Room for a batch: where its rows are, and, for those of another type, they
 * themselves. */
static int make_room(struct rows *rows, size_t max)
{
	size_t row_bytes = 0;

	if (max <= rows->room)
		return 0;
	for (size_t i = 0; i < rows->sources_count; i++) {
		const struct format_reader *reader = &rows->sources[i].reader;
		size_t bytes = element_row_bytes(reader->type, reader->dim);

		if (!rows->sources[i].as_it_is && bytes > row_bytes)
			row_bytes = bytes;
	}
	free(rows->raw);
	free(rows->offsets);
	rows->room = 0;
	rows->raw = row_bytes > 0 ? malloc(max * row_bytes) : NULL;
	rows->offsets = calloc(max, sizeof(*rows->offsets));
	if (rows->offsets == NULL || (row_bytes > 0 && rows->raw == NULL)) {
		say_errno(rows->options->target, -ENOMEM);
		return -ENOMEM;
	}
	rows->room = max;
	return 0;
}

/* Where row `index` of the batch is: "row 17 (at byte 1234)". */
static void describe(const struct rows *rows, size_t index, char *to, size_t size)
{
	const struct rows_source *source = &rows->sources[rows->current];
	uint64_t row = rows->batch_first + index;

	if (source->reader.format->needs_path)
		(void)snprintf(to, size, "row %" PRIu64, row);
	else
		(void)snprintf(to, size, "row %" PRIu64 " (at byte %" PRIu64 ")", row,
		               rows->offsets[index]);
}

void rows_say(const struct rows *rows, size_t index, const char *text)
{
	char where[80];

	describe(rows, index, where, sizeof(where));
	say_error(rows->sources[rows->current].stream.path, "%s: %s", where, text);
}

/* Row `index` of the batch is bad: those before it go ahead. */
static void postpone(struct rows *rows, struct format_batch *batch, size_t index, int result,
                     const char *text)
{
	char where[80];

	if (index >= batch->count)
		return;
	describe(rows, index, where, sizeof(where));
	(void)snprintf(rows->pending_text, sizeof(rows->pending_text), "%s: %s", where, text);
	rows->pending = result;
	batch->count = index;
}

/* The reader came to something bad behind the batch. */
static void postpone_reader(struct rows *rows, int result)
{
	const struct format_reader *reader = &rows->sources[rows->current].reader;
	char line[40] = "";

	if (reader->line > 0)
		(void)snprintf(line, sizeof(line), "line %" PRIu64 ", ", reader->line);
	rows->pending = result;
	(void)snprintf(rows->pending_text, sizeof(rows->pending_text),
	               "row %" PRIu64 " (%sat byte %" PRIu64 "): %s", reader->row, line,
	               reader->offset, reader->reason);
}

/* Give the rows of the batch their IDs. Says errors of the file of IDs. */
static int number(struct rows *rows, struct format_batch *batch)
{
	bool own = rows->sources[rows->current].reader.has_ids && !rows->options->start_given;
	uint64_t left = rows->ids.rows - rows->ids.next;

	if (rows->ids.fd >= 0) {
		if (left < batch->count)
			postpone(rows, batch, (size_t)left, -EINVAL, "the file of IDs ends here");
		return ids_file_read(&rows->ids, batch->ids, batch->count);
	}
	for (size_t i = 0; i < batch->count; i++) {
		if (!own)
			batch->ids[i] = rows->next_id++;
		if (batch->ids[i] > QUIVER_ID_MAX)
			postpone(rows, batch, i, -EINVAL, "its ID is beyond the largest there is");
	}
	return 0;
}

/* Bring the rows of the batch to the store's type, to `vectors`. */
static void convert(struct rows *rows, struct format_batch *batch, unsigned char *vectors)
{
	const struct rows_source *source = &rows->sources[rows->current];
	const struct format_reader *reader = &source->reader;
	size_t from = element_row_bytes(reader->type, reader->dim);
	size_t to = element_row_bytes(rows->type, reader->dim);
	char text[120];
	size_t bad;

	if (source->as_it_is)
		return;
	for (size_t i = 0; i < batch->count; i++) {
		if (element_convert(reader->type, (unsigned char *)batch->rows + i * from,
		                    rows->type, vectors + i * to, reader->dim, &rows->loss,
		                    &bad) == 0)
			continue;
		(void)snprintf(text, sizeof(text), "element %zu: %s", bad,
		               element_refusal(reader->type, rows->type));
		postpone(rows, batch, i, -EINVAL, text);
	}
}

/* Stop at a row with a NaN or an infinity, where that was asked for. */
static void check_finite(struct rows *rows, struct format_batch *batch,
                         const unsigned char *vectors)
{
	uint32_t dim = rows->options->geometry->dim;
	char text[80];
	size_t bad;

	if (!rows->options->reject_nonfinite ||
	    element_all_finite(rows->type, vectors, batch->count * dim, &bad))
		return;
	(void)snprintf(text, sizeof(text), "element %zu is NaN or infinite", bad % dim);
	postpone(rows, batch, bad / dim, -EINVAL, text);
}

/* Read from the current file. 0, with an empty batch at its end. */
static int read_source(struct rows *rows, struct format_batch *batch, void *vectors)
{
	struct rows_source *source = &rows->sources[rows->current];
	int result;

	batch->rows = source->as_it_is ? vectors : rows->raw;
	batch->count = 0;
	rows->batch_first = source->reader.row;
	result = source->reader.format->calls->read(&source->reader, batch);
	if (result == -EINTR)
		return result;
	if (result < 0)
		postpone_reader(rows, result);
	result = number(rows, batch);
	if (result < 0)
		return result;
	convert(rows, batch, vectors);
	check_finite(rows, batch, vectors);
	return 0;
}

/* At the end of all files: no ID may be left. Says errors. */
static int check_ids_end(const struct rows *rows)
{
	if (rows->ids.fd < 0 || rows->ids.next == rows->ids.rows)
		return 0;
	say_error(rows->ids.path, "it holds %" PRIu64 " IDs, but there were only %" PRIu64 " rows",
	          rows->ids.rows, rows->ids.next);
	return -EINVAL;
}

int64_t rows_read(struct rows *rows, void *vectors, uint64_t *ids, size_t max)
{
	struct format_batch batch = { .room = max, .ids = ids };
	int result = make_room(rows, max);

	if (result < 0)
		return result;
	batch.offsets = rows->offsets;
	while (rows->pending == 0) {
		if (rows->current == rows->sources_count)
			return check_ids_end(rows);
		result = read_source(rows, &batch, vectors);
		if (result < 0)
			return result;
		if (batch.count > 0)
			return (int64_t)batch.count;
		if (rows->pending == 0)
			rows->current++;
	}
	say_error(rows->sources[rows->current].stream.path, "%s", rows->pending_text);
	return rows->pending;
}

uint64_t rows_estimate(const struct rows *rows, uint64_t done)
{
	double size = 0, consumed = 0;

	if (rows->total != FORMAT_ROWS_UNKNOWN)
		return rows->total;
	for (size_t i = 0; i < rows->sources_count; i++) {
		uint64_t source_done, source_size;

		if (!stream_progress(&rows->sources[i].stream, &source_done, &source_size))
			return 0;
		size += (double)source_size;
		consumed += (double)source_done;
	}
	return consumed > 0 ? (uint64_t)((double)done * size / consumed) : 0;
}

/* Say what conversion changed. */
static void say_loss(const struct rows *rows)
{
	struct element_loss all = rows->loss;
	bool binary = all.elements > 0;

	for (size_t i = 0; i < rows->sources_count; i++) {
		const struct element_loss *more = &rows->sources[i].reader.loss;

		all.elements += more->elements;
		all.rounded += more->rounded;
		all.beyond += more->beyond;
		if (more->largest > all.largest)
			all.largest = more->largest;
	}
	if (all.rounded + all.beyond > 0)
		say_note(rows->options->target,
		         "conversion to %s: of %" PRIu64 " elements %" PRIu64
		         " were rounded (by %.3g at most), and %" PRIu64
		         " were beyond its range and became its nearest",
		         element_name(rows->type), all.elements, all.rounded, all.largest,
		         all.beyond);
	else if (binary && rows->options->convert)
		say_note(rows->options->target,
		         "conversion to %s: %" PRIu64 " elements, all of them exact",
		         element_name(rows->type), all.elements);
}

int rows_finish(struct rows *rows)
{
	int result = 0;

	if (rows->keys.path != NULL) {
		result = out_file_sync(&rows->keys);
		if (result == 0)
			result = out_file_rename(&rows->keys);
	}
	say_loss(rows);
	return result;
}

void rows_close(struct rows *rows)
{
	for (size_t i = 0; i < rows->sources_count; i++) {
		struct rows_source *source = &rows->sources[i];

		if (!source->opened)
			continue;
		if (source->reader.format->calls->close != NULL)
			source->reader.format->calls->close(&source->reader);
		stream_close(&source->stream);
	}
	ids_file_close(&rows->ids);
	out_file_drop(&rows->keys);
	free(rows->sources);
	free(rows->raw);
	free(rows->offsets);
	memset(rows, 0, sizeof(*rows));
	rows->ids.fd = -1;
}
