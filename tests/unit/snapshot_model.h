/*
 * snapshot_model.h - what a store should have, followed change by change, so that a snapshot can be
 * compared with what was there when it was made.
 */
#ifndef SNAPSHOT_MODEL_H
#define SNAPSHOT_MODEL_H

#include "store_test.h"

#define MODEL_IDS 160u

struct model_vector {
	uint64_t commit; /* which commit wrote it; 0: it is not there */
	uint64_t bytes_id; /* whose bytes they were at first */
	uint64_t version;
	uint64_t attr; /* attr_of this */
	uint64_t attr_commit; /* which commit has set the attributes */
};

struct model {
	struct model_vector vectors[MODEL_IDS];
	uint64_t commits;
	uint64_t seed;
};

static inline uint64_t model_below(struct model *model, uint64_t limit)
{
	return test_random(&model->seed) % limit;
}

static inline void model_write(struct model *model, uint64_t id, uint64_t bytes_id,
                               uint64_t version, uint64_t attr)
{
	model->commits++;
	model->vectors[id] = (struct model_vector){ .commit = model->commits,
		                                    .bytes_id = bytes_id,
		                                    .version = version,
		                                    .attr = attr,
		                                    .attr_commit = model->commits };
}

static inline void model_put(struct model *model, struct quiver *store)
{
	uint64_t id = model_below(model, MODEL_IDS), version = model->commits + 1;

	assert_int_equal(put_version(store, id, version, 0), 0);
	model_write(model, id, id, version, version);
}

