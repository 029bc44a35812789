#include "engine/rados/batch_fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/base/record_attr.h"
#include "engine/media/ctime.h"

static const struct quiver_record *record_at(const struct batch_call *call,
                                             const struct batch_part *part, uint32_t i)
{
	return &call->records[call->order[part->first + i]];
}

static uint32_t slot_at(const struct batch_call *call, const struct batch_part *part, uint32_t i)
{
	return layout_slot(&call->collection->layout, record_at(call, part, i)->id);
}

/* ---- what it compares ---- */

static void compare(struct flight *flight, const char *key, size_t key_bytes,
                    const struct value *value)
{
	rados_write_op_omap_cmp2(flight->write, key, LIBRADOS_CMPXATTR_OP_EQ,
	                         value->length ? value->bytes : "", key_bytes, value->length, NULL);
}

static void compare_rows(struct flight *flight, const struct batch_call *call,
                         const struct batch_part *part, const struct rows *rows)
{
	bool is_any_empty = false;

	rados_write_op_create(flight->write, LIBRADOS_CREATE_IDEMPOTENT, NULL);
	for (uint32_t i = 0; i < part->count; i++) {
		uint32_t slot = slot_at(call, part, i);
		char key[KEY_BYTES];

		layout_key(slot, key);
		compare(flight, key, KEY_BYTES, &rows->slots[slot]);
		is_any_empty = is_any_empty || rows->slots[slot].length == 0;
	}
	if (is_any_empty)
		compare(flight, KEY_REMOVED, KEY_REMOVED_BYTES, &rows->removed);
}

static void guard(struct flight *flight, const struct batch_call *call,
                  const struct batch_part *part, const struct rows *rows)
{
	switch (part->guard) {
	case BATCH_NO_OBJECT:
		rados_write_op_create(flight->write, LIBRADOS_CREATE_EXCLUSIVE, NULL);
		break;
	case BATCH_VERSION:
		rados_write_op_assert_version(flight->write, part->version);
		break;
	case BATCH_ROWS:
		compare_rows(flight, call, part, rows);
		break;
	}
}

/* ---- what it writes ---- */

/* Neighbours at once: for each write the OSD has work of its own. The last slot is written whole as
 * well, so that the OSD need not read the rest of its last block of 4 KiB. */
static int write_bytes(struct flight *flight, const struct batch_call *call,
                       const struct batch_part *part)
{
	const struct layout *layout = &call->collection->layout;
	char *bytes = calloc(part->count, layout->stride);
	uint32_t end;

	if (!bytes)
		return -ENOMEM;
	for (uint32_t i = 0; i < part->count; i = end) {
		uint32_t first = slot_at(call, part, i);

		for (end = i; end < part->count && slot_at(call, part, end) == first + (end - i);
		     end++)
			memcpy(bytes + (size_t)(end - i) * layout->stride,
			       record_at(call, part, end)->data, layout->vector_bytes);
		rados_write_op_write(flight->write, bytes, (size_t)(end - i) * layout->stride,
		                     (uint64_t)first * layout->stride); /* it copies them */
	}
	free(bytes);
	return 0;
}

static void make_row(const struct batch_call *call, const struct batch_part *part, uint32_t i,
                     const struct rows *rows, int64_t now_ns, uint8_t to[ROW_BYTES])
{
	const struct collection *collection = call->collection;
	const struct quiver_record *record = record_at(call, part, i);
	const struct value *value =
		rows ? &rows->slots[layout_slot(&collection->layout, record->id)] : NULL;
	unsigned mask = call->attr_mask;
	struct row row = { .id = record->id, .tag = part->tag };
	struct row old;

	row.tag.counter += i;
	row.attr = record_attr(record, call->attr, &mask);
	row.attr.ctime_ns = now_ns;
	if (value &&
	    row_decode(value->bytes, value->length, collection->mark, record->id, &old) == 0) {
		record_attr_inherit(&row.attr, mask, &old.attr);
		row.attr.ctime_ns = ctime_after(old.attr.ctime_ns, now_ns);
	}
	row.attr.mode &= 07777;
	row.sum = row_sum(record->id, &row.tag, record->data, collection->layout.vector_bytes);
	row_encode(&row, collection->mark, to);
}

struct pairs { /* for librados, which copies what they point to */
	char (*key_text)[KEY_BYTES];
	uint8_t (*row)[ROW_BYTES];
	const char **keys, **values;
	size_t *key_bytes, *value_bytes;
};

static int pairs_make(struct pairs *pairs, size_t count)
{
	pairs->key_text = malloc(count * sizeof(*pairs->key_text));
	pairs->row = malloc(count * sizeof(*pairs->row));
	pairs->keys = malloc(count * sizeof(*pairs->keys));
	pairs->values = malloc(count * sizeof(*pairs->values));
	pairs->key_bytes = malloc(count * sizeof(*pairs->key_bytes));
	pairs->value_bytes = malloc(count * sizeof(*pairs->value_bytes));
	return pairs->key_text && pairs->row && pairs->keys && pairs->values && pairs->key_bytes &&
	                       pairs->value_bytes
	               ? 0
	               : -ENOMEM;
}

static void pairs_free(struct pairs *pairs)
{
	free(pairs->key_text);
	free(pairs->row);
	free(pairs->keys);
	free(pairs->values);
	free(pairs->key_bytes);
	free(pairs->value_bytes);
}

static int set_rows(struct flight *flight, const struct batch_call *call,
                    const struct batch_part *part, const struct rows *rows)
{
	int64_t now_ns = clock_realtime_ns();
	struct pairs pairs;
	int r = pairs_make(&pairs, part->count);

	for (uint32_t i = 0; r == 0 && i < part->count; i++) {
		layout_key(slot_at(call, part, i), pairs.key_text[i]);
		make_row(call, part, i, rows, now_ns, pairs.row[i]);
		pairs.keys[i] = pairs.key_text[i];
		pairs.values[i] = (const char *)pairs.row[i];
		pairs.key_bytes[i] = KEY_BYTES;
		pairs.value_bytes[i] = ROW_BYTES;
	}
	if (r == 0)
		rados_write_op_omap_set2(flight->write, pairs.keys, pairs.values, pairs.key_bytes,
		                         pairs.value_bytes, part->count);
	pairs_free(&pairs);
	return r;
}

int batch_fill(struct flight *flight, const struct batch_call *call, const struct batch_part *part,
               const struct rows *rows)
{
	int r;

	guard(flight, call, part, rows);
	r = write_bytes(flight, call, part);
	return r == 0 ? set_rows(flight, call, part, rows) : r;
}
