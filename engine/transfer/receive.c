/* Receiving a stream into a store, and going back from half of one. */
#include "engine/transfer/receive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/sized.h"
#include "engine/store/receiving.h"
#include "engine/transfer/receive_apply.h"
#include "engine/transfer/receive_place.h"
#include "engine/transfer/receive_state.h"

static bool has_text(const struct quiver_error *error)
{
	return error->text[0] != '\0';
}

/* What is wrong with the stream itself. */
static void say_stream(struct receive *receive, int r)
{
	const struct stream_reader *reader = &receive->reader;

	if (has_text(receive->error))
		return;
	if (r == -ENODATA)
		error_set(receive->error, "the stream ends early, after %" PRIu64 " bytes",
		          reader->bytes);
	else if (r == -ENOTSUP)
		error_set(receive->error,
		          "the stream was made by a newer version of quiverfs; use that version");
	else if (r == -EINVAL && reader->wrong)
		error_set(receive->error,
		          "this is not a stream of quiverfs: %s; expected the output of `quiverfs "
		          "send`",
		          reader->wrong);
	else if (reader->wrong)
		error_set(receive->error,
		          "the stream is damaged within its first %" PRIu64 " bytes: %s",
		          reader->bytes, reader->wrong);
}

static int note(void *arg, uint64_t position)
{
	struct receive *receive = arg;
	int r = quiver_flush(receive->store);

	receive->mark.position = position;
	return r ? r : receiving_write(receive->store, &receive->mark);
}

static void tell(void *arg, uint64_t position)
{
	struct receive *receive = arg;

	if (receive->options->progress)
		receive->options->progress(receive->options->arg, position,
		                           stream_items(&receive->reader.header));
}

/* The items, and then the snapshot. */
static int take_items(struct receive *receive)
{
	const struct stream_header *header = &receive->reader.header;
	struct receive_apply apply = {
		.store = receive->store,
		.reader = &receive->reader,
		.position = receive->mark.position,
		.note = note,
		.progress = tell,
		.arg = receive,
	};
	int r;

	tell(receive, apply.position);
	r = receive_apply(&apply);
	if (r) {
		say_stream(receive, r);
		/* What came is kept as far as that goes; the reason is what failed first. */
		if (apply.position > receive->mark.position)
			(void)note(receive, apply.position);
		return r;
	}
	r = receive_apply_end(receive->store, header, receive->error);
	if (r == 0)
		r = receiving_snapshot(receive->store, receive->mark.name, header->new_one.uuid,
		                       NULL);
	if (r == -EEXIST)
		error_set(receive->error,
		          "%s: everything is here, but there is another snapshot with the name %s; "
		          "receive it again, with another name after STORE",
		          receive->path, receive->mark.name);
	return r ? r : receiving_clear(receive->store);
}

/* What is sent of a snapshot that is there is read all the same, for who sends it, and for what may
 * come behind it. That it ends early does not matter. */
static void read_away(struct stream_reader *reader)
{
	int r;

	do
		r = stream_read_frame(reader);
	while (r == 0);
}

static int close_store(struct receive *receive, int r)
{
	int c = receive->store ? quiver_close(receive->store) : 0;

	receive->store = NULL;
	return r ? r : c;
}

static int receive_stream(struct receive *receive, struct quiver_received *received)
{
	enum receive_step step;
	int r = receive_target(receive, &step);

	if (r == 0 && step == RECEIVE_ITEMS)
		r = take_items(receive);
	received->is_half = receive->marked && r != 0;
	received->position = receive->mark.position;
	if (receive->marked)
		memcpy(received->name, receive->mark.name, sizeof(received->name));
	r = close_store(receive, r);
	if (r == 0 && receive->is_half)
		r = receive_place_end(receive->io, receive->path, receive->half);
	if (r == 0 && step != RECEIVE_ITEMS) {
		received->had_it = true;
		read_away(&receive->reader);
	}
	return r;
}

static void tell_header(const struct receive *receive, struct quiver_received *received)
{
	const struct stream_header *header = &receive->reader.header;

	received->removals = header->removals;
	received->attributes = header->attributes;
	received->vectors = header->vectors;
	memcpy(received->sent_name, header->new_one.name, sizeof(received->sent_name));
	memcpy(received->since, header->old_one.name, sizeof(received->since));
	memcpy(received->name,
	       receive->options->name ? receive->options->name : header->new_one.name,
	       strlen(receive->options->name ? receive->options->name : header->new_one.name) + 1);
}

static int check_options(const char *path, const struct quiver_receive_options *options,
                         struct quiver_error *error)
{
	size_t length;

	if (!quiver_is_folder(path)) {
		error_set(error, "%s: only a store in a local folder has snapshots", path);
		return -EOPNOTSUPP;
	}
	if (quiver_is_snapshot(path, &length)) {
		error_set(error, "%s: nothing can be received into a snapshot", path);
		return -EROFS;
	}
	if (options->name && !quiver_snapshot_name_is_valid(options->name)) {
		error_set(error,
		          "%s: a snapshot cannot have that name; expected 1 to %u characters of "
		          "A-Z a-z 0-9 . _ : -, and no dot in front",
		          options->name, QUIVER_SNAPSHOT_NAME_MAX);
		return -EINVAL;
	}
	return 0;
}

#define OPTIONS_BYTES_MIN (offsetof(struct quiver_receive_options, arg) + sizeof(void *))

static int take_options(struct receive *receive, struct quiver_receive_options *known,
                        const struct quiver_receive_options *options)
{
	int r = sized_take(known, sizeof(*known), options, options->size, OPTIONS_BYTES_MIN);

	receive->options = known;
	receive->io = r == 0 && known->io ? known->io : quiver_io_posix();
	culprit_forget();
	return r ? r : check_options(receive->path, known, receive->error);
}

