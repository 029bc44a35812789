/* Sending a snapshot: its rows are read from the files of the store, whoever writes to that. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/sized.h"
#include "engine/recovery/snapshot_changes.h"
#include "engine/transfer/stream_write.h"

#define ROWS_AT_ONCE 4096u

/* What is different, in the order of the stream. */
struct send {
	const struct quiver_send_options *options;
	struct snapshot_scan *newer, *older; /* older NULL: all of the newer one is sent */
	struct snapshot_change *changes; /* malloc'd: removals by ID, attributes, vectors by slot */
	struct stream_header header;
	struct stream_writer writer;
	struct snapshot_row *rows; /* malloc'd, ROWS_AT_ONCE */
	uint8_t *payload; /* malloc'd, STREAM_PAYLOAD_BYTES_MAX */
	uint32_t held; /* items in it */
	uint32_t items_max; /* of one frame of this kind */
	uint64_t found; /* rows, where all are sent */
	struct quiver_error *error;
};

/* Their places in the stream: 0, 1, 2. */
static int kind_of(const struct snapshot_change *change)
{
	return change->change == QUIVER_REMOVED              ? 0
	       : change->change == QUIVER_ATTRIBUTES_CHANGED ? 1
	                                                     : 2;
}

static int in_order(const void *a, const void *b)
{
	const struct snapshot_change *x = a, *y = b;
	int kind = kind_of(x);

	if (kind != kind_of(y))
		return kind - kind_of(y);
	if (kind == 0)
		return (x->id > y->id) - (x->id < y->id);
	return (x->slot > y->slot) - (x->slot < y->slot);
}

static struct stream_version version_of(const struct snapshot_page *page, const char *name)
{
	struct stream_version version = { .lsn = page->lsn, .count = page->count };

	memcpy(version.uuid, page->uuid, sizeof(version.uuid));
	strncpy(version.name, name, sizeof(version.name) - 1);
	return version;
}

/* Of a snapshot from which a repair has removed what was damaged nobody could make a true copy. */
static int refuse_incomplete(const struct snapshot_page *page, const char *name,
                             struct quiver_error *error)
{
	if (!page->incomplete)
		return 0;
	error_set(
		error,
		"snapshot %s: a repair has removed damaged vectors from it, so it cannot be sent; "
		"make a new one",
		name);
	return -EUCLEAN;
}

static int count_changes(struct send *send)
{
	size_t count = 0;
	int r = snapshot_changes(send->older, send->newer, &send->changes, &count, send->error);

	if (r)
		return r;
	if (count > 0)
		qsort(send->changes, count, sizeof(*send->changes), in_order);
	for (size_t i = 0; i < count; i++) {
		int kind = kind_of(&send->changes[i]);

		send->header.removals += kind == 0;
		send->header.attributes += kind == 1;
		send->header.vectors += kind == 2;
	}
	return 0;
}

/* What the stream says of itself. */
static int prepare(struct send *send, const char *name)
{
	const struct snapshot_page *page = snapshot_scan_page(send->newer);
	const struct quiver_geometry *geometry = snapshot_scan_geometry(send->newer);
	struct stream_header *header = &send->header;
	const char *since = send->options->since;
	int r = refuse_incomplete(page, name, send->error);

	memcpy(header->store_uuid, geometry->uuid, sizeof(header->store_uuid));
	header->geometry = *geometry;
	memset(header->geometry.uuid, 0, sizeof(header->geometry.uuid));
	header->new_one = version_of(page, name);
	header->created_ns = page->created_ns;
	header->dir = page->dir;
	header->description = page->description;
	header->position = send->options->from;
	if (r || !send->older) {
		header->vectors = page->count;
		return r;
	}
	header->has_old = true;
	header->old_one = version_of(snapshot_scan_page(send->older), since);
	r = refuse_incomplete(snapshot_scan_page(send->older), since, send->error);
	return r ? r : count_changes(send);
}

