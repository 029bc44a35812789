/*
 * parquet_write.c - writing Parquet, by way of libduckdb.
 */
#include "tools/formats/parquet_write.h"
#include "engine/codec/printable.h"
#include "tools/formats/duckdb_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Handed to the library at once. */
#define BATCH_BYTES (1u << 20)
/* What others read at once: of vectors, and rows where those are small, as the library has it. */
#define GROUP_BYTES (16u << 20)
#define GROUP_ROWS_MAX 122880u
#define BATCHES 2u

struct batch {
	uint64_t count;
	uint64_t *ids;
	uint64_t *key_ends;
	unsigned char *vectors;
	char *keys;
	size_t keys_room;
};

struct writing {
	struct duck duck;
	struct duck_source source;
	size_t rows_max; /* in a batch */
	struct batch batches[BATCHES];
	struct batch *filling; /* the writer's */
	char *statement;
	bool started;
	pthread_t thread; /* runs the statement */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct batch *full; /* lock; waits for the library */
	struct batch *taken; /* lock; the library copies it */
	bool complete; /* lock; no batch follows */
	bool given_up; /* lock */
	bool ended; /* lock; the statement is */
	int result; /* lock; of the statement, with its reason, the writer's once it has ended */
	char reason[FORMAT_REASON_BYTES];
};

/* The next batch, for the library. */
static int next_batch(void *arg, struct duck_rows *rows)
{
	struct writing *writing = arg;
	const struct batch *batch;
	int result;

	pthread_mutex_lock(&writing->lock);
	writing->taken = NULL;
	pthread_cond_broadcast(&writing->changed);
	while (writing->full == NULL && !writing->complete && !writing->given_up)
		pthread_cond_wait(&writing->changed, &writing->lock);
	batch = writing->full;
	result = writing->given_up ? -ECANCELED : batch != NULL;
	if (result > 0) {
		*rows = (struct duck_rows){ batch->count, batch->ids, batch->keys, batch->key_ends,
			                    batch->vectors };
		writing->taken = writing->full;
		writing->full = NULL;
		pthread_cond_broadcast(&writing->changed);
	}
	pthread_mutex_unlock(&writing->lock);
	return result;
}

static void *run_statement(void *arg)
{
	struct writing *writing = arg;
	struct duck_query query;
	int result = duck_query_begin(&writing->duck, writing->statement, &query, writing->reason);

	while (result == 0 && (result = duck_query_next(&query, writing->reason)) > 0)
		result = 0; /* the number of rows */
	duck_query_end(&query);
	pthread_mutex_lock(&writing->lock);
	writing->ended = true;
	writing->result = result;
	pthread_cond_broadcast(&writing->changed);
	pthread_mutex_unlock(&writing->lock);
	return NULL;
}

/* Wait for the end of the statement. */
static int join(struct format_writer *writer, bool give_up)
{
	struct writing *writing = writer->state;

	if (!writing->started)
		return 0;
	pthread_mutex_lock(&writing->lock);
	writing->complete = true;
	writing->given_up = give_up;
	pthread_cond_broadcast(&writing->changed);
	pthread_mutex_unlock(&writing->lock);
	(void)pthread_join(writing->thread, NULL); /* cannot fail: joined once */
	writing->started = false;
	return writing->result < 0 ? format_writer_refuse(writer, "%s", writing->reason) : 0;
}

/* Put text between quotes of a statement, each quote in it doubled. */
static void put_quoted(FILE *to, char quote, const char *text)
{
	(void)fputc(quote, to);
	for (; *text != '\0'; text++) {
		if (*text == quote)
			(void)fputc(quote, to);
		(void)fputc(*text, to);
	}
	(void)fputc(quote, to);
}

/* What the file tells of itself. */
static void put_notes(FILE *to, const struct format_writer *writer)
{
	(void)fputs(", KV_METADATA {dtype: ", to);
	put_quoted(to, '\'', writer->dtype);
	(void)fputs(", metric: ", to);
	put_quoted(to, '\'', writer->metric);
	if (writer->label != NULL && writer->label[0] != '\0') {
		(void)fputs(", label: ", to);
		put_quoted(to, '\'', writer->label);
	}
	(void)fputs("}", to);
}