static void say_why(const struct receive *receive, int r)
{
	if (r && !has_text(receive->error) && culprit_name(r))
		error_set(receive->error, "%s/%s: %s", receive->path, culprit_name(r),
		          culprit_why(r));
	else if (r && !has_text(receive->error))
		error_set(receive->error, "%s: %s", receive->path, quiver_strerror(r));
}

int quiver_receive(const char *path, const struct quiver_receive_options *options,
                   int64_t (*read)(void *arg, void *to, size_t length), void *arg,
                   struct quiver_received *received, struct quiver_error *error)
{
	struct quiver_received all = { .size = sizeof(all) };
	struct quiver_receive_options known;
	struct quiver_error own;
	struct receive receive = { .path = path, .error = error ? error : &own };
	int r;

	receive.error->text[0] = '\0';
	r = take_options(&receive, &known, options);
	if (r == 0)
		r = stream_read_open(&receive.reader, read, arg);
	if (r == 0) {
		r = stream_read_header(&receive.reader);
		if (r < 0)
			say_stream(&receive, r);
		all.nothing = r == STREAM_READ_NOTHING;
	}
	if (r == 0) {
		tell_header(&receive, &all);
		r = receive_stream(&receive, &all);
	}
	stream_read_close(&receive.reader);
	if (r > 0)
		r = 0;
	say_why(&receive, r);
	if (received) {
		all.size = received->size;
		sized_give(received, received->size, &all, sizeof(all));
	}
	return r;
}

/* ---- going back ---- */

/* What to go back to: what the stream builds on or, where that is not known, the newest. */
static int find_old(struct receive *receive, struct quiver_snapshot *old)
{
	struct quiver_snapshot *all;
	size_t count;
	int r = receiving_read(receive->store, &receive->mark);

	receive->marked = r == 0;
	if (r == 0)
		return receive_target_snapshot(receive->store, receive->mark.header.old_one.uuid,
		                               old);
	r = quiver_snapshots(receive->store, &all, &count);
	if (r)
		return r;
	if (count > 0)
		*old = all[count - 1];
	free(all);
	return count > 0 && !old->damaged ? 0 : -ENOENT;
}

/* The new snapshot may have been made already. */
static int remove_new(struct receive *receive)
{
	struct quiver_snapshot made;
	int r = receive_target_snapshot(receive->store, receive->mark.header.new_one.uuid, &made);

	if (r == 0)
		r = quiver_snapshot_remove(receive->store, made.name);
	if (r == -EBUSY)
		error_set(receive->error,
		          "%s: another process has the received snapshot %s open; unmount it first",
		          receive->path, made.name);
	return r == -ENOENT ? 0 : r;
}

static int undo_changes(struct receive *receive)
{
	struct quiver_snapshot old;
	int r = find_old(receive, &old);

	if (r == -ENOENT) {
		error_set(receive->error,
		          "%s: the snapshot that the stream builds on is gone, so there is nothing "
		          "to go back to; receive a whole stream under another name",
		          receive->path);
		return -EUCLEAN;
	}
	/* Who goes on after a crash must not take what was put back for what was received. */
	receive->mark.going_back = true;
	receive->mark.position = 0;
	if (r == 0 && receive->marked)
		r = receiving_write(receive->store, &receive->mark);
	if (r == 0)
		r = remove_new(receive);
	if (r == 0)
		r = state_go_back(receive->store, old.name, receive->error);
	return r ? r : receiving_clear(receive->store);
}

/* Half of a whole one is removed with all it has. */
static int undo_half(struct receive *receive)
{
	enum receive_place place = RECEIVE_PLACE_FREE;
	struct quiver_stats stats = { .size = sizeof(stats) };
	int r = receive_place_half(receive->path, receive->half);

	if (r == 0)
		r = receive_place_look_half(receive->io, receive->half, &place, receive->error);
	if (r == 0 && place != RECEIVE_PLACE_FOLDER) {
		error_set(receive->error, "%s: no stream is being received into it", receive->path);
		return -EINVAL;
	}
	if (r == 0)
		r = receive_target_open(receive, receive->half);
	if (r == 0) {
		r = receiving_is_marked(receive->store);
		quiver_stats(receive->store, &stats);
		if (r == 0 && stats.lsn > 0) {
			error_set(receive->error, "%s: it is not half of a stream", receive->half);
			r = -EINVAL;
		}
		r = close_store(receive, r < 0 ? r : 0);
	} else if (r == -EINVAL && receive_place_is_begun(receive->io, receive->half) == 1) {
		receive->error->text[0] = '\0';
		r = 0;
	}
	return r ? r : receive_place_remove(receive->io, receive->half, receive->error);
}

static int undo(struct receive *receive)
{
	enum receive_place place;
	int marked = 0;
	int r = receive_place_look(receive->io, receive->path, &place);

	if (r || place != RECEIVE_PLACE_FOLDER)
		return r ? r : undo_half(receive);
	r = receive_target_open(receive, receive->path);
	if (r)
		return r;
	marked = receiving_is_marked(receive->store);
	r = marked > 0 ? undo_changes(receive) : marked;
	r = close_store(receive, r);
	return r || marked ? r : undo_half(receive);
}

int quiver_receive_undo(const char *path, const struct quiver_receive_options *options,
                        struct quiver_error *error)
{
	const struct quiver_receive_options none = { .size = sizeof(none) };
	struct quiver_receive_options known;
	struct quiver_error own;
	struct receive receive = { .path = path, .error = error ? error : &own };
	int r;

	receive.error->text[0] = '\0';
	r = take_options(&receive, &known, options ? options : &none);
	if (r == 0)
		r = undo(&receive);
	say_why(&receive, r);
	return r;
}
