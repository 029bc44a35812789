#include "engine/rados/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* `removed`, and some keys of a stranger. */
#define ROWS_BESIDE 16u

int rows_make(struct rows *rows, uint32_t slot_count)
{
	*rows = (struct rows){ .slot_count = slot_count };
	rows->slots = calloc(slot_count, sizeof(*rows->slots));
	return rows->slots ? 0 : -ENOMEM;
}

void rows_free(struct rows *rows)
{
	free(rows->slots);
	rows->slots = NULL;
}

void rows_ask(struct flight *flight, uint32_t slot_count)
{
	rados_read_op_omap_get_vals2(flight->read, "", "", slot_count + ROWS_BESIDE, &flight->rows,
	                             &flight->rows_more, &flight->rows_result);
}

int rows_ask_keys(struct flight *flight, const uint32_t *slots, uint32_t count)
{
	char(*text)[KEY_BYTES] = malloc(count * sizeof(*text));
	const char **keys = malloc((count + 1) * sizeof(*keys));
	size_t *lengths = malloc((count + 1) * sizeof(*lengths));
	int r = text && keys && lengths ? 0 : -ENOMEM;

	for (uint32_t i = 0; r == 0 && i < count; i++) {
		layout_key(slots ? slots[i] : i, text[i]);
		keys[i] = text[i];
		lengths[i] = KEY_BYTES;
	}
	if (r == 0) {
		keys[count] = KEY_REMOVED;
		lengths[count] = KEY_REMOVED_BYTES;
		rados_read_op_omap_get_vals_by_keys2(flight->read, keys, count + 1, lengths,
		                                     &flight->rows, &flight->rows_result);
	}
	free(lengths);
	free(keys);
	free(text);
	return r;
}

void rows_take(struct rows *rows, struct flight *flight)
{
	const char *key, *value;
	size_t key_bytes, value_bytes;

	memset(rows->slots, 0, rows->slot_count * sizeof(*rows->slots));
	rows->removed = (struct value){ 0 };
	rows->present = 0;
	rows->others = 0;
	rows->has_more = false;
	while (flight_row(flight, &key, &key_bytes, &value, &value_bytes)) {
		int slot = layout_key_slot(key, key_bytes, rows->slot_count);

		if (slot >= 0) {
			rows->slots[slot] = (struct value){ value, value_bytes };
			rows->present++;
		} else if (key_bytes == KEY_REMOVED_BYTES &&
		           memcmp(key, KEY_REMOVED, KEY_REMOVED_BYTES) == 0) {
			rows->removed = (struct value){ value, value_bytes };
		} else {
			rows->others++;
		}
	}
}
