/*
 * test_receives.c - a stream is received on a simulated disk that crashes on the way, in every way, or
 * fails to sync: what one has is the old snapshot or the new one, or half of a stream that nobody can
 * open, and that can be gone on with and undone.
 */
#include "../unit/unit.h"

#include "chance.h"
#include "engine/quiver.h"
#include "simdisk.h"

#define DIM 100u /* of u1 */
#define IDS 40u
#define TRIES 1 /* of each way of crashing, at each event that is looked at */
#define PATH_BYTES (UNIT_PATH_BYTES + 32)

/* What a version is to a user. */
struct version {
	bool there[IDS];
	uint8_t bytes[IDS][DIM];
	struct quiver_attr attrs[IDS];
	struct quiver_attr dir;
	struct quiver_description description;
	uint64_t count;
};

struct stream {
	uint8_t bytes[65536];
	size_t length;
};

struct cursor {
	const struct stream *stream;
	size_t at;
};

struct play {
	struct unit_dir dir;
	char source[PATH_BYTES], target[PATH_BYTES], image[PATH_BYTES];
	struct version versions[2]; /* v1, v2 */
	struct stream streams[2]; /* v1 whole, v2 since v1 */
	struct simdisk *disk;
	struct chance chance;
	unsigned events, one_in; /* of so many one is looked at */
	unsigned old, half, new; /* how often each was found */
};

static int take(void *arg, const void *bytes, size_t length)
{
	struct stream *stream = arg;

	assert_true(stream->length + length <= sizeof(stream->bytes));
	memcpy(stream->bytes + stream->length, bytes, length);
	stream->length += length;
	return 0;
}

static int64_t give(void *arg, void *to, size_t length)
{
	struct cursor *cursor = arg;
	size_t left = cursor->stream->length - cursor->at;

	length = length < left ? length : left;
	memcpy(to, cursor->stream->bytes + cursor->at, length);
	cursor->at += length;
	return (int64_t)length;
}

/* ---- the source ---- */

static void put(struct play *play, struct quiver *store, uint64_t id)
{
	struct quiver_attr attr = { .mtime_ns = (int64_t)chance_below(&play->chance, 1000),
		                    .uid = (uint32_t)chance_below(&play->chance, 9),
		                    .mode = (uint16_t)chance_below(&play->chance, 01000) };
	uint8_t bytes[DIM];

	for (unsigned i = 0; i < DIM; i++)
		bytes[i] = (uint8_t)chance_below(&play->chance, 256);
	assert_int_equal(quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
}

static void change(struct play *play, struct quiver *store)
{
	for (uint64_t id = 0; id < IDS; id++) {
		struct quiver_attr attr = { .mode = (uint16_t)chance_below(&play->chance, 01000) };
		int r = 0;

		switch (chance_below(&play->chance, 5)) {
		case 0:
			r = quiver_remove(store, id, 0, NULL);
			break;
		case 1:
			r = quiver_set_attr(store, id, &attr, QUIVER_ATTR_MODE, 0);
			break;
		case 2:
			r = quiver_rename(store, id, (id + 1) % IDS, 0, NULL);
			break;
		case 3:
			put(play, store, id);
			break;
		default:
			break;
		}
		assert_true(r == 0 || r == -ENOENT);
	}
}

static void remember(struct quiver *view, struct version *version)
{
	memset(version, 0, sizeof(*version));
	for (uint64_t id = 0; id < IDS; id++)
		version->there[id] = quiver_get_copy(view, id, version->bytes[id],
		                                     &version->attrs[id], NULL) == 0;
	version->count = quiver_count(view);
	assert_int_equal(quiver_dir_attr(view, 0, &version->dir), 0);
	quiver_describe(view, &version->description);
}

static struct quiver *open_at(const char *path, bool read_only)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = read_only };
	struct quiver_error error = { "" };
	struct quiver *store;

	if (quiver_open(path, &options, &store, &error) != 0)
		fail_msg("%s", error.text);
	return store;
}

