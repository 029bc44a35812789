/*
 * duckdb.c - the library that reads and writes Parquet, which the user may have.
 */
#include "tools/formats/duckdb.h"
#include "tools/formats/duckdb_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libduckdb.so"
#define LIBRARY_VARIABLE "QUIVERFS_LIBDUCKDB"
/* Pages and a chunk of 2,048 rows; the library needs no more for rows in the file's order. */
#define MEMORY_LIMIT "1GiB"
/* Text in a vector: its length, and then the text itself up to so many bytes, or, further on,
 * where it is. */
#define TEXT_BYTES 16u
#define TEXT_INLINE_BYTES 12u
#define TEXT_POINTER_OFFSET 8u
/* Of a word of a mask of valid rows. */
#define MASK_BITS 64u

#define CALL(name)                                                 \
	{                                                          \
		offsetof(struct duck_calls, name), "duckdb_" #name \
	}

static const struct {
	size_t offset;
	const char *symbol;
} symbols[] = {
	CALL(library_version),
	CALL(create_config),
	CALL(set_config),
	CALL(destroy_config),
	CALL(open_ext),
	CALL(close),
	CALL(connect),
	CALL(disconnect),
	CALL(prepare),
	CALL(prepare_error),
	CALL(destroy_prepare),
	CALL(execute_prepared_streaming),
	CALL(result_error),
	CALL(destroy_result),
	CALL(fetch_chunk),
	CALL(destroy_data_chunk),
	CALL(data_chunk_get_size),
	CALL(data_chunk_get_vector),
	CALL(vector_get_data),
	CALL(vector_get_validity),
	CALL(list_vector_get_child),
	CALL(list_vector_get_size),
	CALL(free),
	CALL(create_table_function),
	CALL(destroy_table_function),
	CALL(table_function_set_name),
	CALL(table_function_set_extra_info),
	CALL(table_function_set_bind),
	CALL(table_function_set_init),
	CALL(table_function_set_function),
	CALL(register_table_function),
	CALL(bind_get_extra_info),
	CALL(bind_add_result_column),
	CALL(init_set_max_threads),
	CALL(function_get_extra_info),
	CALL(function_set_error),
	CALL(create_logical_type),
	CALL(create_list_type),
	CALL(destroy_logical_type),
	CALL(data_chunk_set_size),
	CALL(list_vector_reserve),
	CALL(list_vector_set_size),
	CALL(vector_assign_string_element_len),
};

#undef CALL

/* Keep the first line of what the library says, without the path that stands for the file. */
static int refuse(char reason[FORMAT_REASON_BYTES], int result, const char *path, const char *words)
{
	const char *end, *at;
	size_t length;

	if (words == NULL)
		words = "no reason given";
	length = strcspn(words, "\n");
	end = words + length;
	at = path[0] != '\0' ? strstr(words, path) : NULL;
	if (at == NULL || at >= end)
		(void)snprintf(reason, FORMAT_REASON_BYTES, "libduckdb: %.*s", (int)length, words);
	else
		(void)snprintf(reason, FORMAT_REASON_BYTES, "libduckdb: %.*sthe file%.*s",
		               (int)(at - words), words, (int)(end - at - strlen(path)),
		               at + strlen(path));
	return result;
}

static void *open_library(const char **name)
{
	const char *chosen = secure_getenv(LIBRARY_VARIABLE);

	*name = chosen != NULL && chosen[0] != '\0' ? chosen : LIBRARY;
	return dlopen(*name, RTLD_NOW | RTLD_LOCAL);
}

/* The library's calls; NULL with a reason. It stays loaded. */
static const struct duck_calls *load(char reason[FORMAT_REASON_BYTES])
{
	static struct duck_calls calls;
	const char *name;
	void *library;

	if (calls.free != NULL)
		return &calls;
	library = open_library(&name);
	if (library == NULL) {
		(void)snprintf(
			reason, FORMAT_REASON_BYTES,
			"Parquet is read and written by libduckdb (1.2 or later), which is "
			"missing: "
			"put " LIBRARY
			" where the system looks for libraries, or its path into " LIBRARY_VARIABLE
			"; quiverfs-examples(7) says where to get it, and how to use pyarrow "
			"instead: %.120s",
			dlerror());
		return NULL;
	}
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *symbol = dlsym(library, symbols[i].symbol);

		if (symbol == NULL) {
			(void)snprintf(reason, FORMAT_REASON_BYTES,
			               "%.160s has no %s; libduckdb 1.2 or later is needed", name,
			               symbols[i].symbol);
			calls.free = NULL;
			return NULL;
		}
		memcpy((char *)&calls + symbols[i].offset, &symbol, sizeof(symbol));
	}
	return &calls;
}

/* What is set before anything is opened, and never after. */
static int configure(const struct duck_calls *calls, void **config)
{
	static const char *const settings[][2] = {
		{ "threads", "1" }, /* the caller's: rows come in order, and memory is bounded */
		{ "memory_limit", MEMORY_LIMIT },
		{ "temp_directory", "" },
		{ "autoinstall_known_extensions", "false" },
		{ "autoload_known_extensions", "false" },
		{ "allow_community_extensions", "false" },
	};

	if (calls->create_config(config) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (calls->set_config(*config, settings[i][0], settings[i][1]) != 0)
			return -ENOTSUP;
	}
	return 0;
}