/* What the library is told to do. Vectors are not compressed: their bytes hardly can be. */
static int make_statement(const struct format_writer *writer, struct writing *writing)
{
	size_t rows = GROUP_BYTES / ((size_t)writing->source.element_bytes * writer->dim);
	size_t length = 0;
	FILE *to = open_memstream(&writing->statement, &length);

	if (to == NULL)
		return -ENOMEM;
	if (rows > GROUP_ROWS_MAX)
		rows = GROUP_ROWS_MAX;
	(void)fputs("COPY (SELECT * FROM " DUCK_ROWS_TABLE ") TO ", to);
	put_quoted(to, '\'', writing->duck.path);
	(void)fprintf(to,
	              " (FORMAT parquet, COMPRESSION uncompressed, USE_TMP_FILE false, "
	              "ROW_GROUP_SIZE %zu",
	              rows > 0 ? rows : 1);
	if (writer->metric != NULL)
		put_notes(to, writer);
	(void)fputs(")", to);
	/* tells of all that could not be written before */
	return fclose(to) == 0 ? 0 : -ENOMEM;
}

/* The library begins to ask for rows: what the first of them has is known. It does not see
 * signals, which are the writer's. */
static int start(struct format_writer *writer, bool keys)
{
	struct writing *writing = writer->state;
	sigset_t all, before;
	int result;

	writing->source.keys = keys;
	result = duck_rows_register(&writing->duck, &writing->source);
	if (result < 0)
		return format_writer_refuse(writer, "libduckdb does not accept a table");
	(void)sigfillset(&all);
	result = pthread_sigmask(SIG_BLOCK, &all, &before);
	if (result == 0)
		result = pthread_create(&writing->thread, NULL, run_statement, writing);
	writing->started = result == 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* as it was */
	return -result;
}

static int make_batch(const struct writing *writing, struct batch *batch)
{
	size_t row_bytes = (size_t)writing->source.element_bytes * writing->source.dim;

	batch->ids = calloc(writing->rows_max, sizeof(*batch->ids));
	batch->key_ends = calloc(writing->rows_max, sizeof(*batch->key_ends));
	batch->vectors = malloc(writing->rows_max * row_bytes);
	return batch->ids != NULL && batch->key_ends != NULL && batch->vectors != NULL ? 0
	                                                                               : -ENOMEM;
}

/* Of what type the elements are in the file: the library knows no shorter floats. */
static enum element element_there(const struct format_writer *writer)
{
	return writer->type == ELEMENT_F2 || writer->type == ELEMENT_BF2 ? ELEMENT_F4
	                                                                 : writer->type;
}

static enum duck_type type_there(enum element element)
{
	switch (element) {
	case ELEMENT_I1:
		return DUCK_TINYINT;
	case ELEMENT_U1:
		return DUCK_UTINYINT;
	case ELEMENT_F8:
		return DUCK_DOUBLE;
	default:
		return DUCK_FLOAT;
	}
}

/* Make the parts of a writing that is all zeros. */
static int make_writing(const struct format_writer *writer, struct writing *writing)
{
	enum element element = element_there(writer);
	size_t row_bytes = element_row_bytes(element, writer->dim);
	int result = 0;

	pthread_mutex_init(&writing->lock, NULL);
	pthread_cond_init(&writing->changed, NULL);
	writing->source = (struct duck_source){
		.id_column = writer->id_column != NULL ? writer->id_column : "id",
		.vector_column = writer->vector_column != NULL ? writer->vector_column : "vector",
		.element = type_there(element),
		.element_bytes = element_bytes(element),
		.dim = writer->dim,
		.next = next_batch,
		.arg = writing,
	};
	writing->rows_max = BATCH_BYTES / row_bytes;
	if (writing->rows_max == 0)
		writing->rows_max = 1;
	if (writing->rows_max > DUCK_ROWS_MAX)
		writing->rows_max = DUCK_ROWS_MAX;
	for (size_t i = 0; i < BATCHES && result == 0; i++)
		result = make_batch(writing, &writing->batches[i]);
	writing->filling = &writing->batches[0];
	return result;
}

