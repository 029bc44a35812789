#include "engine/recovery/slot_refs.h"

#include <errno.h>
#include <stdlib.h>

#include <xxhash.h>

#include "engine/disk/io_direct.h"

/* Read at once: a request of the largest size that most devices take. */
#define READ_BYTES (UINT64_C(4) << 20)
/* Bytes between two slots that are read through rather than left out by another request. */
#define GAP_BYTES_MAX (UINT64_C(64) << 10)
#define ALIGN_BYTES IO_DIRECT_BYTES
/* Of what the log carries and is not there, before it is asked whether any is. */
#define MISSED_BYTES (UINT64_C(16) << 20)

/* What reading the slots needs. */
struct look {
	const struct columns *columns;
	uint64_t rows;
	int direct_fd; /* of vectors.npy, past the cache; -1 = not possible */
	bool rewrite;
	uint8_t *bytes; /* READ_BYTES of them */
	/* Vectors that the log carries: how many were there, and how many were not. */
	uint64_t found, missed;
};

static int append(struct slot_ref_list *list, const struct slot_ref *item)
{
	if (list->count == list->capacity) {
		size_t want = list->capacity ? list->capacity * 2 : 64;
		struct slot_ref *grown = realloc(list->items, want * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->items = grown;
		list->capacity = want;
	}
	list->items[list->count++] = *item;
	return 0;
}

int slot_refs_add(struct slot_ref_list *list, const struct wal_record *record)
{
	const struct slot_ref item = { .slot = record->slot,
		                       .id = record->id,
		                       .lsn = record->lsn,
		                       .sum = record->sum,
		                       .carried = record->type == WAL_PUT };

	return append(list, &item);
}

static int compare(uint64_t x, uint64_t y)
{
	return x < y ? -1 : x > y;
}

static int by_slot(const void *a, const void *b)
{
	return compare(((const struct slot_ref *)a)->slot, ((const struct slot_ref *)b)->slot);
}

static int by_lsn(const void *a, const void *b)
{
	return compare(((const struct slot_ref *)a)->lsn, ((const struct slot_ref *)b)->lsn);
}

/* Mostly they are in the order already: slots are taken one after the other. */
static void sort(struct slot_ref_list *list, int (*order)(const void *a, const void *b))
{
	for (size_t i = 1; i < list->count; i++)
		if (order(&list->items[i - 1], &list->items[i]) > 0) {
			qsort(list->items, list->count, sizeof(*list->items), order);
			return;
		}
}

/* The blocks of some neighbours in the file; it may end before the last one does. */
struct blocks {
	uint64_t from;
	uint64_t length;
	uint64_t need; /* up to the end of the last slot */
};

static struct blocks blocks_of(const struct look *look, const struct slot_ref *items, size_t count)
{
	uint64_t begin = columns_vector_offset(look->columns, items[0].slot);
	uint64_t end = columns_vector_offset(look->columns, items[count - 1].slot + 1);
	uint64_t from = begin / ALIGN_BYTES * ALIGN_BYTES;

	return (struct blocks){ .from = from,
		                .length =
		                        (end - from + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES,
		                .need = end - from };
}

/* Compare those whose state is not 0 with what was read. How many of them hold. */
static size_t compare_all(const struct look *look, const struct blocks *blocks,
                          struct slot_ref *items, size_t count)
{
	size_t hold = 0;

	for (size_t i = 0; i < count; i++) {
		struct slot_ref *item = &items[i];
		uint64_t at = columns_vector_offset(look->columns, item->slot) - blocks->from;
		uint64_t hash;

		if (item->state == 0)
			continue;
		hash = XXH3_64bits(look->bytes + at, look->columns->vectors.row_bytes);
		if (vector_sum(item->id, item->lsn, hash) == item->sum) {
			item->state = 0;
			hold++;
		}
	}
	return hold;
}

/* Look for what is not on the disk in the cache. There the kernel may call it clean: with the
 * pages gone it is written as new. Neighbours share them, so whole blocks are. */
static int look_in_cache(const struct look *look, struct slot_ref *items, size_t count)
{
	const struct columns *columns = look->columns;
	struct blocks blocks = blocks_of(look, items, count);
	const int fd = columns->vectors.fd;
	int r;

	if (blocks.from + blocks.length > columns->vectors.file_bytes)
		blocks.length = columns->vectors.file_bytes - blocks.from;
	r = io_read_all(columns->io, fd, look->bytes, blocks.length, blocks.from);
	if (r == -EIO)
		return 0; /* as the states say */
	if (r || compare_all(look, &blocks, items, count) == 0 || !look->rewrite)
		return r;
	r = columns->io->forget(columns->io, fd, blocks.from,
	                        blocks.length + ALIGN_BYTES - 1); /* the last page, too */
	return r ? r : io_write_all(columns->io, fd, look->bytes, blocks.length, blocks.from);
}

/* Whether any that the log does not carry is not there. */
static bool lacks_any(const struct slot_ref *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].state != 0 && !items[i].carried)
			return true;
	return false;
}