static void tell(const struct send *send)
{
	if (send->options->progress)
		send->options->progress(send->options->progress_arg, send->writer.position,
		                        stream_items(&send->header));
}

static int write_held(struct send *send, enum stream_frame_type type)
{
	size_t n = send->header.geometry.vector_bytes;
	uint32_t held = send->held;
	int r;

	if (held == 0)
		return 0;
	/* The vectors follow the rows, for which there is room for as many as a frame has. */
	if (type == STREAM_VECTORS && held < send->items_max)
		memmove(send->payload + held * (size_t)STREAM_ROW_BYTES,
		        send->payload + send->items_max * (size_t)STREAM_ROW_BYTES, held * n);
	r = stream_write_items(&send->writer, type, held, send->payload);
	send->held = 0;
	tell(send);
	return r;
}

static void begin_kind(struct send *send, enum stream_frame_type type)
{
	send->items_max = stream_items_max(type, send->header.geometry.vector_bytes);
}

static int write_removals(struct send *send)
{
	const uint64_t end = send->header.removals;
	int r = 0;

	begin_kind(send, STREAM_REMOVALS);
	for (uint64_t i = send->header.position; r == 0 && i < end; i++) {
		stream_removal_encode(send->changes[i].id, send->payload + 8 * (size_t)send->held);
		if (++send->held == send->items_max)
			r = write_held(send, STREAM_REMOVALS);
	}
	return r ? r : write_held(send, STREAM_REMOVALS);
}

static int add_row(struct send *send, enum stream_frame_type type, const struct snapshot_row *row)
{
	size_t n = send->header.geometry.vector_bytes;
	uint32_t held = send->held;
	struct stream_row out = { .id = row->id, .attr = row->row.attr };
	int r = 0;

	stream_row_encode(&out, send->payload + STREAM_ROW_BYTES * (size_t)held);
	if (type == STREAM_VECTORS)
		r = snapshot_scan_vector(
			send->newer, row,
			send->payload + STREAM_ROW_BYTES * (size_t)send->items_max + n * held,
			send->error);
	if (r)
		return r;
	send->held = held + 1;
	return send->held == send->items_max ? write_held(send, type) : 0;
}

/* The rows of slots [slots, slots + count) of the changes, which are ascending: read in pieces, but for
 * where there is nothing between two of them. */
static int write_rows(struct send *send, enum stream_frame_type type,
                      const struct snapshot_change *changes, uint64_t count)
{
	uint64_t next = 0;
	uint64_t i = 0;
	int r = 0;

	begin_kind(send, type);
	while (r == 0 && i < count) {
		int64_t got;

		if (next < changes[i].slot)
			next = changes[i].slot;
		got = snapshot_scan_read(
			send->newer, &next, send->rows,
			count - i < ROWS_AT_ONCE ? (size_t)(count - i) : ROWS_AT_ONCE, send->error);
		if (got <= 0) {
			if (got == 0)
				error_set(send->error,
				          "a row that the snapshot had is not there any more");
			return got < 0 ? (int)got : -EUCLEAN;
		}
		for (int64_t k = 0; r == 0 && i < count && k < got; k++) {
			if (send->rows[k].slot < changes[i].slot)
				continue;
			/* What is gone since it was compared is damaged. */
			if (send->rows[k].slot > changes[i].slot ||
			    send->rows[k].id != changes[i].id) {
				error_set(send->error, "vector %" PRIu64 ": its row is damaged",
				          changes[i].id);
				return -EUCLEAN;
			}
			r = add_row(send, type, &send->rows[k]);
			i++;
		}
	}
	return r ? r : write_held(send, type);
}

