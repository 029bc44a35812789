/*
 * row_table.h - matrix.npy and ids.npy where the store has no such columns and others change it: a view of
 * the IDs that there were when the first of the two was opened.
 *
 * There is one table for the life of the mount, so that what is read of one file fits what is read
 * of the other later: an ID keeps its row, new ones get rows behind all others, in their order, and
 * the row of one that is gone is QUIVER_ID_NONE, and zeros. While either file is open nothing of that
 * changes. The vectors are read when their rows are.
 */
#ifndef ROW_TABLE_H
#define ROW_TABLE_H

#include "fs/base/fs.h"

struct row_table;

/* The largest table: 1 GiB of IDs. */
#define ROW_TABLE_MAX (UINT64_C(1) << 27)

int row_table_new(struct row_table **rows); /* -ENOMEM */
void row_table_free(struct row_table *rows); /* NULL is allowed */

/* A file is opened: `flags` as of the store's calls. -EAGAIN; -ENOMEM, -EFBIG (told) and errors of a
 * listing. */
int row_table_open(struct fs *fs, struct row_table *rows, unsigned flags);
void row_table_close(struct row_table *rows);

/* How long matrix.npy, or ids.npy (`ids`), is, and since when. */
uint64_t row_table_bytes(const struct fs *fs, struct row_table *rows, bool ids, int64_t *since_ns);

/* Up to `size` bytes from `offset` of a file that is open: how many (0 at the end), or errors of
 * quiver_get_many. Waits. */
int64_t row_table_read(struct fs *fs, struct row_table *rows, bool ids, uint64_t offset,
                       size_t size, char *to);

#endif
