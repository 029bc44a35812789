#include "engine/transfer/receive_apply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/error.h"

/* Between two notes of how far it came: what is sent twice after a power cut, at most. A note costs
 * some syncs. */
#define NOTE_BYTES (UINT64_C(256) << 20)
#define NOTE_ITEMS (UINT64_C(1) << 20)

/* Some of the items may be there already, after a crash, of a stream that is sent again. */
static int apply_removals(struct receive_apply *apply, uint32_t first)
{
	struct stream_reader *reader = apply->reader;

	for (uint32_t i = first; i < reader->frame.items; i++) {
		uint64_t id;
		int r = stream_read_removal(reader, i, &id);

		if (r == 0)
			r = quiver_remove(apply->store, id, 0, NULL);
		if (r && r != -ENOENT)
			return r;
	}
	return 0;
}

static int apply_attributes(struct receive_apply *apply, uint32_t first)
{
	struct stream_reader *reader = apply->reader;

	for (uint32_t i = first; i < reader->frame.items; i++) {
		struct stream_row row;
		int r = stream_read_row(reader, i, &row);

		if (r == 0)
			r = quiver_set_attr(apply->store, row.id, &row.attr, QUIVER_ATTR_ALL, 0);
		if (r == -ENOENT) {
			reader->wrong = "it changes a vector that is not there";
			r = -EUCLEAN;
		}
		if (r)
			return r;
	}
	return 0;
}

static int apply_vectors(struct receive_apply *apply, uint32_t first)
{
	struct stream_reader *reader = apply->reader;
	uint32_t count = reader->frame.items - first;

	for (uint32_t i = 0; i < count; i++) {
		struct stream_row row;
		int r = stream_read_row(reader, first + i, &row);

		if (r)
			return r;
		apply->attrs[i] = row.attr;
		apply->records[i] = (struct quiver_record){
			.id = row.id,
			.data = stream_read_vector(reader, first + i),
			.attr = &apply->attrs[i],
			.attr_mask = QUIVER_ATTR_ALL,
		};
	}
	apply->bytes += (uint64_t)count * reader->header.geometry.vector_bytes;
	return quiver_put_batch(apply->store, apply->records, count, &apply->attrs[0],
	                        QUIVER_ATTR_ALL, QUIVER_WRITE_SOON, NULL);
}

/* A frame, of which the first items may be there. */
static int apply_frame(struct receive_apply *apply)
{
	const struct stream_frame *frame = &apply->reader->frame;
	uint64_t end = frame->position + frame->items;
	uint32_t first = 0;
	int r;

	if (end <= apply->position)
		return 0;
	if (frame->position < apply->position)
		first = (uint32_t)(apply->position - frame->position);
	switch (frame->type) {
	case STREAM_REMOVALS:
		r = apply_removals(apply, first);
		break;
	case STREAM_ATTRIBUTES:
		r = apply_attributes(apply, first);
		break;
	default:
		r = apply_vectors(apply, first);
		break;
	}
	if (r)
		return r;
	apply->items += end - apply->position;
	apply->position = end;
	if (apply->bytes < NOTE_BYTES && apply->items < NOTE_ITEMS)
		return 0;
	apply->bytes = apply->items = 0;
	return apply->note(apply->arg, apply->position);
}

int receive_apply(struct receive_apply *apply)
{
	uint32_t n = apply->reader->header.geometry.vector_bytes;
	size_t room = stream_items_max(STREAM_VECTORS, n);
	int r;

	apply->records = calloc(room, sizeof(*apply->records));
	apply->attrs = calloc(room, sizeof(*apply->attrs));
	r = apply->records && apply->attrs ? 0 : -ENOMEM;
	while (r == 0) {
		r = stream_read_frame(apply->reader);
		if (r == 0)
			r = apply_frame(apply);
		if (r == 0 && apply->progress)
			apply->progress(apply->arg, apply->position);
	}
	free(apply->records);
	free(apply->attrs);
	return r == STREAM_READ_END ? 0 : r;
}

int receive_apply_end(struct quiver *store, const struct stream_header *header,
                      struct quiver_error *error)
{
	const struct quiver_description *description = &header->description;
	uint64_t count = quiver_count(store);
	int r;

	if (count != header->new_one.count) {
		error_set(error,
		          "snapshot %s has %" PRIu64
		          " vectors, but after the whole stream there are %" PRIu64 " here",
		          header->new_one.name, header->new_one.count, count);
		return -EUCLEAN;
	}
	r = quiver_set_label(store, description->label, strlen(description->label));
	if (r == 0)
		r = quiver_set_metric(store, description->metric);
	if (r == 0)
		r = quiver_set_dir_attr(store, &header->dir, QUIVER_ATTR_ALL, 0);
	return r;
}
