/* Snapshots go from one store to another: whole, by what has changed, in pieces, and not at all. */
#include "unit.h"

#include "engine/media/version_stream.h"
#include "engine/quiver.h"
#include "engine/store/receiving.h"
#include "engine/transfer/stream_write.h"
#include "failing_io.h"

#define DIM 8u
#define N (DIM * 4u)
#define IDS 64u /* that are used */
#define VERSIONS 5u
#define PATH_BYTES (UNIT_PATH_BYTES + 64)

/* ---- bytes in memory ---- */

struct stream {
	uint8_t *bytes;
	size_t length, room;
	size_t at; /* read up to there */
	size_t piece; /* most that one reading gives; 0: all */
	size_t die_at; /* reading behind it ends the process; 0: nothing does */
	int fail; /* errno at the end of it */
};

static int take(void *arg, const void *bytes, size_t length)
{
	struct stream *stream = arg;

	if (stream->length + length > stream->room) {
		stream->room = 2 * (stream->length + length);
		stream->bytes = realloc(stream->bytes, stream->room);
		assert_non_null(stream->bytes);
	}
	memcpy(stream->bytes + stream->length, bytes, length);
	stream->length += length;
	return 0;
}

static int64_t give(void *arg, void *to, size_t length)
{
	struct stream *stream = arg;
	size_t left = stream->length - stream->at;

	length = length < left ? length : left;
	if (stream->piece && length > stream->piece)
		length = stream->piece;
	if (stream->die_at && stream->at + length > stream->die_at)
		_exit(0);
	if (length == 0 && stream->fail)
		return -stream->fail;
	if (length > 0) /* `bytes` may be NULL then */
		memcpy(to, stream->bytes + stream->at, length);
	stream->at += length;
	return (int64_t)length;
}

/* ---- stores ---- */

static unsigned draw(unsigned below)
{
	static uint32_t state = 1;

	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

static const char *path_of(struct unit_dir *dir, const char *name)
{
	static char paths[4][PATH_BYTES];
	static unsigned turn;

	snprintf(paths[++turn % 4], PATH_BYTES, "%s/%s", dir->path, name);
	return paths[turn % 4];
}

static struct quiver *open_at(struct unit_dir *dir, const char *name)
{
	struct quiver_options options = { .size = sizeof(options) };
	struct quiver_error error;
	struct quiver *store;

	if (quiver_open(path_of(dir, name), &options, &store, &error) != 0)
		fail_msg("%s", error.text);
	return store;
}

static int try_open(struct unit_dir *dir, const char *name)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = true };
	struct quiver *store;
	int r = quiver_open(path_of(dir, name), &options, &store, NULL);

	if (r == 0)
		assert_int_equal(quiver_close(store), 0);
	return r;
}

static struct quiver *make_source(struct unit_dir *dir, const char *name)
{
	struct quiver_geometry geometry = { .dim = DIM, .dtype = QUIVER_F4 };
	struct quiver_description description = { .metric = QUIVER_COSINE, .label = "one" };

	assert_int_equal(quiver_create(path_of(dir, name), &geometry, &description, NULL, NULL), 0);
	return open_at(dir, name);
}

