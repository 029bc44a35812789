/* Which store a stream goes into, and whether it may. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/store/receiving.h"
#include "engine/transfer/receive.h"
#include "engine/transfer/receive_place.h"
#include "engine/transfer/receive_state.h"

/* For the names of snapshots in a message. */
#define NAMES_BYTES 200

int receive_target_open(struct receive *receive, const char *path)
{
	const struct quiver_receive_options *options = receive->options;
	struct quiver_options open = {
		.size = sizeof(open),
		.durability = QUIVER_FSYNC,
		.lock_wait_ms = options->lock_wait_ms,
		.io = options->io,
		.on_report = options->on_report,
		.on_report_arg = options->arg,
		.on_note = options->on_report,
	};

	return receiving_open(path, &open, &receive->store, receive->error);
}

int receive_target_snapshot(struct quiver *store, const uint8_t uuid[16],
                            struct quiver_snapshot *snapshot)
{
	struct quiver_snapshot *all;
	size_t count;
	int r = quiver_snapshots(store, &all, &count);
	bool found = false;

	if (r)
		return r;
	for (size_t i = 0; !found && i < count; i++) {
		found = !all[i].damaged && memcmp(all[i].uuid, uuid, 16) == 0;
		if (found)
			*snapshot = all[i];
	}
	free(all);
	return found ? 0 : -ENOENT;
}

/* The newest snapshots of the store, for a message. */
static const char *newest_names(struct quiver *store, char text[NAMES_BYTES])
{
	struct quiver_snapshot *all;
	size_t count, length = 0;

	text[0] = '\0';
	if (quiver_snapshots(store, &all, &count) != 0)
		return text;
	for (size_t i = count; i-- > 0;) {
		if (length + strlen(all[i].name) + 3 > NAMES_BYTES)
			break;
		length += (size_t)snprintf(text + length, NAMES_BYTES - length, "%s%s",
		                           length ? ", " : "", all[i].name);
	}
	free(all);
	return length ? text : "none";
}

static const char *name_here(const struct receive *receive)
{
	return receive->options->name ? receive->options->name
	                              : receive->reader.header.new_one.name;
}

/* From here on the store is half of the stream. */
static int mark(struct receive *receive, bool going_back)
{
	struct receive_mark *to = &receive->mark;
	int r;

	memset(to, 0, sizeof(*to));
	to->going_back = going_back;
	(void)snprintf(to->name, sizeof(to->name), "%s", name_here(receive));
	to->header = receive->reader.header;
	to->header.position = 0;
	r = receiving_write(receive->store, to);
	receive->marked = r == 0;
	return r;
}

static int go_back(struct receive *receive)
{
	struct quiver_snapshot old;
	int r = receive_target_snapshot(receive->store, receive->mark.header.old_one.uuid, &old);

	if (r == -ENOENT)
		error_set(receive->error, "%s: the stream builds on snapshot %s, which is gone",
		          receive->path, receive->mark.header.old_one.name);
	if (r == 0)
		r = state_go_back(receive->store, old.name, receive->error);
	if (r)
		return r;
	receive->mark.going_back = false;
	return receiving_write(receive->store, &receive->mark);
}

/* The first item must be there, or the one that follows what has come. */
static int check_position(struct receive *receive)
{
	uint64_t position = receive->reader.header.position;

	if (position <= receive->mark.position)
		return 0;
	error_set(receive->error,
	          "%s: the stream begins at item %" PRIu64
	          ", but %s; send it again with --from %" PRIu64,
	          receive->path, position,
	          receive->mark.position ? "fewer items are here" : "nothing of it is here",
	          receive->mark.position);
	return -ESPIPE;
}