static void make_source(struct play *play)
{
	struct quiver_geometry geometry = { .dim = DIM, .dtype = QUIVER_U1 };
	struct quiver_send_options options = { .size = sizeof(options) };
	struct quiver *store, *view;

	assert_int_equal(quiver_create(play->source, &geometry, NULL, NULL, NULL), 0);
	store = open_at(play->source, false);
	for (uint64_t id = 0; id < IDS; id += 1 + id % 2)
		put(play, store, id);
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? "v2" : "v1";

		assert_int_equal(quiver_set_label(store, name, 2), 0);
		assert_int_equal(quiver_snapshot_create(store, name, NULL), 0);
		assert_int_equal(quiver_snapshot_open(store, name, &view), 0);
		remember(view, &play->versions[i]);
		assert_int_equal(quiver_close(view), 0);
		change(play, store);
	}
	assert_int_equal(quiver_close(store), 0);
	for (unsigned i = 0; i < 2; i++) {
		options.since = i ? "v1" : NULL;
		assert_int_equal(quiver_send(play->source, i ? "v2" : "v1", &options, take,
		                             &play->streams[i], NULL, NULL),
		                 0);
	}
}

/* ---- what must hold ---- */

static bool same_attr(const struct quiver_attr *a, const struct quiver_attr *b)
{
	return a->mtime_ns == b->mtime_ns && a->uid == b->uid && a->gid == b->gid &&
	       a->mode == b->mode;
}

/* Whether that is what is in an open store, or a snapshot of one. */
static bool is_version(struct quiver *store, const struct version *version)
{
	struct version now;

	remember(store, &now);
	if (now.count != version->count || !same_attr(&now.dir, &version->dir) ||
	    strcmp(now.description.label, version->description.label) != 0)
		return false;
	for (unsigned id = 0; id < IDS; id++)
		if (now.there[id] != version->there[id] ||
		    (now.there[id] && (memcmp(now.bytes[id], version->bytes[id], DIM) != 0 ||
		                       !same_attr(&now.attrs[id], &version->attrs[id]))))
			return false;
	return true;
}

static void must_be(const char *path, const struct version *version)
{
	struct quiver *store = open_at(path, true);

	if (!is_version(store, version))
		fail_msg("%s is another version than %s", path, version->description.label);
	assert_int_equal(quiver_close(store), 0);
}

static void must_have_no_damage(const char *path)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };

	if (quiver_check(path, false, NULL, NULL, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(result.damage, 0);
}

static int receive(struct play *play, const char *path, unsigned stream, const struct quiver_io *io,
                   struct quiver_error *error)
{
	struct quiver_receive_options options = { .size = sizeof(options), .io = io };

	struct cursor cursor = { .stream = &play->streams[stream] };

	error->text[0] = '\0';
	return quiver_receive(path, &options, give, &cursor, NULL, error);
}

static void must_receive(struct play *play, const char *path)
{
	struct quiver_error error;
	char snapshot[PATH_BYTES + 8];

	if (receive(play, path, 1, NULL, &error) != 0)
		fail_msg("%s", error.text);
	must_be(path, &play->versions[1]);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(snapshot, sizeof(snapshot), "%s@v%u", path, i + 1);
		must_be(snapshot, &play->versions[i]);
	}
	must_have_no_damage(path);
}

/* What a crash has left at `path`. */
static void look(struct play *play, const char *path)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = true };
	char snapshot[PATH_BYTES + 8];
	struct quiver_error error = { "" };
	struct quiver *store;
	int r;

	must_have_no_damage(path);
	r = quiver_open(path, &options, &store, &error);
	if (r == -EINPROGRESS) {
		play->half++;
		snprintf(snapshot, sizeof(snapshot), "%s@v1", path);
		must_be(snapshot, &play->versions[0]);
		if (chance_below(&play->chance, 2)) {
			if (quiver_receive_undo(path, NULL, &error) != 0)
				fail_msg("%s", error.text);
			must_be(path, &play->versions[0]);
		}
	} else if (r) {
		fail_msg("%s", error.text);
	} else {
		struct quiver_snapshot made;
		bool is_new = quiver_snapshot_stat(store, "v2", &made) == 0;

		play->old += !is_new;
		play->new += is_new;
		assert_true(is_version(store, &play->versions[is_new]));
		assert_int_equal(quiver_close(store), 0);
	}
	must_receive(play, path);
}

/* ---- the disk ---- */

