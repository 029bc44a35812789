/*
 * duckdb_rows.c - rows of ours as a table that a statement of libduckdb reads.
 */
#include "tools/formats/duckdb_rows.h"

#include <errno.h>
#include <string.h>

#define NAME "quiverfs_rows"
#define ID_COLUMN 0u
#define VECTOR_COLUMN 1u

/* Tell the library which columns there are. */
static void bind(void *info, const struct duck_source *source)
{
	const struct duck_calls *calls = source->calls;
	void *id = calls->create_logical_type(source->keys ? DUCK_VARCHAR : DUCK_UBIGINT);
	void *element = calls->create_logical_type(source->element);
	void *vector = calls->create_list_type(element);

	calls->bind_add_result_column(info, source->id_column, id);
	calls->bind_add_result_column(info, source->vector_column, vector);
	calls->destroy_logical_type(&id);
	calls->destroy_logical_type(&element);
	calls->destroy_logical_type(&vector);
}

static void put_keys(const struct duck_calls *calls, void *column, const struct duck_rows *rows)
{
	uint64_t start = 0;

	for (uint64_t i = 0; i < rows->count; i++) {
		calls->vector_assign_string_element_len(column, i, rows->keys + start,
		                                        rows->key_ends[i] - start);
		start = rows->key_ends[i];
	}
}

/* Each vector is a list of dim elements of the vector below. */
static int put_vectors(const struct duck_source *source, void *column, const struct duck_rows *rows)
{
	const struct duck_calls *calls = source->calls;
	uint64_t elements = rows->count * source->dim;
	struct duck_list *lists = calls->vector_get_data(column);

	if (calls->list_vector_reserve(column, elements) != 0 ||
	    calls->list_vector_set_size(column, elements) != 0)
		return -ENOMEM;
	for (uint64_t i = 0; i < rows->count; i++)
		lists[i] = (struct duck_list){ .offset = i * source->dim, .length = source->dim };
	memcpy(calls->vector_get_data(calls->list_vector_get_child(column)), rows->vectors,
	       elements * source->element_bytes);
	return 0;
}

/* Give the library the next rows; none ends the table. */
static void give(void *info, void *chunk, const struct duck_source *source)
{
	const struct duck_calls *calls = source->calls;
	struct duck_rows rows = { 0 };
	int result = source->next(source->arg, &rows);
	void *ids = calls->data_chunk_get_vector(chunk, ID_COLUMN);

	if (result > 0)
		result = put_vectors(source, calls->data_chunk_get_vector(chunk, VECTOR_COLUMN),
		                     &rows);
	if (result < 0) {
		calls->function_set_error(info, strerror(-result));
		return;
	}
	if (source->keys)
		put_keys(calls, ids, &rows);
	else if (rows.count > 0)
		memcpy(calls->vector_get_data(ids), rows.ids, rows.count * sizeof(*rows.ids));
	calls->data_chunk_set_size(chunk, rows.count);
}

/* What the library calls gets the source by one of its own calls, which the source has: one
 * program has one library. */
static const struct duck_calls *library;

static void on_bind(void *info)
{
	bind(info, library->bind_get_extra_info(info));
}

static void on_init(void *info)
{
	library->init_set_max_threads(info, 1);
}

static void on_rows(void *info, void *chunk)
{
	give(info, chunk, library->function_get_extra_info(info));
}

int duck_rows_register(const struct duck *duck, struct duck_source *source)
{
	const struct duck_calls *calls = duck->calls;
	void *function = calls->create_table_function();
	int result;

	library = calls;
	source->calls = calls;
	calls->table_function_set_name(function, NAME);
	calls->table_function_set_extra_info(function, source, NULL);
	calls->table_function_set_bind(function, on_bind);
	calls->table_function_set_init(function, on_init);
	calls->table_function_set_function(function, on_rows);
	result = calls->register_table_function(duck->connection, function);
	calls->destroy_table_function(&function);
	return result == 0 ? 0 : -EIO;
}