/* Neighbours that fit the buffer. */
static int look_at(struct look *look, struct slot_ref *items, size_t count)
{
	struct blocks blocks = blocks_of(look, items, count);
	int r = look->direct_fd < 0 ? -EINVAL
	                            : io_read_direct(look->columns->io, look->direct_fd,
	                                             look->bytes, blocks.need, blocks.from);

	for (size_t i = 0; i < count; i++)
		items[i].state = r && r != -EINVAL ? r : -EBADMSG;
	if (r == 0)
		(void)compare_all(look, &blocks, items, count);
	return lacks_any(items, count) ? look_in_cache(look, items, count) : 0;
}

/* How many from the first on are read at once. */
static size_t neighbours(const struct look *look, const struct slot_ref *items, size_t count)
{
	const uint64_t n = look->columns->vectors.row_bytes;
	uint64_t first = columns_vector_offset(look->columns, items[0].slot);
	uint64_t end = first + n;
	size_t i;

	for (i = 1; i < count && items[i].slot < look->rows; i++) {
		uint64_t at = columns_vector_offset(look->columns, items[i].slot);

		/* Blocks that are read in part, at both ends. */
		if (at > end + GAP_BYTES_MAX || at + n - first > READ_BYTES - 2 * ALIGN_BYTES)
			break;
		end = at + n;
	}
	return i;
}

static void count_carried(struct look *look, const struct slot_ref *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		look->found += items[i].carried && items[i].state == 0;
		look->missed += items[i].carried && items[i].state != 0;
	}
}

/* Whether it is not worth reading: all are carried, and mostly such were not there. */
static bool is_in_vain(const struct look *look, const struct slot_ref *items, size_t count)
{
	if (look->missed <= look->found + MISSED_BYTES / look->columns->vectors.row_bytes)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!items[i].carried)
			return false;
	return true;
}

static int look_at_all(struct look *look, struct slot_ref_list *list)
{
	size_t count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i += count) {
		struct slot_ref *items = list->items + i;

		count = 1;
		items->state = -EBADMSG;
		if (items->slot >= look->rows)
			continue;
		count = neighbours(look, items, list->count - i);
		for (size_t k = 0; k < count; k++)
			items[k].state = -EBADMSG;
		if (is_in_vain(look, items, count))
			continue;
		r = look_at(look, items, count);
		count_carried(look, items, count);
		/* A place that cannot be read must not cost the slots beside it. */
		for (size_t k = 0; count > 1 && r == 0 && k < count; k++)
			if (items[k].state != 0 && items[k].state != -EBADMSG)
				r = look_at(look, &items[k], 1);
	}
	return r;
}

int slot_refs_check(struct slot_ref_list *list, const struct columns *columns, bool rewrite)
{
	struct look look = { .columns = columns,
		             .rows = atomic_load(&columns->rows),
		             .rewrite = rewrite };
	int c = 0;
	int r;

	if (list->count == 0)
		return 0;
	sort(list, by_slot);
	look.direct_fd = columns_open_direct(columns);
	if (look.direct_fd < 0 && look.direct_fd != -EINVAL)
		return look.direct_fd;
	look.bytes = io_direct_alloc(READ_BYTES);
	r = look.bytes ? look_at_all(&look, list) : -ENOMEM;
	free(look.bytes);
	if (look.direct_fd >= 0)
		c = columns->io->close(columns->io, look.direct_fd);
	return r ? r : c;
}

int slot_refs_split(struct slot_ref_list *list, struct slot_ref_list *carried)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++) {
		if (list->items[i].state == 0)
			continue;
		if (list->items[i].carried)
			r = append(carried, &list->items[i]);
		else
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
	sort(list, by_lsn);
	sort(carried, by_lsn);
	return r;
}