static void crash_here(void *arg)
{
	struct play *play = arg;

	play->events++;
	if (chance_below(&play->chance, play->one_in) != 0)
		return;
	for (unsigned i = 0; i < SIM_KEEP_COUNT * TRIES; i++) {
		sim_crash(play->disk, play->image, (enum sim_keep)(i % SIM_KEEP_COUNT),
		          play->events * 100 + i);
		look(play, play->image);
		assert_int_equal(test_remove(play->image), 0);
	}
}

static void begin(struct play *play)
{
	struct quiver_error error;

	if (receive(play, play->target, 0, NULL, &error) != 0)
		fail_msg("%s", error.text);
	play->disk = sim_new(play->target);
}

static void end(struct play *play)
{
	sim_free(play->disk);
	assert_int_equal(test_remove(play->target), 0);
}

static int setup(void **state)
{
	struct play *play = calloc(1, sizeof(*play));

	assert_non_null(play);
	unit_dir_make(&play->dir);
	snprintf(play->source, sizeof(play->source), "%s/source", play->dir.path);
	snprintf(play->target, sizeof(play->target), "%s/target", play->dir.path);
	snprintf(play->image, sizeof(play->image), "%s/image", play->dir.path);
	play->chance = chance_of(18, 0);
	make_source(play);
	*state = play;
	return 0;
}

static int teardown(void **state)
{
	struct play *play = *state;

	unit_dir_remove(&play->dir);
	free(play);
	return 0;
}

static void crashes(struct play *play, bool maps)
{
	struct quiver_error error;

	play->one_in = 4;
	begin(play);
	if (maps)
		sim_use_maps(play->disk);
	sim_on_event(play->disk, crash_here, play);
	if (receive(play, play->target, 1, sim_io(play->disk), &error) != 0)
		fail_msg("%s", error.text);
	sim_on_event(play->disk, NULL, NULL);
	printf("# %u events; found old %u, half %u, new %u\n", play->events, play->old, play->half,
	       play->new);
	assert_true(play->old > 0 && play->half > 0 && play->new > 0);
	must_be(play->target, &play->versions[1]);
	end(play);
}

static void a_crash_leaves_the_old_or_the_new_or_half(void **state)
{
	crashes(*state, false);
}

static void so_it_does_where_rows_are_stored_through_maps(void **state)
{
	crashes(*state, true);
}

/* Going back is interrupted as well. */
static void a_crash_while_it_is_undone_leaves_half(void **state)
{
	struct play *play = *state;
	struct quiver_receive_options options = { .size = sizeof(options) };
	struct quiver_error error;
	size_t whole = play->streams[1].length;

	play->one_in = 4;
	begin(play);
	play->streams[1].length -= 70; /* its end and a bit */
	assert_int_equal(receive(play, play->target, 1, sim_io(play->disk), &error), -ENODATA);
	play->streams[1].length = whole;
	sim_on_event(play->disk, crash_here, play);
	options.io = sim_io(play->disk);
	if (quiver_receive_undo(play->target, &options, &error) != 0)
		fail_msg("%s", error.text);
	sim_on_event(play->disk, NULL, NULL);
	assert_true(play->old > 0 && play->half > 0 && play->new == 0);
	must_be(play->target, &play->versions[0]);
	end(play);
}

/* Each sync in turn: what was received is gone on with, also from what the machine has after a power cut. */
static void a_failed_sync_leaves_the_old_or_the_new_or_half(void **state)
{
	struct play *play = *state;
	unsigned after = 0;
	int r;

	do {
		struct quiver_error error;

		begin(play);
		sim_fail_sync(play->disk, after, after);
		after++;
		r = receive(play, play->target, 1, sim_io(play->disk), &error);
		assert_true((r != 0) <= (sim_failed_sync(play->disk) != NULL));
		if (sim_failed_sync(play->disk) == NULL)
			r = 1; /* there were no more of them */
		for (unsigned i = 0; i < SIM_KEEP_COUNT; i++) {
			sim_crash(play->disk, play->image, (enum sim_keep)i, after);
			look(play, play->image);
			assert_int_equal(test_remove(play->image), 0);
		}
		sim_fail_no_sync(play->disk);
		end(play);
	} while (r <= 0);
	assert_true(after > 8);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_crash_leaves_the_old_or_the_new_or_half),
		CASE(so_it_does_where_rows_are_stored_through_maps),
		CASE(a_crash_while_it_is_undone_leaves_half),
		CASE(a_failed_sync_leaves_the_old_or_the_new_or_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