int parquet_write_header(struct format_writer *writer)
{
	struct writing *writing = calloc(1, sizeof(*writing));
	int result;

	if (writing == NULL)
		return -ENOMEM;
	writer->state = writing;
	result = make_writing(writer, writing);
	if (result < 0)
		return result;
	if (strcmp(writing->source.id_column, writing->source.vector_column) == 0)
		return format_writer_refuse(
			writer, "the column of IDs and the column of vectors have the same name");
	result = duck_begin(writer->path, &writing->duck, writing->reason);
	if (result < 0)
		return format_writer_refuse(writer, "%s", writing->reason);
	return make_statement(writer, writing);
}

/* Hand over what is gathered, and go on with the other batch once it is free. */
static int hand_over(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	struct batch *batch = writing->filling;
	struct batch *other = &writing->batches[batch == &writing->batches[0]];
	bool ended;

	if (batch->count == 0)
		return 0;
	pthread_mutex_lock(&writing->lock);
	while (writing->full != NULL && !writing->ended)
		pthread_cond_wait(&writing->changed, &writing->lock);
	writing->full = batch;
	pthread_cond_broadcast(&writing->changed);
	while ((writing->full == other || writing->taken == other) && !writing->ended)
		pthread_cond_wait(&writing->changed, &writing->lock);
	ended = writing->ended;
	pthread_mutex_unlock(&writing->lock);
	other->count = 0;
	writing->filling = other;
	/* only an error ends it before the rows do */
	return ended ? join(writer, false) : 0;
}

/* A key that is no UTF-8 cannot be text. */
static int check_key(struct format_writer *writer, uint64_t id, const char *key)
{
	size_t bytes;

	for (size_t left = strlen(key); left > 0; left -= bytes, key += bytes) {
		if (utf8_character(key, left, &bytes) == UINT32_MAX)
			return format_writer_refuse(
				writer, "the key of vector %" PRIu64 " is not UTF-8", id);
	}
	return 0;
}

static int put_key(struct batch *batch, const char *key)
{
	size_t length = strlen(key);
	uint64_t used = batch->count > 0 ? batch->key_ends[batch->count - 1] : 0;

	if (used + length > batch->keys_room) {
		size_t room = 2 * (used + length);
		char *keys = realloc(batch->keys, room);

		if (keys == NULL)
			return -ENOMEM;
		batch->keys = keys;
		batch->keys_room = room;
	}
	memcpy(batch->keys + used, key, length);
	batch->key_ends[batch->count] = used + length;
	return 0;
}

int parquet_write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	struct writing *writing = writer->state;
	struct batch *batch = writing->filling;
	enum element element = element_there(writer);
	size_t row_bytes = element_row_bytes(element, writer->dim), bad;
	unsigned char *to = batch->vectors + batch->count * row_bytes;
	int result = writing->started ? 0 : start(writer, key != NULL);

	if (result == 0 && key != NULL)
		result = check_key(writer, id, key);
	if (result == 0 && key != NULL)
		result = put_key(batch, key);
	if (result < 0)
		return result;
	batch->ids[batch->count] = id;
	if (element == writer->type)
		memcpy(to, row, row_bytes);
	else /* a wider float takes each: nothing is lost */
		(void)element_convert(writer->type, row, element, to, writer->dim,
		                      &(struct element_loss){ 0 }, &bad);
	batch->count++;
	return batch->count == writing->rows_max ? hand_over(writer) : 0;
}

int parquet_write_finish(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	int result = writing->started ? 0 : start(writer, false);

	if (result == 0)
		result = hand_over(writer);
	return result < 0 ? result : join(writer, false);
}

void parquet_write_end(struct format_writer *writer)
{
	struct writing *writing = writer->state;

	if (writing == NULL)
		return;
	(void)join(writer, true); /* what it writes is thrown away */
	duck_end(&writing->duck);
	for (size_t i = 0; i < BATCHES; i++) {
		free(writing->batches[i].ids);
		free(writing->batches[i].key_ends);
		free(writing->batches[i].vectors);
		free(writing->batches[i].keys);
	}
	pthread_cond_destroy(&writing->changed);
	pthread_mutex_destroy(&writing->lock);
	free(writing->statement);
	free(writing);
	writer->state = NULL;
}