/* A store that is marked. */
static int go_on(struct receive *receive, enum receive_step *step)
{
	struct quiver_snapshot made;
	int r = receiving_read(receive->store, &receive->mark);

	receive->marked = r == 0;
	if (r || stream_tag(&receive->mark.header) != receive->reader.tag) {
		(void)receiving_refuse(receive->store,
		                       receive->is_half ? receive->half : receive->path,
		                       receive->error);
		receive->marked = false;
		return -EINPROGRESS;
	}
	r = receive_target_snapshot(receive->store, receive->mark.header.new_one.uuid, &made);
	if (r == 0) {
		*step = receive->is_half ? RECEIVE_RENAME : RECEIVE_DONE;
		return receiving_clear(receive->store);
	}
	if (r != -ENOENT)
		return r;
	if (receive->options->name)
		(void)snprintf(receive->mark.name, sizeof(receive->mark.name), "%s",
		               receive->options->name);
	r = check_position(receive);
	return r == 0 && receive->mark.going_back ? go_back(receive) : r;
}

/* ---- a whole stream ---- */

static int make(struct receive *receive)
{
	const struct stream_header *header = &receive->reader.header;
	int r;

	receive->mark.position = 0;
	r = check_position(receive);
	if (r == 0)
		r = quiver_create(receive->half, &header->geometry, &header->description,
		                  receive->io, receive->error);
	if (r == 0)
		r = receive_target_open(receive, receive->half);
	return r ? r : mark(receive, false);
}

/* One that is not marked: it is whole and has not got its name, or nothing was done to it yet. */
static int take_unmarked(struct receive *receive, enum receive_step *step)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct quiver_snapshot made;
	int r = receive_target_snapshot(receive->store, receive->reader.header.new_one.uuid, &made);

	if (r == 0) {
		*step = RECEIVE_RENAME;
		return 0;
	}
	if (r != -ENOENT)
		return r;
	quiver_stats(receive->store, &stats);
	if (stats.lsn > 0 || stats.snapshots > 0) {
		error_set(receive->error,
		          "%s: it exists, but is not half of a stream; give another name",
		          receive->half);
		return -EEXIST;
	}
	r = quiver_close(receive->store);
	receive->store = NULL;
	if (r == 0)
		r = receive_place_remove(receive->io, receive->half, receive->error);
	return r ? r : make(receive);
}

static int target_of_whole(struct receive *receive, enum receive_step *step)
{
	enum receive_place place;
	int r = receive_place_half(receive->path, receive->half);

	receive->is_half = true;
	if (r == 0)
		r = receive_place_look_half(receive->io, receive->half, &place, receive->error);
	if (r || place == RECEIVE_PLACE_FREE)
		return r ? r : make(receive);
	r = receive_target_open(receive, receive->half);
	if (r == -EINVAL && receive_place_is_begun(receive->io, receive->half) == 1) {
		receive->error->text[0] = '\0';
		r = receive_place_remove(receive->io, receive->half, receive->error);
		return r ? r : make(receive);
	}
	if (r)
		return r;
	r = receiving_is_marked(receive->store);
	if (r < 0)
		return r;
	return r ? go_on(receive, step) : take_unmarked(receive, step);
}

/* ---- a stream for a store that is there ---- */

static int refuse_whole(struct receive *receive)
{
	char names[NAMES_BYTES];

	error_set(receive->error,
	          "%s: it exists, but a whole stream makes a new store; receive it under another "
	          "name, or send only the changes since a snapshot that both have (--since; here: "
	          "%s)",
	          receive->path, newest_names(receive->store, names));
	return -EEXIST;
}

static int refuse_unknown(struct receive *receive)
{
	char names[NAMES_BYTES];

	error_set(receive->error,
	          "%s: the stream builds on snapshot %s of its source, which is not here; send the "
	          "changes since a snapshot that both have (here: %s), or send everything to a new "
	          "store",
	          receive->path, receive->reader.header.old_one.name,
	          newest_names(receive->store, names));
	return -ENOENT;
}

static int refuse_other_state(struct receive *receive, const char *name,
                              const struct state_difference *difference)
{
	error_set(receive->error,
	          "%s: it has changed since snapshot %s, which the stream builds on: %" PRIu64
	          " vectors differ%s%s; --force goes back to the snapshot first and loses these "
	          "changes; to keep them, make a snapshot before",
	          receive->path, name, difference->vectors,
	          difference->folder ? ", and so do the times, mode or owner of the folder" : "",
	          difference->description ? ", and so does the label or the metric" : "");
	return -ESTALE;
}