static void put_one(struct quiver *store, uint64_t id)
{
	struct quiver_attr attr = { .mtime_ns = (int64_t)draw(1000) - 500,
		                    .uid = draw(3),
		                    .gid = draw(3),
		                    .mode = (uint16_t)draw(010000) };
	uint32_t vector[DIM];

	for (unsigned i = 0; i < DIM; i++)
		vector[i] = draw(1u << 20);
	assert_int_equal(quiver_put(store, id, vector, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
}

static void set_one(struct quiver *store, uint64_t id)
{
	struct quiver_attr attr = { .mtime_ns = draw(1000), .mode = (uint16_t)draw(010000) };
	int r = quiver_set_attr(store, id, &attr, QUIVER_ATTR_MTIME | QUIVER_ATTR_MODE, 0);

	assert_true(r == 0 || r == -ENOENT);
}

/* One of all that can be done. */
static void change_one(struct quiver *store)
{
	uint64_t id = draw(IDS), other = draw(IDS);
	int r = 0;

	switch (draw(6)) {
	case 0:
		r = quiver_remove(store, id, 0, NULL);
		break;
	case 1:
		r = quiver_rename(store, id, other, 0, NULL);
		break;
	case 2:
		set_one(store, id);
		break;
	case 3:
		set_one(store, id);
		put_one(store, other);
		break;
	default:
		put_one(store, id);
	}
	assert_true(r == 0 || r == -ENOENT);
}

static const char *name_of(unsigned version)
{
	static char names[4][16];
	static unsigned turn;

	snprintf(names[++turn % 4], 16, "v%u", version);
	return names[turn % 4];
}

/* Change much or little, and make the snapshot of that number. */
static void next_version(struct quiver *store, unsigned version)
{
	struct quiver_attr dir = { .mtime_ns = 1000 + version, .mode = (uint16_t)(0700 + version) };
	unsigned count = version % 2 ? 60 : 4;

	for (unsigned i = 0; i < count; i++)
		change_one(store);
	assert_int_equal(quiver_set_dir_attr(store, &dir, QUIVER_ATTR_MTIME | QUIVER_ATTR_MODE, 0),
	                 0);
	if (version % 2)
		assert_int_equal(quiver_set_label(store, name_of(version), 2), 0);
	if (version == 3)
		assert_int_equal(quiver_set_metric(store, QUIVER_IP), 0);
	assert_int_equal(quiver_snapshot_create(store, name_of(version), NULL), 0);
}

/* A source with all versions, closed; and their streams, the first whole. */
static void make_versions(struct unit_dir *dir)
{
	struct quiver *store = make_source(dir, "source");

	for (unsigned version = 1; version <= VERSIONS; version++)
		next_version(store, version);
	assert_int_equal(quiver_close(store), 0);
}

static int send(struct unit_dir *dir, const char *from, const char *name, const char *since,
                uint64_t position, struct stream *stream)
{
	struct quiver_send_options options = { .size = sizeof(options),
		                               .since = since,
		                               .from = position };
	struct quiver_sent sent = { .size = sizeof(sent) };
	struct quiver_error error = { "" };
	int r;

	memset(stream, 0, sizeof(*stream));
	r = quiver_send(path_of(dir, from), name, &options, take, stream, &sent, &error);
	assert_int_equal(sent.bytes, stream->length);
	if (r)
		assert_true(error.text[0] != '\0' || r != -EUCLEAN);
	else
		assert_int_equal(sent.position, sent.removals + sent.attributes + sent.vectors);
	return r;
}

static void send_version(struct unit_dir *dir, unsigned version, unsigned since,
                         struct stream *stream)
{
	assert_int_equal(
		send(dir, "source", name_of(version), since ? name_of(since) : NULL, 0, stream), 0);
}

static struct quiver_received last; /* of the receive before */
static struct quiver_error last_error;

static int receive_with(struct unit_dir *dir, const char *to, struct stream *stream,
                        const struct quiver_receive_options *options)
{
	last = (struct quiver_received){ .size = sizeof(last) };
	return quiver_receive(path_of(dir, to), options, give, stream, &last, &last_error);
}

static int receive_at(struct unit_dir *dir, const char *to, struct stream *stream)
{
	const struct quiver_receive_options options = { .size = sizeof(options) };

	stream->at = 0;
	return receive_with(dir, to, stream, &options);
}

static void receive_all(struct unit_dir *dir, const char *to, struct stream *stream)
{
	int r = receive_at(dir, to, stream);

	if (r)
		fail_msg("%d: %s", r, last_error.text);
}

static void receive_version(struct unit_dir *dir, const char *to, unsigned version, unsigned since)
{
	struct stream stream;

	send_version(dir, version, since, &stream);
	receive_all(dir, to, &stream);
	free(stream.bytes);
}

/* ---- comparing ---- */

static void check_attr(const struct quiver_attr *a, const struct quiver_attr *b)
{
	assert_true(a->mtime_ns == b->mtime_ns);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->mode, b->mode);
}

/* All that a user sees, but for the ctimes. */
static void check_same(struct quiver *a, struct quiver *b)
{
	struct quiver_description described[2];
	struct quiver_attr attr[2];
	uint64_t there = 0;

	assert_int_equal(quiver_count(a), quiver_count(b));
	for (uint64_t id = 0; id < IDS; id++) {
		uint8_t vector[2][N];
		int r = quiver_get_copy(a, id, vector[0], &attr[0], NULL);

		assert_int_equal(r, quiver_get_copy(b, id, vector[1], &attr[1], NULL));
		if (r == -ENOENT)
			continue;
		assert_int_equal(r, 0);
		assert_memory_equal(vector[0], vector[1], N);
		check_attr(&attr[0], &attr[1]);
		there++;
	}
	assert_int_equal(there, quiver_count(a));
	assert_int_equal(quiver_dir_attr(a, 0, &attr[0]), 0);
	assert_int_equal(quiver_dir_attr(b, 0, &attr[1]), 0);
	check_attr(&attr[0], &attr[1]);
	quiver_describe(a, &described[0]);
	quiver_describe(b, &described[1]);
	assert_int_equal(described[0].metric, described[1].metric);
	assert_string_equal(described[0].label, described[1].label);
}

/* What is live there is version `version`, of which it has a snapshot with the same uuid. */
static void check_version(struct unit_dir *dir, const char *at, unsigned version)
{
	struct quiver *source = open_at(dir, "source"), *target = open_at(dir, at);
	struct quiver_snapshot there, here;
	struct quiver *was, *is;

	assert_int_equal(quiver_snapshot_open(source, name_of(version), &was), 0);
	check_same(was, target);
	assert_int_equal(quiver_snapshot_stat(source, name_of(version), &there), 0);
	assert_int_equal(quiver_snapshot_stat(target, name_of(version), &here), 0);
	assert_memory_equal(there.uuid, here.uuid, 16);
	assert_int_equal(there.count, here.count);
	assert_int_equal(quiver_snapshot_open(target, name_of(version), &is), 0);
	check_same(was, is);
	assert_int_equal(quiver_close(is), 0);
	assert_int_equal(quiver_close(was), 0);
	assert_int_equal(quiver_close(target), 0);
	assert_int_equal(quiver_close(source), 0);
}

static void check_clean(struct unit_dir *dir, const char *at)
{
	struct quiver_check_result result;
	struct quiver_error error;

	if (quiver_check(path_of(dir, at), false, NULL, NULL, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(result.damage, 0);
}

static bool is_there(struct unit_dir *dir, const char *name)
{
	return faccessat(dir->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- tests ---- */

static void a_chain_of_versions_arrives(void **state)
{
	make_versions(*state);
	for (unsigned version = 1; version <= VERSIONS; version++) {
		receive_version(*state, "target", version, version - 1);
		assert_false(last.had_it);
		for (unsigned before = 1; before <= version; before++) {
			struct quiver *source = open_at(*state, "source");
			struct quiver *target = open_at(*state, "target");
			struct quiver *was, *is;

			assert_int_equal(quiver_snapshot_open(source, name_of(before), &was), 0);
			assert_int_equal(quiver_snapshot_open(target, name_of(before), &is), 0);
			check_same(was, is);
			assert_int_equal(quiver_close(is), 0);
			assert_int_equal(quiver_close(was), 0);
			assert_int_equal(quiver_close(target), 0);
			assert_int_equal(quiver_close(source), 0);
		}
		check_version(*state, "target", version);
	}
	check_clean(*state, "target");
	assert_false(is_there(*state, "target.receiving"));
}

/* Any older one will do, a received store sends on, and each whole one is the same. */
static void any_two_versions_make_a_stream(void **state)
{
	make_versions(*state);
	for (unsigned since = 1; since < VERSIONS; since++) {
		char name[16];

		snprintf(name, sizeof(name), "t%u", since);
		receive_version(*state, name, since, 0);
		receive_version(*state, name, VERSIONS, since);
		check_version(*state, name, VERSIONS);
	}
	for (unsigned version = 1; version <= VERSIONS; version += VERSIONS - 1) {
		struct stream stream;

		assert_int_equal(send(*state, "t1", name_of(version),
		                      version > 1 ? name_of(1) : NULL, 0, &stream),
		                 0);
		receive_all(*state, "on", &stream);
		free(stream.bytes);
		check_version(*state, "on", version);
	}
}

static void an_empty_snapshot_and_an_empty_change_arrive(void **state)
{
	struct quiver *store = make_source(*state, "source");

	assert_int_equal(quiver_snapshot_create(store, "v1", NULL), 0);
	assert_int_equal(quiver_snapshot_create(store, "v2", NULL), 0);
	assert_int_equal(quiver_set_label(store, "x", 1), 0);
	assert_int_equal(quiver_snapshot_create(store, "v3", NULL), 0);
	assert_int_equal(quiver_close(store), 0);
	for (unsigned version = 1; version <= 3; version++) {
		receive_version(*state, "target", version, version - 1);
		check_version(*state, "target", version);
	}
}

static uint64_t items_of(const struct stream *stream)
{
	struct stream_header header;

	assert_int_equal(stream_header_decode(stream->bytes, &header), 0);
	return stream_items(&header);
}

static void the_same_is_sent_each_time_from_any_item_on(void **state)
{
	struct stream whole, again;

	make_versions(*state);
	send_version(*state, 3, 2, &whole);
	send_version(*state, 3, 2, &again);
	assert_int_equal(whole.length, again.length);
	assert_memory_equal(whole.bytes, again.bytes, whole.length);
	free(again.bytes);
	for (uint64_t from = 0; from <= items_of(&whole); from++) {
		assert_int_equal(send(*state, "source", "v3", "v2", from, &again), 0);
		assert_int_equal(items_of(&again), items_of(&whole));
		assert_true(again.length <= whole.length);
		free(again.bytes);
	}
	free(whole.bytes);
}

/* Whatever came, the next stream from there on makes the new version of it, or going back the old. */
static void finish_or_go_back(struct unit_dir *dir, const char *at, unsigned version,
                              unsigned since, bool go_back)
{
	struct stream rest;

	if (go_back) {
		if (quiver_receive_undo(path_of(dir, at), NULL, &last_error) != 0)
			fail_msg("%s", last_error.text);
		if (since)
			check_version(dir, at, since);
		else
			assert_false(is_there(dir, at) || is_there(dir, "target.receiving"));
		return;
	}
	assert_int_equal(send(dir, "source", name_of(version), since ? name_of(since) : NULL,
	                      last.position, &rest),
	                 0);
	receive_all(dir, at, &rest);
	free(rest.bytes);
	check_version(dir, at, version);
}

/* Cut within the header nothing is touched; behind it the target is half, and nobody gets that. */
static void cut_streams(struct unit_dir *dir, unsigned version, unsigned since, size_t step)
{
	struct stream stream;
	size_t length;

	send_version(dir, version, since, &stream);
	length = stream.length;
	for (size_t cut = 0; cut < length; cut += cut < STREAM_HEADER_BYTES ? 1 : step) {
		bool go_back = draw(2);
		int r;

		if (cut == STREAM_HEADER_BYTES - 1 && !since)
			assert_false(is_there(dir, "target.receiving"));
		stream.length = cut;
		stream.piece = draw(3) ? 0 : 1 + draw(100);
		r = receive_at(dir, "target", &stream);
		if (cut == 0) {
			assert_int_equal(r, 0);
			assert_true(last.nothing);
			continue;
		}
		assert_int_equal(r, -ENODATA);
		assert_true(last_error.text[0] != '\0');
		assert_true(last.is_half == (cut >= STREAM_HEADER_BYTES));
		if (!last.is_half)
			continue;
		if (since)
			assert_int_equal(try_open(dir, "target"), -EINPROGRESS);
		else
			assert_int_equal(try_open(dir, "target"), -ENOENT);
		finish_or_go_back(dir, "target", version, since, go_back);
		if (!go_back) { /* and once more */
			assert_int_equal(test_remove(path_of(dir, "target")), 0);
			if (since)
				receive_version(dir, "target", since, 0);
		}
	}
	free(stream.bytes);
}

static void whole_streams_that_are_cut_are_gone_on_with(void **state)
{
	make_versions(*state);
	cut_streams(*state, 1, 0, 397);
}

static void streams_of_changes_that_are_cut_are_gone_on_with(void **state)
{
	make_versions(*state);
	receive_version(*state, "target", 2, 0);
	cut_streams(*state, 3, 2, 283);
}

/* From the beginning, too, and in any number of pieces. */
static void a_stream_arrives_in_pieces(void **state)
{
	struct stream stream;
	uint64_t position = 0, items;

	make_versions(*state);
	receive_version(*state, "target", 2, 0);
	send_version(*state, 5, 2, &stream);
	items = items_of(&stream);
	free(stream.bytes);
	for (unsigned turn = 0; position < items; turn++) {
		assert_int_equal(send(*state, "source", "v5", "v2",
		                      turn % 2 || position < 2 ? position : position - draw(3),
		                      &stream),
		                 0);
		/* It has one frame for each kind of items, and one more at least comes. */
		stream.length -= 1 + draw(60);
		assert_int_equal(receive_at(*state, "target", &stream), -ENODATA);
		assert_true(last.position >= position);
		position = last.position;
		free(stream.bytes);
		/* Behind what has come it cannot go on. */
		if (position < items) {
			assert_int_equal(send(*state, "source", "v5", "v2", position + 1, &stream),
			                 0);
			assert_int_equal(receive_at(*state, "target", &stream), -ESPIPE);
			free(stream.bytes);
		}
	}
	send_version(*state, 5, 2, &stream);
	receive_all(*state, "target", &stream);
	check_version(*state, "target", 5);
	/* Twice. */
	receive_all(*state, "target", &stream);
	assert_true(last.had_it);
	check_version(*state, "target", 5);
	free(stream.bytes);
}

static void damaged_streams_leave_the_last_state(void **state)
{
	struct stream stream;

	make_versions(*state);
	receive_version(*state, "target", 2, 0);
	send_version(*state, 3, 2, &stream);
	for (unsigned turn = 0; turn < 20; turn++) {
		size_t bit = draw((unsigned)stream.length * 8);
		int r;

		stream.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		r = receive_at(*state, "target", &stream);
		assert_int_equal(r, bit < 64 ? -EINVAL : -EUCLEAN);
		assert_true(last_error.text[0] != '\0');
		assert_true(last.is_half == (bit >= STREAM_HEADER_BYTES * 8));
		stream.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (last.is_half)
			finish_or_go_back(*state, "target", 3, 2, true);
		check_version(*state, "target", 2);
	}
	receive_all(*state, "target", &stream);
	check_version(*state, "target", 3);
	check_clean(*state, "target");
	free(stream.bytes);
}

struct killed {
	struct unit_dir *dir;
	struct stream *stream;
};

static int receive_and_die(void *arg)
{
	struct killed *killed = arg;

	(void)receive_at(killed->dir, "target", killed->stream);
	_exit(1);
}

static void a_killed_receiver_leaves_half_a_stream(void **state)
{
	make_versions(*state);
	receive_version(*state, "target", 1, 0);
	for (unsigned turn = 0; turn < 6; turn++) {
		struct stream stream;
		struct killed killed = { *state, &stream };

		send_version(*state, 5, 1, &stream);
		stream.piece = 64;
		stream.die_at = STREAM_HEADER_BYTES + 1 +
		                draw((unsigned)(stream.length - STREAM_HEADER_BYTES - 1));
		assert_int_equal(unit_in_child(receive_and_die, &killed), 0);
		free(stream.bytes);
		assert_int_equal(try_open(*state, "target"), -EINPROGRESS);
		check_clean(*state, "target");
		last.position = 0; /* what was durable then is in the mark */
		finish_or_go_back(*state, "target", 5, 1, turn % 2);
		if (turn % 2 == 0) {
			assert_int_equal(test_remove(path_of(*state, "target")), 0);
			receive_version(*state, "target", 1, 0);
		}
	}
}

static void a_snapshot_of_the_target_is_read_meanwhile(void **state)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = true };
	struct quiver *was, *is;
	struct stream stream;

	make_versions(*state);
	receive_version(*state, "target", 1, 0);
	send_version(*state, 3, 1, &stream);
	stream.length -= 30;
	assert_int_equal(receive_at(*state, "target", &stream), -ENODATA);
	free(stream.bytes);
	assert_int_equal(quiver_open(path_of(*state, "source@v1"), &options, &was, &last_error), 0);
	assert_int_equal(quiver_open(path_of(*state, "target@v1"), &options, &is, &last_error), 0);
	check_same(was, is);
	finish_or_go_back(*state, "target", 3, 1, true);
	check_same(was, is);
	assert_int_equal(quiver_close(is), 0);
	assert_int_equal(quiver_close(was), 0);
}

static void changes_of_the_target_are_not_lost_unless_asked(void **state)
{
	struct quiver_receive_options force = { .size = sizeof(force), .force = true };
	struct quiver_attr dir = { .mode = 0123 };
	struct quiver *target;
	struct stream stream;

	make_versions(*state);
	receive_version(*state, "target", 2, 0);
	send_version(*state, 3, 2, &stream);
	target = open_at(*state, "target");
	put_one(target, 1);
	put_one(target, IDS + 5);
	assert_int_equal(quiver_close(target), 0);
	assert_int_equal(receive_at(*state, "target", &stream), -ESTALE);
	if (!strstr(last_error.text, " 2 vectors differ"))
		fail_msg("%s", last_error.text);
	assert_false(last.is_half);
	assert_int_equal(try_open(*state, "target"), 0);
	/* What was changed and is as it was is no change. */
	target = open_at(*state, "target");
	assert_int_equal(quiver_remove(target, IDS + 5, 0, NULL), 0);
	assert_int_equal(quiver_set_dir_attr(target, &dir, QUIVER_ATTR_MODE, 0), 0);
	assert_int_equal(quiver_close(target), 0);
	assert_int_equal(receive_at(*state, "target", &stream), -ESTALE);
	assert_non_null(strstr(last_error.text, " 1 vectors differ, and so do the times, mode"));
	target = open_at(*state, "target");
	for (unsigned i = 0; i < 40; i++)
		change_one(target);
	assert_int_equal(quiver_set_label(target, "mine", 4), 0);
	assert_int_equal(quiver_close(target), 0);
	assert_int_equal(receive_at(*state, "target", &stream), -ESTALE);
	assert_non_null(strstr(last_error.text, "the label"));
	stream.at = 0;
	assert_int_equal(receive_with(*state, "target", &stream, &force), 0);
	check_version(*state, "target", 3);
	free(stream.bytes);
}

/* With --force, too, what one has is the old version or the new one. */
static void going_back_first_can_be_interrupted(void **state)
{
	struct quiver_receive_options force = { .size = sizeof(force), .force = true };
	struct quiver *target;
	struct stream stream;

	make_versions(*state);
	receive_version(*state, "target", 2, 0);
	for (unsigned turn = 0; turn < 2; turn++) {
		send_version(*state, 3, 2, &stream);
		target = open_at(*state, "target");
		for (unsigned i = 0; i < 40; i++)
			change_one(target);
		assert_int_equal(quiver_close(target), 0);
		stream.length -= 50;
		assert_int_equal(receive_with(*state, "target", &stream, &force), -ENODATA);
		free(stream.bytes);
		finish_or_go_back(*state, "target", 3, 2, turn == 0);
	}
}

static void what_does_not_belong_there_is_refused(void **state)
{
	struct quiver_receive_options named = { .size = sizeof(named), .name = "v1" };
	struct stream whole, change, other;
	struct quiver *store;

	make_versions(*state);
	send_version(*state, 1, 0, &whole);
	send_version(*state, 3, 2, &change);
	/* No store, and no whole stream. */
	assert_int_equal(receive_at(*state, "target", &change), -ENOENT);
	assert_false(is_there(*state, "target") || is_there(*state, "target.receiving"));
	receive_all(*state, "target", &whole);
	/* In the wrong order. */
	assert_int_equal(receive_at(*state, "target", &change), -ENOENT);
	assert_non_null(strstr(last_error.text, "v2"));
	/* A whole one into a store; of another store, too. */
	free(whole.bytes);
	send_version(*state, 2, 0, &whole);
	assert_int_equal(receive_at(*state, "target", &whole), -EEXIST);
	store = make_source(*state, "other");
	next_version(store, 1);
	next_version(store, 2);
	assert_int_equal(quiver_close(store), 0);
	assert_int_equal(send(*state, "other", "v2", "v1", 0, &other), 0);
	assert_int_equal(receive_at(*state, "target", &other), -ENOENT);
	free(other.bytes);
	/* A name that another has. */
	free(change.bytes);
	send_version(*state, 2, 1, &change);
	change.at = 0;
	assert_int_equal(receive_with(*state, "target", &change, &named), -EEXIST);
	named.name = "a/b";
	assert_int_equal(receive_with(*state, "target", &change, &named), -EINVAL);
	check_version(*state, "target", 1);
	named.name = "here";
	change.at = 0;
	assert_int_equal(receive_with(*state, "target", &change, &named), 0);
	assert_string_equal(last.name, "here");
	assert_string_equal(last.sent_name, "v2");
	free(change.bytes);
	/* The next is told by the uuid, whatever it is called. */
	receive_version(*state, "target", 4, 2);
	check_version(*state, "target", 4);
	/* Half of one stream takes no other. */
	send_version(*state, 5, 4, &change);
	change.length -= 20;
	assert_int_equal(receive_at(*state, "target", &change), -ENODATA);
	free(change.bytes);
	send_version(*state, 5, 1, &change);
	assert_int_equal(receive_at(*state, "target", &change), -EINPROGRESS);
	assert_int_equal(receive_at(*state, "target", &whole), -EINPROGRESS);
	finish_or_go_back(*state, "target", 5, 4, true);
	assert_int_equal(quiver_receive_undo(path_of(*state, "target"), NULL, &last_error),
	                 -EINVAL);
	free(change.bytes);
	free(whole.bytes);
}

static void what_is_no_stream_is_refused(void **state)
{
	struct stream text = { .bytes = (uint8_t *)strdup("quiverfs: no such store\n"),
		               .length = 24 };
	struct stream none = { 0 };

	assert_int_equal(receive_at(*state, "target", &text), -EINVAL);
	assert_non_null(strstr(last_error.text, "not a stream"));
	assert_int_equal(receive_at(*state, "target", &none), 0);
	assert_true(last.nothing);
	none.fail = EIO;
	assert_int_equal(receive_at(*state, "target", &none), -EIO);
	assert_false(is_there(*state, "target") || is_there(*state, "target.receiving"));
	free(text.bytes);
}

/* A stream that is sound and does not say the truth: it adds a vector that is there. */
static void a_lie_is_found_at_the_end(void **state)
{
	struct stream honest, lie = { 0 };
	struct stream_header header;
	struct stream_writer writer;
	struct stream_row row = { 0 };
	uint8_t payload[STREAM_ROW_BYTES + N] = { 0 };
	struct quiver *target;

	make_versions(*state);
	receive_version(*state, "target", 1, 0);
	send_version(*state, 2, 1, &honest);
	assert_int_equal(stream_header_decode(honest.bytes, &header), 0);
	header.removals = header.attributes = 0;
	header.vectors = 1;
	header.new_one.count = header.old_one.count + 1;
	target = open_at(*state, "target");
	while (quiver_stat(target, row.id, 0, NULL, NULL) != 0)
		row.id++;
	assert_int_equal(quiver_close(target), 0);
	stream_row_encode(&row, payload);
	assert_int_equal(stream_write_begin(&writer, &header, take, &lie), 0);
	assert_int_equal(stream_write_items(&writer, STREAM_VECTORS, 1, payload), 0);
	assert_int_equal(stream_write_end(&writer), 0);
	assert_int_equal(receive_at(*state, "target", &lie), -EUCLEAN);
	assert_true(last.is_half);
	finish_or_go_back(*state, "target", 2, 1, true);
	receive_all(*state, "target", &honest);
	check_version(*state, "target", 2);
	free(honest.bytes);
	free(lie.bytes);
}

static void a_folder_that_is_somebodys_is_left_alone(void **state)
{
	struct unit_dir *dir = *state;
	struct stream stream;

	make_versions(dir);
	send_version(dir, 1, 0, &stream);
	assert_int_equal(mkdirat(dir->fd, "target.receiving", 0755), 0);
	unit_write(dir, "target.receiving/index", "mine", 4, 0);
	assert_int_equal(receive_at(dir, "target", &stream), -EINVAL);
	assert_int_equal(quiver_receive_undo(path_of(dir, "target"), NULL, &last_error), -EINVAL);
	assert_int_equal(unit_size(dir, "target.receiving/index"), 4);
	unit_write(dir, "file", "mine", 4, 0);
	assert_int_equal(receive_at(dir, "file", &stream), -EEXIST);
	assert_int_equal(symlinkat("nowhere", dir->fd, "link"), 0);
	assert_int_equal(receive_at(dir, "link", &stream), -EEXIST);
	assert_int_equal(mkdirat(dir->fd, "empty", 0755), 0);
	receive_all(dir, "empty", &stream);
	check_version(dir, "empty", 1);
	/* What an interrupted making leaves is no hindrance. */
	assert_int_equal(unlinkat(dir->fd, "target.receiving/index", 0), 0);
	unit_write(dir, "target.receiving/ids.npy", "", 0, 0);
	receive_all(dir, "target", &stream);
	check_version(dir, "target", 1);
	free(stream.bytes);
}

/* A crash at the very end, when nothing but the name is missing, or the mark is still there. */
static void what_is_whole_but_for_its_name_gets_it(void **state)
{
	struct unit_dir *dir = *state;
	struct stream stream;

	make_versions(dir);
	send_version(dir, 1, 0, &stream);
	receive_all(dir, "target", &stream);
	assert_int_equal(renameat(dir->fd, "target", dir->fd, "target.receiving"), 0);
	receive_all(dir, "target", &stream);
	assert_true(last.had_it);
	assert_false(is_there(dir, "target.receiving"));
	check_version(dir, "target", 1);
	assert_int_equal(renameat(dir->fd, "target", dir->fd, "target.receiving"), 0);
	assert_int_equal(quiver_receive_undo(path_of(dir, "target"), NULL, &last_error), -EINVAL);
	assert_true(is_there(dir, "target.receiving/superblock"));
	free(stream.bytes);
}

/* Where others may write, one of them may have put it there. */
static void half_a_stream_of_somebody_else_is_not_gone_on_with(void **state)
{
	struct unit_dir *dir = *state;
	struct stream stream;

	make_versions(dir);
	send_version(dir, 1, 0, &stream);
	stream.length -= 20;
	assert_int_equal(receive_at(dir, "theirs", &stream), -ENODATA);
	stream.length += 20;
	assert_int_equal(symlinkat("theirs.receiving", dir->fd, "target.receiving"), 0);
	assert_int_equal(receive_at(dir, "target", &stream), -EEXIST);
	assert_int_equal(quiver_receive_undo(path_of(dir, "target"), NULL, &last_error), -EEXIST);
	assert_true(is_there(dir, "theirs.receiving/superblock"));
	if (geteuid() == 0) {
		assert_int_equal(fchownat(dir->fd, "theirs.receiving", 12345, 12345, 0), 0);
		assert_int_equal(receive_at(dir, "theirs", &stream), -EEXIST);
		assert_non_null(strstr(last_error.text, "not a folder of yours"));
		assert_int_equal(fchownat(dir->fd, "theirs.receiving", 0, 0, 0), 0);
	}
	receive_all(dir, "theirs", &stream);
	check_version(dir, "theirs", 1);
	free(stream.bytes);
}

static void damage_ends_a_stream_and_is_named(void **state)
{
	struct quiver *store = make_source(*state, "source");
	struct quiver_ref ref;
	struct stream stream;
	uint64_t slot;

	for (uint64_t id = 0; id < IDS; id++)
		put_one(store, id);
	assert_int_equal(quiver_snapshot_create(store, "v1", NULL), 0);
	assert_int_equal(quiver_get(store, 7, 0, &ref), 0);
	slot = ref.slot;
	quiver_unref(store, &ref);
	assert_int_equal(quiver_close(store), 0);
	unit_flip(*state, "source/vectors.npy", (4096 + slot * N + 3) * 8);
	assert_int_equal(send(*state, "source", "v1", NULL, 0, &stream), -EUCLEAN);
	assert_int_equal(receive_at(*state, "target", &stream), -ENODATA);
	finish_or_go_back(*state, "target", 1, 0, true);
	free(stream.bytes);
}

static void what_cannot_be_sent_is_refused(void **state)
{
	struct stream stream;

	make_versions(*state);
	assert_int_equal(send(*state, "source", "v9", NULL, 0, &stream), -ENOENT);
	assert_int_equal(send(*state, "source", "v1", "v9", 0, &stream), -ENOENT);
	assert_int_equal(send(*state, "source", "v1", "v2", 0, &stream), -EINVAL);
	assert_int_equal(send(*state, "nowhere", "v1", NULL, 0, &stream), -ENOENT);
	assert_int_equal(send(*state, "source", "../v1", NULL, 0, &stream), -EINVAL);
	assert_int_equal(send(*state, "source", "v2", "v1", UINT64_MAX, &stream), -EINVAL);
	assert_int_equal(stream.length, 0);
}

/* The live state of the source goes on meanwhile, is compacted, and loses what the stream has. */
static int take_and_change(void *arg, const void *bytes, size_t length)
{
	struct quiver *store = ((void **)arg)[0];

	for (unsigned i = 0; i < 20; i++)
		change_one(store);
	if (draw(3) == 0)
		assert_int_equal(quiver_checkpoint(store), 0);
	return take(((void **)arg)[1], bytes, length);
}

static void a_source_that_is_written_to_sends_what_it_was(void **state)
{
	struct quiver *store = make_source(*state, "source");
	struct stream stream = { 0 };
	void *both[] = { store, &stream };
	struct quiver_send_options options = { .size = sizeof(options) };

	for (unsigned version = 1; version <= 4; version++) {
		next_version(store, version);
		stream.length = 0;
		options.since = version > 1 ? name_of(version - 1) : NULL;
		assert_int_equal(quiver_send(path_of(*state, "source"), name_of(version), &options,
		                             take_and_change, both, NULL, &last_error),
		                 0);
		receive_all(*state, "target", &stream);
	}
	assert_int_equal(quiver_close(store), 0);
	free(stream.bytes);
	check_version(*state, "target", 4);
}

/* Whatever fails while it is received, one has the old version, the new one or half of the stream. */
static void each_call_that_fails(struct unit_dir *dir, int error, long step)
{
	struct failing_io io;
	struct quiver_receive_options options = { .size = sizeof(options), .io = &io.table };
	struct stream stream;
	bool ended = false;

	failing_io_init(&io);
	send_version(dir, 2, 1, &stream);
	receive_version(dir, "target", 1, 0);
	for (long skip = draw((unsigned)step); !ended; skip += step) {
		int r;

		stream.at = 0;
		failing_io_arm(&io, skip, error);
		r = receive_with(dir, "target", &stream, &options);
		ended = io.calls <= skip;
		failing_io_disarm(&io);
		assert_true(r == 0 || last_error.text[0] != '\0');
		r = try_open(dir, "target");
		if (r == -EINPROGRESS) {
			last.position = 0;
			finish_or_go_back(dir, "target", 2, 1, true);
		} else {
			struct quiver *target;
			struct quiver_snapshot made;

			assert_int_equal(r, 0);
			target = open_at(dir, "target");
			r = quiver_snapshot_stat(target, "v2", &made);
			assert_int_equal(quiver_close(target), 0);
			check_version(dir, "target", r ? 1 : 2);
			if (r == 0) {
				assert_int_equal(test_remove(path_of(dir, "target")), 0);
				receive_version(dir, "target", 1, 0);
			}
		}
	}
	check_clean(dir, "target");
	free(stream.bytes);
}

static void a_call_that_fails_leaves_one_of_them(void **state)
{
	make_versions(*state);
	each_call_that_fails(*state, -EIO, 11);
}

static void a_full_disk_leaves_one_of_them(void **state)
{
	make_versions(*state);
	each_call_that_fails(*state, -ENOSPC, 13);
}

/* Or it ends, and what came of it is the beginning of the stream. */
static void a_call_that_fails_ends_what_is_sent(void **state)
{
	struct failing_io io;
	struct quiver_send_options options = { .size = sizeof(options),
		                               .since = "v2",
		                               .io = &io.table };
	struct stream whole, stream = { 0 };
	bool ended = false;
	unsigned failed = 0;

	make_versions(*state);
	send_version(*state, 3, 2, &whole);
	failing_io_init(&io);
	for (long skip = 0; !ended; skip++) {
		int r;

		stream.length = 0;
		failing_io_arm(&io, skip, -EIO);
		r = quiver_send(path_of(*state, "source"), "v3", &options, take, &stream, NULL,
		                &last_error);
		ended = io.calls <= skip;
		failing_io_disarm(&io);
		failed += r != 0;
		assert_true(r == 0 ? stream.length == whole.length : stream.length < whole.length);
		if (stream.length > 0)
			assert_memory_equal(stream.bytes, whole.bytes, stream.length);
	}
	assert_true(failed > 10);
	free(stream.bytes);
	free(whole.bytes);
}

#define WITH_DIR(name) cmocka_unit_test_setup_teardown(name, unit_setup_dir, unit_teardown_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIR(a_chain_of_versions_arrives),
		WITH_DIR(any_two_versions_make_a_stream),
		WITH_DIR(an_empty_snapshot_and_an_empty_change_arrive),
		WITH_DIR(the_same_is_sent_each_time_from_any_item_on),
		WITH_DIR(whole_streams_that_are_cut_are_gone_on_with),
		WITH_DIR(streams_of_changes_that_are_cut_are_gone_on_with),
		WITH_DIR(a_stream_arrives_in_pieces),
		WITH_DIR(damaged_streams_leave_the_last_state),
		WITH_DIR(a_killed_receiver_leaves_half_a_stream),
		WITH_DIR(a_snapshot_of_the_target_is_read_meanwhile),
		WITH_DIR(changes_of_the_target_are_not_lost_unless_asked),
		WITH_DIR(going_back_first_can_be_interrupted),
		WITH_DIR(what_does_not_belong_there_is_refused),
		WITH_DIR(what_is_no_stream_is_refused),
		WITH_DIR(a_lie_is_found_at_the_end),
		WITH_DIR(a_folder_that_is_somebodys_is_left_alone),
		WITH_DIR(what_is_whole_but_for_its_name_gets_it),
		WITH_DIR(half_a_stream_of_somebody_else_is_not_gone_on_with),
		WITH_DIR(damage_ends_a_stream_and_is_named),
		WITH_DIR(what_cannot_be_sent_is_refused),
		WITH_DIR(a_call_that_fails_leaves_one_of_them),
		WITH_DIR(a_call_that_fails_ends_what_is_sent),
		WITH_DIR(a_full_disk_leaves_one_of_them),
		WITH_DIR(a_source_that_is_written_to_sends_what_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
