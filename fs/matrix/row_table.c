/* row_table.c - matrix.npy and ids.npy of a store that has no columns. */
#include "fs/matrix/row_table.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/codec/npy.h"
#include "fs/base/clock.h"
#include "fs/base/refuse.h"
#include "fs/base/view_bytes.h"

/* IDs taken out of the store's listing at a time. */
#define IDS_AT_ONCE 4096u

struct row_table {
	pthread_mutex_t lock;
	uint64_t *ids; /* lock; of each row */
	uint64_t count; /* lock */
	unsigned opens; /* lock; while there are any the above stays as it is */
	bool taken; /* lock; once */
	int64_t taken_ns; /* lock; when */
};

int row_table_new(struct row_table **rows)
{
	struct row_table *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&r->lock, NULL); /* cannot fail with default attributes */
	r->taken_ns = clock_now_ns();
	*rows = r;
	return 0;
}

void row_table_free(struct row_table *rows)
{
	if (rows == NULL)
		return;
	pthread_mutex_destroy(&rows->lock);
	free(rows->ids);
	free(rows);
}

/* ---- the table ---- */

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The IDs that there are, in order: *ids, to be freed. */
static int take_listing(struct fs *fs, unsigned flags, uint64_t **ids, uint64_t *count)
{
	struct quiver_list *list;
	int64_t got = 1;
	uint64_t most;
	int err;

	*ids = NULL;
	*count = 0;
	err = quiver_list_open(fs->store, flags, &list);
	if (err != 0)
		return err;
	most = quiver_list_count(fs->store, list);
	if (most > ROW_TABLE_MAX)
		err = refuse(fs, -EFBIG,
		             "matrix.npy: there are %" PRIu64
		             " vectors, but it can have at most %" PRIu64
		             " rows; quiverfs export writes them all",
		             most, ROW_TABLE_MAX);
	if (err == 0) {
		*ids = malloc((most > 0 ? most : 1) * sizeof(**ids));
		err = *ids != NULL ? 0 : -ENOMEM;
	}
	while (err == 0 && got > 0 && *count < most) {
		uint64_t left = most - *count;

		got = quiver_list_read(fs->store, list, *count, flags, *ids + *count,
		                       left < IDS_AT_ONCE ? left : IDS_AT_ONCE);
		err = got < 0 ? (int)got : 0;
		*count += got > 0 ? (uint64_t)got : 0;
	}
	quiver_list_close(fs->store, list);
	if (err != 0) {
		free(*ids);
		*ids = NULL;
		return err;
	}
	qsort(*ids, *count, sizeof(**ids), compare);
	return 0;
}

/* Bring the table up to what `ids` says, which is in order. The caller holds the lock. -ENOMEM,
 * -EFBIG; then it is as before. */
static int merge(struct row_table *rows, const uint64_t *ids, uint64_t count)
{
	bool *known = calloc(count > 0 ? count : 1, sizeof(*known));
	uint64_t *all, fresh = count;

	if (known == NULL)
		return -ENOMEM;
	for (uint64_t i = 0; i < rows->count; i++) {
		const uint64_t *found = bsearch(&rows->ids[i], ids, count, sizeof(*ids), compare);

		if (found != NULL)
			known[found - ids] = true;
		fresh -= found != NULL;
	}
	all = rows->count + fresh <= ROW_TABLE_MAX
	              ? realloc(rows->ids, (rows->count + fresh + 1) * sizeof(*all))
	              : NULL;
	if (all == NULL) {
		free(known);
		return rows->count + fresh > ROW_TABLE_MAX ? -EFBIG : -ENOMEM;
	}
	for (uint64_t i = 0; i < rows->count; i++)
		if (bsearch(&all[i], ids, count, sizeof(*ids), compare) == NULL)
			all[i] = QUIVER_ID_NONE;
	for (uint64_t i = 0; i < count; i++)
		if (!known[i])
			all[rows->count++] = ids[i];
	rows->ids = all;
	rows->taken = true;
	rows->taken_ns = clock_now_ns();
	free(known);
	return 0;
}

int row_table_open(struct fs *fs, struct row_table *rows, unsigned flags)
{
	uint64_t *ids = NULL, count = 0;
	bool open;
	int err;

	pthread_mutex_lock(&rows->lock);
	open = rows->opens > 0;
	rows->opens += open;
	pthread_mutex_unlock(&rows->lock);
	if (open)
		return 0;
	err = take_listing(fs, flags, &ids, &count);
	if (err != 0)
		return err;
	pthread_mutex_lock(&rows->lock);
	if (rows->opens == 0) /* nobody has been quicker */
		err = merge(rows, ids, count);
	rows->opens += err == 0;
	pthread_mutex_unlock(&rows->lock);
	free(ids);
	if (err == -EFBIG)
		return refuse(fs, err,
		              "matrix.npy: too many rows, counting those of removed vectors; "
		              "unmount and mount again");
	return err;
}