/* All that the snapshot has, from a position on. */
static int write_all(struct send *send)
{
	uint64_t next = 0, skip = send->header.position;
	int64_t got;
	int r = 0;

	begin_kind(send, STREAM_VECTORS);
	do {
		got = snapshot_scan_read(send->newer, &next, send->rows, ROWS_AT_ONCE, send->error);
		for (int64_t k = 0; r == 0 && k < got; k++) {
			/* One too many would not fit what the header says; it is told below. */
			if (send->found++ < skip || send->found > send->header.vectors)
				continue;
			r = add_row(send, STREAM_VECTORS, &send->rows[k]);
		}
	} while (r == 0 && got > 0);
	if (r == 0 && got < 0)
		r = (int)got;
	if (r == 0)
		r = snapshot_scan_whole(send->newer, send->found, send->error);
	return r ? r : write_held(send, STREAM_VECTORS);
}

/* The items of a kind that has `count` of them and begins at `first`, from the position on. */
static int write_kind(struct send *send, enum stream_frame_type type, uint64_t first,
                      uint64_t count)
{
	uint64_t from = send->header.position > first ? send->header.position - first : 0;

	return from >= count ? 0
	                     : write_rows(send, type, send->changes + first + from, count - from);
}

static int write_stream(struct send *send,
                        int (*write)(void *arg, const void *bytes, size_t length), void *arg)
{
	const struct stream_header *header = &send->header;
	int r = stream_write_begin(&send->writer, header, write, arg);

	tell(send);
	if (r == 0 && !header->has_old)
		r = write_all(send);
	if (r == 0 && header->has_old)
		r = write_removals(send);
	if (r == 0 && header->has_old)
		r = write_kind(send, STREAM_ATTRIBUTES, header->removals, header->attributes);
	if (r == 0 && header->has_old)
		r = write_kind(send, STREAM_VECTORS, header->removals + header->attributes,
		               header->vectors);
	return r ? r : stream_write_end(&send->writer);
}

static int open_scans(struct send *send, const char *path, const char *name)
{
	const struct quiver_send_options *options = send->options;
	int r;

	if (!quiver_is_folder(path)) {
		error_set(send->error, "%s: only a store in a local folder has snapshots", path);
		return -EOPNOTSUPP;
	}
	r = snapshot_scan_open(path, name, options->io, &send->newer, send->error);
	if (r == 0 && options->since)
		r = snapshot_scan_open(path, options->since, options->io, &send->older,
		                       send->error);
	if (r)
		return r;
	send->rows = malloc(ROWS_AT_ONCE * sizeof(*send->rows));
	send->payload = malloc(STREAM_PAYLOAD_BYTES_MAX);
	return send->rows && send->payload ? 0 : -ENOMEM;
}

static int check_from(const struct send *send)
{
	uint64_t items = stream_items(&send->header);

	if (send->options->from <= items)
		return 0;
	error_set(send->error, "position %" PRIu64 ": the stream has %" PRIu64 " items",
	          send->options->from, items);
	return -EINVAL;
}

static void give_sent(const struct send *send, struct quiver_sent *sent)
{
	struct quiver_sent all = {
		.size = sent->size,
		.removals = send->header.removals,
		.attributes = send->header.attributes,
		.vectors = send->header.vectors,
		.position = send->writer.position,
		.bytes = send->writer.bytes,
	};

	sized_give(sent, sent->size, &all, sizeof(all));
}

int quiver_send(const char *path, const char *name, const struct quiver_send_options *options,
                int (*write)(void *arg, const void *bytes, size_t length), void *arg,
                struct quiver_sent *sent, struct quiver_error *error)
{
	struct quiver_send_options known;
	struct send send = { .options = &known, .error = error };
	int r = sized_take(&known, sizeof(known), options, options->size,
	                   offsetof(struct quiver_send_options, progress_arg) + sizeof(void *));

	if (error)
		error->text[0] = '\0';
	culprit_forget();
	if (r == 0)
		r = open_scans(&send, path, name);
	if (r == 0)
		r = prepare(&send, name);
	if (r == 0)
		r = check_from(&send);
	send.writer.position = send.header.position;
	if (r == 0)
		r = write_stream(&send, write, arg);
	if (sent)
		give_sent(&send, sent);
	free(send.rows);
	free(send.payload);
	free(send.changes);
	snapshot_scan_close(send.older);
	snapshot_scan_close(send.newer);
	return r;
}
