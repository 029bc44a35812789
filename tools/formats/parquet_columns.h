/*
 * parquet_columns.h - which columns of a Parquet file are the vectors and their IDs.
 */
#ifndef PARQUET_COLUMNS_H
#define PARQUET_COLUMNS_H

#include "engine/codec/element.h"
#include "tools/formats/columns.h"
#include "tools/formats/duckdb.h"
#include "tools/formats/format.h"

struct parquet_columns {
	char *query; /* of lists and, where there are any, of IDs, in the order of the file */
	enum element type; /* of the elements in the file */
	enum element read; /* as the library hands them out */
	enum column_ids ids;
};

/*
 * Choose those that are wanted by name, or the usual ones; reader->note tells of what a name
 * does not. -EINVAL with a reason, -ENOMEM; parquet_columns_free in any case.
 */
int parquet_columns_choose(const struct duck *duck, struct format_reader *reader,
                           struct parquet_columns *columns);
void parquet_columns_free(struct parquet_columns *columns);

#endif
