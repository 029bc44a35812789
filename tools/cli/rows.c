/*
 * rows.c - the rows of files of vectors with their IDs, one after another.
 */
#include "tools/cli/rows.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
	free(rows->places);
	rows->room = 0;
	rows->raw = row_bytes > 0 ? malloc(max * row_bytes) : NULL;
	rows->offsets = calloc(max, sizeof(*rows->offsets));
	rows->places = calloc(max, sizeof(*rows->places));
	if (rows->offsets == NULL || rows->places == NULL || (row_bytes > 0 && rows->raw == NULL)) {
		say_errno(rows->options->target, -ENOMEM);
		return -ENOMEM;
	}
	rows->room = max;
	return 0;
}

/* Where row `index` of the batch is: "row 17 (at byte 1234)". */
static void describe(const struct rows *rows, size_t index, char *to, size_t size)
{
	const struct row_source *source = &rows->sources[rows->current];
	uint64_t row = rows->places[index];

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

const char *rows_name(const struct rows *rows, size_t index)
{
	return row_names_find(&rows->names, index);
}

bool rows_adds_key(const struct rows *rows, size_t index)
{
	return index < rows->keys.count && rows->keys.rows[index].added;
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
	char where[80] = "", line[40] = "";

	rows->pending = result;
	rows->pending_text[0] = '\0';
	if (reader->reason[0] == '\0')
		return; /* it was about something else, which was said */
	if (reader->line > 0)
		(void)snprintf(line, sizeof(line), "line %" PRIu64 ", ", reader->line);
	if (!reader->format->needs_path)
		(void)snprintf(where, sizeof(where), " (%sat byte %" PRIu64 ")", line,
		               reader->offset);
	(void)snprintf(rows->pending_text, sizeof(rows->pending_text), "row %" PRIu64 "%s: %s",
	               reader->row, where, reader->reason);
}

/* Give the rows of the batch the IDs of the file of IDs. Says errors of that. */
static int number_from_file(struct rows *rows, struct format_batch *batch)
{
	static const char ends[] = "the file of IDs ends here";
	uint64_t left = rows->ids.rows - rows->ids.next;
	int64_t got;

	if (left < batch->count)
		postpone(rows, batch, (size_t)left, -EINVAL, ends);
	got = ids_file_read(&rows->ids, batch->ids, batch->count);
	if (got < 0)
		return (int)got;
	postpone(rows, batch, (size_t)got, -EINVAL, ends);
	return 0;
}

/* Row `index` has the ID that its key, or the rows before, say. */
static uint64_t count_up(struct rows *rows, size_t index)
{
	uint64_t id;

	if (rows->keys.path == NULL)
		return rows->next_id++;
	if (index >= rows->keys.count ||
	    __builtin_add_overflow(rows->options->start_id, rows->keys.rows[index].number, &id))
		return UINT64_MAX;
	return id;
}

/* Give the rows of the batch their IDs. Says errors of the file of IDs. */
static int number(struct rows *rows, struct format_batch *batch)
{
	bool own = rows->sources[rows->current].reader.has_ids && !rows->options->start_given;

	if (rows->ids.path != NULL)
		return number_from_file(rows, batch);
	for (size_t i = 0; i < batch->count; i++) {
		if (!own)
			batch->ids[i] = count_up(rows, i);
		if (batch->ids[i] > QUIVER_ID_MAX)
			postpone(rows, batch, i, -EINVAL,
			         "its ID is larger than the largest possible ID");
	}
	return 0;
}

/* Leave out the rows that are free in a store. */
static void pass_free(struct rows *rows, struct format_batch *batch)
{
	const struct format_reader *reader = &rows->sources[rows->current].reader;
	size_t bytes = element_row_bytes(reader->type, reader->dim);
	size_t kept = 0;

	if (rows->ids.free_rows == 0)
		return;
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->ids[i] == QUIVER_ID_NONE)
			continue;
		if (kept < i) {
			batch->ids[kept] = batch->ids[i];
			rows->offsets[kept] = rows->offsets[i];
			rows->places[kept] = rows->places[i];
			memmove((unsigned char *)batch->rows + kept * bytes,
			        (unsigned char *)batch->rows + i * bytes, bytes);
		}
		kept++;
	}
	batch->count = kept;
}