static int check_name(struct receive *receive)
{
	struct quiver_snapshot taken;
	int r = quiver_snapshot_stat(receive->store, name_here(receive), &taken);

	if (r == 0) {
		error_set(receive->error,
		          "%s: it has another snapshot with the name %s; give another name after "
		          "STORE, or remove that snapshot",
		          receive->path, name_here(receive));
		r = -EEXIST;
	}
	return r == -ENOENT ? 0 : r;
}

static int check_geometry(struct receive *receive)
{
	const struct quiver_geometry *here = quiver_geometry(receive->store);
	const struct quiver_geometry *there = &receive->reader.header.geometry;

	if (here->dim == there->dim && here->dtype == there->dtype)
		return 0;
	error_set(receive->error,
	          "%s: its vectors are %" PRIu32
	          " elements of %s, but those of the stream are %" PRIu32 " of %s",
	          receive->path, here->dim, quiver_dtype_name(here->dtype), there->dim,
	          quiver_dtype_name(there->dtype));
	return -EINVAL;
}

/* Whether what is live is what the stream builds on; where it may be lost that is made so. */
static int take_state(struct receive *receive, const char *old)
{
	struct state_difference difference;
	int r = state_compare(receive->store, old, &difference, receive->error);
	bool differs;

	if (r)
		return r;
	differs = difference.vectors || difference.folder || difference.description;
	if (differs && !receive->options->force)
		return refuse_other_state(receive, old, &difference);
	r = mark(receive, differs);
	return r == 0 && differs ? go_back(receive) : r;
}

static int begin(struct receive *receive, enum receive_step *step)
{
	const struct stream_header *header = &receive->reader.header;
	struct quiver_snapshot old, made;
	int r = receive_target_snapshot(receive->store, header->new_one.uuid, &made);

	if (r == 0) {
		*step = RECEIVE_DONE;
		return 0;
	}
	if (r != -ENOENT)
		return r;
	if (!header->has_old)
		return refuse_whole(receive);
	r = check_geometry(receive);
	if (r)
		return r;
	r = receive_target_snapshot(receive->store, header->old_one.uuid, &old);
	if (r == -ENOENT)
		return refuse_unknown(receive);
	if (r == 0 && old.count != header->old_one.count) {
		error_set(receive->error,
		          "%s: snapshot %s has %" PRIu64 " vectors here, and %" PRIu64
		          " where the stream comes from",
		          receive->path, old.name, old.count, header->old_one.count);
		r = -EUCLEAN;
	}
	if (r == 0)
		r = check_name(receive);
	receive->mark.position = 0;
	if (r == 0)
		r = check_position(receive);
	return r ? r : take_state(receive, old.name);
}

static int target_of_old(struct receive *receive, enum receive_step *step)
{
	int r = receive_target_open(receive, receive->path);

	if (r)
		return r;
	r = receiving_is_marked(receive->store);
	if (r < 0)
		return r;
	return r ? go_on(receive, step) : begin(receive, step);
}

int receive_target(struct receive *receive, enum receive_step *step)
{
	const struct stream_header *header = &receive->reader.header;
	enum receive_place place;
	int r = receive_place_look(receive->io, receive->path, &place);

	*step = RECEIVE_ITEMS;
	if (r)
		return r;
	if (place == RECEIVE_PLACE_FREE && header->has_old) {
		error_set(
			receive->error,
			"%s: there is no store, and the stream is what has changed since snapshot "
			"%s; send a whole one first",
			receive->path, header->old_one.name);
		return -ENOENT;
	}
	if (place == RECEIVE_PLACE_OTHER) {
		error_set(receive->error, "%s: it exists, but is not a folder", receive->path);
		return -EEXIST;
	}
	return place == RECEIVE_PLACE_FREE ? target_of_whole(receive, step)
	                                   : target_of_old(receive, step);
}
