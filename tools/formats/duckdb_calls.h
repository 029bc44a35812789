/*
 * duckdb_calls.h - what is used of libduckdb's C interface, for duckdb.c and duckdb_rows.c.
 *
 * Names and meanings are those of the library's own duckdb.h, without its prefix. Where an int
 * comes back, 0 is success.
 */
#ifndef DUCKDB_CALLS_H
#define DUCKDB_CALLS_H

#include "tools/formats/duckdb.h"

#include <stdbool.h>
#include <stdint.h>

/* Numbers of its types. */
enum duck_type {
	DUCK_TINYINT = 2,
	DUCK_UTINYINT = 6,
	DUCK_UBIGINT = 9,
	DUCK_FLOAT = 10,
	DUCK_DOUBLE = 11,
	DUCK_VARCHAR = 17,
};

struct duck_calls {
	const char *(*library_version)(void);
	int (*create_config)(void **config);
	int (*set_config)(void *config, const char *name, const char *value);
	void (*destroy_config)(void **config);
	int (*open_ext)(const char *path, void **database, void *config, char **error);
	void (*close)(void **database);
	int (*connect)(void *database, void **connection);
	void (*disconnect)(void **connection);
	int (*prepare)(void *connection, const char *text, void **statement);
	const char *(*prepare_error)(void *statement);
	void (*destroy_prepare)(void **statement);
	int (*execute_prepared_streaming)(void *statement, struct duck_result *result);
	const char *(*result_error)(struct duck_result *result);
	void (*destroy_result)(struct duck_result *result);
	void *(*fetch_chunk)(struct duck_result result);
	void (*destroy_data_chunk)(void **chunk);
	uint64_t (*data_chunk_get_size)(void *chunk);
	void *(*data_chunk_get_vector)(void *chunk, uint64_t index);
	void *(*vector_get_data)(void *vector);
	uint64_t *(*vector_get_validity)(void *vector);
	void *(*list_vector_get_child)(void *vector);
	uint64_t (*list_vector_get_size)(void *vector);
	void (*free)(void *memory);

	/* For rows of ours: */
	void *(*create_table_function)(void);
	void (*destroy_table_function)(void **function);
	void (*table_function_set_name)(void *function, const char *name);
	void (*table_function_set_extra_info)(void *function, void *arg, void (*destroy)(void *));
	void (*table_function_set_bind)(void *function, void (*bind)(void *info));
	void (*table_function_set_init)(void *function, void (*init)(void *info));
	void (*table_function_set_function)(void *function, void (*call)(void *info, void *chunk));
	int (*register_table_function)(void *connection, void *function);
	void *(*bind_get_extra_info)(void *info);
	void (*bind_add_result_column)(void *info, const char *name, void *type);
	void (*init_set_max_threads)(void *info, uint64_t count);
	void *(*function_get_extra_info)(void *info);
	void (*function_set_error)(void *info, const char *words);
	void *(*create_logical_type)(enum duck_type type);
	void *(*create_list_type)(void *type);
	void (*destroy_logical_type)(void **type);
	void (*data_chunk_set_size)(void *chunk, uint64_t count);
	int (*list_vector_reserve)(void *vector, uint64_t count);
	int (*list_vector_set_size)(void *vector, uint64_t count);
	void (*vector_assign_string_element_len)(void *vector, uint64_t row, const char *text,
	                                         uint64_t length);
};

#endif