static inline void model_put_batch(struct model *model, struct quiver *store)
{
	enum { COUNT = 8 };
	uint8_t bytes[COUNT][STORE_BYTES_MAX];
	struct quiver_record records[COUNT];
	uint64_t first = model_below(model, MODEL_IDS - COUNT), version = model->commits + 1;
	struct quiver_attr attr = attr_of(version);

	for (unsigned i = 0; i < COUNT; i++) {
		vector_fill(bytes[i], quiver_geometry(store)->vector_bytes, first + i, version);
		records[i] = (struct quiver_record){ .id = first + i, .data = bytes[i] };
	}
	assert_int_equal(quiver_put_batch(store, records, COUNT, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 0);
	for (unsigned i = 0; i < COUNT; i++)
		model_write(model, first + i, first + i, version, version);
}

static inline void model_remove(struct model *model, struct quiver *store)
{
	uint64_t id = model_below(model, MODEL_IDS);
	bool there = model->vectors[id].commit != 0;

	assert_int_equal(quiver_remove(store, id, 0, NULL), there ? 0 : -ENOENT);
	memset(&model->vectors[id], 0, sizeof(model->vectors[id]));
	model->commits++;
}

static inline void model_rename(struct model *model, struct quiver *store)
{
	uint64_t from = model_below(model, MODEL_IDS), to = model_below(model, MODEL_IDS);
	struct model_vector was = model->vectors[from];

	assert_int_equal(quiver_rename(store, from, to, 0, NULL), was.commit ? 0 : -ENOENT);
	if (was.commit == 0 || from == to)
		return;
	memset(&model->vectors[from], 0, sizeof(model->vectors[from]));
	model_write(model, to, was.bytes_id, was.version, was.attr);
}

static inline void model_set_attr(struct model *model, struct quiver *store)
{
	uint64_t id = model_below(model, MODEL_IDS), version = model->commits + 1;
	bool there = model->vectors[id].commit != 0;
	struct quiver_attr attr = attr_of(version);

	assert_int_equal(quiver_set_attr(store, id, &attr, QUIVER_ATTR_ALL, 0),
	                 there ? 0 : -ENOENT);
	if (!there)
		return;
	model->commits++;
	model->vectors[id].attr = version;
	model->vectors[id].attr_commit = model->commits;
}

/* One change of any kind. */
static inline void model_step(struct model *model, struct quiver *store)
{
	uint64_t what = model_below(model, 100);

	if (what < 45)
		model_put(model, store);
	else if (what < 55)
		model_put_batch(model, store);
	else if (what < 70)
		model_remove(model, store);
	else if (what < 80)
		model_rename(model, store);
	else if (what < 96)
		model_set_attr(model, store);
	else
		assert_int_equal(quiver_checkpoint(store), 0);
}

static inline uint64_t model_count(const struct model *model)
{
	uint64_t count = 0;

	for (unsigned id = 0; id < MODEL_IDS; id++)
		count += model->vectors[id].commit != 0;
	return count;
}

/* ---- a store, or a snapshot of it, beside the model ---- */

static inline void model_check_vector(const struct model *model, struct quiver *store, uint64_t id)
{
	const struct model_vector *want = &model->vectors[id];
	struct quiver_attr attr, stat_attr, want_attr = attr_of(want->attr);
	uint8_t bytes[STORE_BYTES_MAX];
	int r = quiver_get_copy(store, id, bytes, &attr, NULL);

	assert_int_equal(r, want->commit ? 0 : -ENOENT);
	assert_int_equal(quiver_stat(store, id, 0, &stat_attr, NULL), r);
	if (r)
		return;
	assert_int_equal(
		vector_version(bytes, quiver_geometry(store)->vector_bytes, want->bytes_id),
		want->version);
	assert_true(attr_same(&attr, &want_attr));
	assert_true(attr_same(&stat_attr, &want_attr));
}

static inline void model_check_list(const struct model *model, struct quiver *store)
{
	uint64_t ids[MODEL_IDS + 1];
	bool seen[MODEL_IDS] = { false };
	struct quiver_list *list;
	int64_t n;

	assert_int_equal(quiver_list_open(store, 0, &list), 0);
	assert_int_equal(quiver_list_count(store, list), model_count(model));
	n = quiver_list_read(store, list, 0, 0, ids, MODEL_IDS + 1);
	quiver_list_close(store, list);
	assert_int_equal(n, model_count(model));
	for (int64_t i = 0; i < n; i++) {
		assert_true(ids[i] < MODEL_IDS && !seen[ids[i]]);
		assert_true(model->vectors[ids[i]].commit != 0);
		seen[ids[i]] = true;
	}
}

static inline uint8_t *read_column(struct quiver *store, enum quiver_column column, uint64_t *size)
{
	uint8_t *bytes;
	int fd;

	assert_int_equal(quiver_column_hold(store, column, &fd, size), 0);
	assert_int_equal(*size, quiver_column_bytes(store, column));
	bytes = malloc(*size);
	assert_non_null(bytes);
	/* In pieces that end in the middle of rows. */
	for (uint64_t at = 0; at < *size;) {
		size_t length = *size - at < 777 ? (size_t)(*size - at) : 777;

		assert_int_equal(quiver_column_read(store, column, at, length, bytes + at), length);
		at += length;
	}
	assert_int_equal(quiver_column_read(store, column, *size, 1, bytes), 0);
	quiver_column_release(store, column);
	return bytes;
}

/* Of a snapshot: each row that it has, and nothing in the others. */
static inline void model_check_columns(const struct model *model, struct quiver *store)
{
	const uint32_t n = quiver_geometry(store)->vector_bytes;
	static const uint8_t zeros[STORE_BYTES_MAX];
	uint64_t size, ids_size, rows, found = 0;
	uint8_t *vectors = read_column(store, QUIVER_COLUMN_VECTORS, &size);
	uint8_t *ids = read_column(store, QUIVER_COLUMN_IDS, &ids_size);

	rows = (ids_size - QUIVER_COLUMN_HEADER_BYTES) / 8;
	assert_int_equal(size, QUIVER_COLUMN_HEADER_BYTES + rows * n);
	assert_int_equal(stats_of(store).slots, rows);
	assert_memory_equal(vectors, "\x93NUMPY", 6);
	assert_memory_equal(ids, "\x93NUMPY", 6);
	for (uint64_t row = 0; row < rows; row++) {
		uint64_t id = get_le64(ids + QUIVER_COLUMN_HEADER_BYTES + row * 8);
		const uint8_t *vector = vectors + QUIVER_COLUMN_HEADER_BYTES + row * n;

		if (id == QUIVER_ID_NONE) {
			assert_memory_equal(vector, zeros, n);
			continue;
		}
		assert_true(id < MODEL_IDS);
		assert_int_equal(vector_version(vector, n, model->vectors[id].bytes_id),
		                 model->vectors[id].version);
		found++;
	}
	assert_int_equal(found, model_count(model));
	free(vectors);
	free(ids);
}

/* All of it. */
static inline void model_check(const struct model *model, struct quiver *store)
{
	assert_int_equal(quiver_count(store), model_count(model));
	for (uint64_t id = 0; id < MODEL_IDS; id++)
		model_check_vector(model, store, id);
	model_check_list(model, store);
	if (quiver_capabilities(store) & QUIVER_IMMUTABLE)
		model_check_columns(model, store);
}

#endif
