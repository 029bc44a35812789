/*
 * map_table.h - a column of a file, a value for each vector.
 */
#ifndef MAP_TABLE_H
#define MAP_TABLE_H

#include <stdint.h>

struct map_table {
	const char *path;
	/* Which column or member has the values; NULL: the file has lines, and each is a value. */
	const char *column;
	const char *id_column; /* NULL: one that is called as IDs are, where there is one */
};

/* What is asked for: FILE:COLUMN, or FILE alone of a file of lines. Changes and keeps `text`. -EINVAL: a
 * FILE of columns without a COLUMN. */
int map_table_parse(char *text, struct map_table *table);

/*
 * Call `each` with the ID and the value of each row of a .csv, .tsv, .jsonl, .ndjson, packed or not, or file
 * of lines. The ID is a text, or NULL where the rows have none; the value is NULL where there is none. What
 * `each` returns, where that is negative, ends it. 0, or a negative errno after having said what is wrong;
 * -EINTR after a signal.
 */
int map_table_read(const struct map_table *table,
                   int (*each)(void *arg, uint64_t row, const char *id, const char *value),
                   void *arg);

#endif