static int open_database(struct duck *duck, char reason[FORMAT_REASON_BYTES])
{
	const struct duck_calls *calls = duck->calls;
	void *config = NULL;
	char *words = NULL;
	int result = configure(calls, &config);

	if (result < 0)
		(void)snprintf(reason, FORMAT_REASON_BYTES,
		               "libduckdb %.40s does not have the settings of 1.2 and later",
		               calls->library_version());
	else if (calls->open_ext(":memory:", &duck->database, config, &words) != 0)
		result = refuse(reason, -EIO, "", words);
	else if (calls->connect(duck->database, &duck->connection) != 0)
		result = refuse(reason, -EIO, "", NULL);
	if (words != NULL)
		calls->free(words);
	calls->destroy_config(&config);
	return result;
}

/* Run a statement that gives no rows. */
static int run(const struct duck *duck, const char *text, char reason[FORMAT_REASON_BYTES])
{
	struct duck_query query = { 0 };
	int result = duck_query_begin(duck, text, &query, reason);

	duck_query_end(&query);
	return result;
}

/* Shut all doors but that to the file. */
static int confine(const struct duck *duck, char reason[FORMAT_REASON_BYTES])
{
	char text[64 + sizeof(duck->path)];
	int result;

	(void)snprintf(text, sizeof(text), "SET allowed_paths = ['%s']", duck->path);
	result = run(duck, text, reason);
	if (result == 0)
		result = run(duck, "SET enable_external_access = false", reason);
	if (result == 0)
		result = run(duck, "SET lock_configuration = true", reason);
	return result;
}

int duck_begin(const char *path, struct duck *duck, char reason[FORMAT_REASON_BYTES])
{
	int result;

	memset(duck, 0, sizeof(*duck));
	duck->calls = load(reason);
	if (duck->calls == NULL)
		return -ENOTSUP;
	(void)snprintf(duck->path, sizeof(duck->path), "%s", path);
	result = open_database(duck, reason);
	return result < 0 ? result : confine(duck, reason);
}

void duck_end(struct duck *duck)
{
	if (duck->connection != NULL)
		duck->calls->disconnect(&duck->connection);
	if (duck->database != NULL)
		duck->calls->close(&duck->database);
	memset(duck, 0, sizeof(*duck));
}

int duck_query_begin(const struct duck *duck, const char *text, struct duck_query *query,
                     char reason[FORMAT_REASON_BYTES])
{
	const struct duck_calls *calls = duck->calls;

	memset(query, 0, sizeof(*query));
	query->calls = calls;
	if (calls->prepare(duck->connection, text, &query->statement) != 0)
		return refuse(reason, -EINVAL, duck->path, calls->prepare_error(query->statement));
	query->begun = true;
	if (calls->execute_prepared_streaming(query->statement, &query->result) != 0)
		return refuse(reason, -EINVAL, duck->path, calls->result_error(&query->result));
	return 0;
}

static void drop_chunk(struct duck_query *query)
{
	if (query->chunk != NULL)
		query->calls->destroy_data_chunk(&query->chunk);
	query->chunk = NULL;
	query->count = 0;
}

void duck_query_end(struct duck_query *query)
{
	if (query->calls == NULL)
		return;
	drop_chunk(query);
	if (query->begun)
		query->calls->destroy_result(&query->result);
	if (query->statement != NULL)
		query->calls->destroy_prepare(&query->statement);
	memset(query, 0, sizeof(*query));
}

int duck_query_next(struct duck_query *query, char reason[FORMAT_REASON_BYTES])
{
	const char *words;

	drop_chunk(query);
	query->chunk = query->calls->fetch_chunk(query->result);
	if (query->chunk != NULL) {
		query->count = query->calls->data_chunk_get_size(query->chunk);
		return query->count > 0;
	}
	words = query->calls->result_error(&query->result);
	return words == NULL || words[0] == '\0' ? 0 : refuse(reason, -EINVAL, "", words);
}

static struct duck_column look(const struct duck_calls *calls, void *vector, uint64_t count)
{
	return (struct duck_column){
		.vector = vector,
		.data = calls->vector_get_data(vector),
		.valid = calls->vector_get_validity(vector),
		.count = count,
	};
}

struct duck_column duck_column(const struct duck_query *query, uint64_t index)
{
	return look(query->calls, query->calls->data_chunk_get_vector(query->chunk, index),
	            query->count);
}

struct duck_column duck_elements(const struct duck_query *query, const struct duck_column *lists)
{
	const struct duck_calls *calls = query->calls;

	return look(calls, calls->list_vector_get_child(lists->vector),
	            calls->list_vector_get_size(lists->vector));
}

bool duck_is_null(const struct duck_column *column, uint64_t row)
{
	return column->valid != NULL &&
	       (column->valid[row / MASK_BITS] >> (row % MASK_BITS) & 1) == 0;
}

const char *duck_text(const struct duck_column *column, uint64_t row, size_t *length)
{
	const char *entry = (const char *)column->data + row * TEXT_BYTES;
	uint32_t bytes;
	const char *at;

	memcpy(&bytes, entry, sizeof(bytes));
	memcpy(&at, entry + TEXT_POINTER_OFFSET, sizeof(at));
	*length = bytes;
	return bytes <= TEXT_INLINE_BYTES ? entry + sizeof(bytes) : at;
}