void row_table_close(struct row_table *rows)
{
	pthread_mutex_lock(&rows->lock);
	rows->opens--;
	pthread_mutex_unlock(&rows->lock);
}

/* ---- the files ---- */

static uint64_t row_bytes(const struct fs *fs, bool ids)
{
	return ids ? sizeof(uint64_t) : fs->geometry.vector_bytes;
}

uint64_t row_table_bytes(const struct fs *fs, struct row_table *rows, bool ids, int64_t *since_ns)
{
	uint64_t count;

	pthread_mutex_lock(&rows->lock);
	/* Until one is opened, about what it will be. */
	count = rows->taken ? rows->count : quiver_count(fs->store);
	*since_ns = rows->taken_ns;
	pthread_mutex_unlock(&rows->lock);
	return NPY_WRITTEN_BYTES + count * row_bytes(fs, ids);
}

static int write_header(const struct fs *fs, bool ids, uint64_t count, char to[NPY_WRITTEN_BYTES])
{
	return ids ? npy_format_header(to, "u8", count, 0)
	           : view_npy_header(&fs->geometry, count, to);
}

/* Vectors `ids`, of which some may be gone, to `to`: zeros then. */
static int read_run(struct fs *fs, const uint64_t *ids, size_t count, char *to, int *results)
{
	size_t n = fs->geometry.vector_bytes;
	int err = quiver_get_many(fs->store, ids, count, to, NULL, results);

	for (size_t i = 0; err == 0 && i < count; i++) {
		if (results[i] == -ENOENT)
			memset(to + i * n, 0, n);
		else
			err = results[i];
	}
	return err;
}

/* The same of rows, some of which may be of none. */
static int read_vectors(struct fs *fs, const uint64_t *ids, size_t count, char *to)
{
	size_t n = fs->geometry.vector_bytes, run;
	int *results = calloc(count, sizeof(*results));
	int err = results != NULL ? 0 : -ENOMEM;

	for (size_t i = 0; err == 0 && i < count; i += run) {
		bool none = ids[i] == QUIVER_ID_NONE;

		for (run = 1; i + run < count && (ids[i + run] == QUIVER_ID_NONE) == none;)
			run++;
		if (none)
			memset(to + i * n, 0, run * n);
		else
			err = read_run(fs, ids + i, run, to + i * n, results);
	}
	free(results);
	return err;
}

/* `size` bytes from `offset`, counted from the first row, of rows of matrix.npy that there are. */
static int read_rows(struct fs *fs, struct row_table *rows, uint64_t offset, size_t size, char *to)
{
	uint64_t n = fs->geometry.vector_bytes, first = offset / n;
	size_t count = (size_t)((offset + size - 1) / n - first + 1);
	uint64_t *ids = malloc(count * sizeof(*ids));
	char *vectors = malloc(count * n);
	int err = ids != NULL && vectors != NULL ? 0 : -ENOMEM;

	if (err == 0) {
		pthread_mutex_lock(&rows->lock);
		memcpy(ids, rows->ids + first, count * sizeof(*ids));
		pthread_mutex_unlock(&rows->lock);
		err = read_vectors(fs, ids, count, vectors);
	}
	if (err == 0)
		memcpy(to, vectors + (offset - first * n), size);
	free(vectors);
	free(ids);
	return err;
}

int64_t row_table_read(struct fs *fs, struct row_table *rows, bool ids, uint64_t offset,
                       size_t size, char *to)
{
	char header[NPY_WRITTEN_BYTES];
	uint64_t count, end;
	size_t got = 0;
	int err = 0;

	pthread_mutex_lock(&rows->lock);
	count = rows->count;
	pthread_mutex_unlock(&rows->lock);
	end = NPY_WRITTEN_BYTES + count * row_bytes(fs, ids);
	if (offset >= end || size == 0)
		return 0;
	if (size > end - offset)
		size = (size_t)(end - offset);
	if (offset < NPY_WRITTEN_BYTES) {
		got = NPY_WRITTEN_BYTES - (size_t)offset < size ? NPY_WRITTEN_BYTES - (size_t)offset
		                                                : size;
		err = write_header(fs, ids, count, header);
		if (err == 0)
			memcpy(to, header + offset, got);
	}
	if (err != 0 || got == size)
		return err != 0 ? err : (int64_t)got;
	offset += got - NPY_WRITTEN_BYTES;
	if (ids) {
		pthread_mutex_lock(&rows->lock);
		memcpy(to + got, (const char *)rows->ids + offset, size - got);
		pthread_mutex_unlock(&rows->lock);
	} else {
		err = read_rows(fs, rows, offset, size - got, to + got);
	}
	return err != 0 ? err : (int64_t)size;
}