/* Remember which IDs are handed out. Without memory for it they are not counted. */
static void tally(struct rows *rows, const struct format_batch *batch)
{
	if (!rows->brings_ids && rows->keys.path == NULL && batch->count > 0) {
		id_tally_add_range(&rows->tally, batch->ids[0], batch->count);
		return;
	}
	for (size_t i = 0; i < batch->count; i++) {
		if (id_tally_add(&rows->tally, batch->ids[i]) < 0)
			rows->tally.full = true;
	}
}

/* Bring the rows of the batch to the store's type, to `vectors`. */
static void convert(struct rows *rows, struct format_batch *batch, unsigned char *vectors)
{
	const struct row_source *source = &rows->sources[rows->current];
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

/* Read from the current file. The rows that were read, of which the batch may lack some, and 0 at
 * its end. */
static int64_t read_source(struct rows *rows, struct format_batch *batch, void *vectors)
{
	struct row_source *source = &rows->sources[rows->current];
	uint64_t first = source->reader.row;
	size_t count;
	int result;

	batch->rows = source->as_it_is ? vectors : rows->raw;
	batch->count = 0;
	row_keys_begin(&rows->keys);
	row_names_begin(&rows->names);
	result = source->reader.format->calls->read(&source->reader, batch);
	if (result == -EINTR)
		return result;
	count = batch->count;
	for (size_t i = 0; i < count; i++)
		rows->places[i] = first + i;
	if (result < 0)
		postpone_reader(rows, result);
	result = number(rows, batch);
	if (result < 0)
		return result;
	pass_free(rows, batch);
	convert(rows, batch, vectors);
	check_finite(rows, batch, vectors);
	tally(rows, batch);
	return (int64_t)count;
}

/* At the end of all files: no ID may be left. Says errors. */
static int check_ids_end(struct rows *rows)
{
	uint64_t more;
	int64_t left = (int64_t)(rows->ids.rows - rows->ids.next);

	if (rows->ids.path == NULL || rows->options->partial)
		return 0;
	if (rows->ids.rows == IDS_FILE_ROWS_UNKNOWN)
		left = ids_file_read(&rows->ids, &more, 1);
	if (left == 0)
		return 0;
	if (left > 0)
		say_error(rows->ids.path,
		          "the file has more bytes, but only %" PRIu64 " rows were expected",
		          rows->given);
	return left < 0 ? (int)left : -EINVAL;
}

int64_t rows_read(struct rows *rows, void *vectors, uint64_t *ids, size_t max)
{
	uint64_t left = rows->options->limit - rows->given;
	struct format_batch batch = { .room = left < max ? (size_t)left : max, .ids = ids };
	int result = make_room(rows, max);
	int64_t got;

	if (result < 0)
		return result;
	batch.offsets = rows->offsets;
	while (rows->pending == 0) {
		if (batch.room == 0)
			return 0;
		if (rows->current == rows->sources_count)
			return check_ids_end(rows);
		got = read_source(rows, &batch, vectors);
		if (got < 0)
			return got;
		rows->given += batch.count;
		if (batch.count > 0)
			return (int64_t)batch.count;
		if (rows->pending == 0 && got == 0)
			stream_rest(&rows->sources[rows->current++].stream);
	}
	if (rows->pending_text[0] != '\0')
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
	if (consumed <= 0)
		return 0;
	size *= (double)done / consumed;
	return size < (double)rows->options->limit ? (uint64_t)size : rows->options->limit;
}

/* Say which files were taken in part. */
static void say_missing(const struct rows *rows)
{
	for (size_t i = 0; i < rows->sources_count; i++) {
		const struct row_source *source = &rows->sources[i];

		if (source->reader.missing > 0)
			say_note(source->stream.path, "it is cut off: %" PRIu64 " rows are missing",
			         source->reader.missing);
	}
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
		         "conversion to %s: %" PRIu64 " elements, %" PRIu64
		         " rounded (by %.3g at most), %" PRIu64
		         " out of range (each became the nearest value)",
		         element_name(rows->type), all.elements, all.rounded, all.largest,
		         all.beyond);
	else if (binary && rows->options->convert)
		say_note(rows->options->target, "conversion to %s: %" PRIu64 " elements, all exact",
		         element_name(rows->type), all.elements);
}

int rows_finish(struct rows *rows)
{
	int result = row_keys_finish(&rows->keys);

	say_missing(rows);
	say_loss(rows);
	return result;
}
