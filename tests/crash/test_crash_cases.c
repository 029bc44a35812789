/*
 * test_crash_cases.c - crashes that once were taken for damage, or that lost something, each
 * by itself; test_simdisk.c finds such.
 */
#include "../unit/unit.h"

#include "engine/quiver.h"
#include "simdisk.h"
#include "tests/common/recoveries.h"

#define N 100u
#define TRIES 40 /* ways of crashing at one place */

struct place {
	struct unit_dir dir;
	char root[UNIT_PATH_BYTES + 16];
	char image[UNIT_PATH_BYTES + 16];
	struct simdisk *disk;
	void (*look)(struct place *place);
	unsigned took; /* recoveries that took the index that was kept */
};

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	unit_dir_make(&place->dir);
	snprintf(place->root, sizeof(place->root), "%s/store", place->dir.path);
	snprintf(place->image, sizeof(place->image), "%s/image", place->dir.path);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	if (place->disk)
		sim_free(place->disk);
	unit_dir_remove(&place->dir);
	free(place);
	return 0;
}

static void create(struct place *place)
{
	struct quiver_geometry geometry = { .dim = N, .dtype = QUIVER_U1 };

	place->disk = place->disk ? place->disk : sim_new(place->root);
	assert_int_equal(quiver_create(place->root, &geometry, NULL, sim_io(place->disk), NULL), 0);
}

static struct quiver *open_at(const char *path, const struct quiver_io *io)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options), .io = io };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;

	if (quiver_open(path, &options, &store, &error) != 0)
		fail_msg("%s", error.text);
	return store;
}

static uint64_t put(struct quiver *store, uint64_t id, uint8_t fill)
{
	struct quiver_attr attr = { .mtime_ns = fill, .mode = 0600 };
	uint8_t bytes[N];
	uint64_t lsn = 0;

	memset(bytes, fill, sizeof(bytes));
	assert_int_equal(quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, &lsn), 0);
	return lsn;
}

static void remove_image(const struct place *place)
{
	assert_int_equal(test_remove(place->image), 0);
}

/* Crash here in every way, and `look` at what is left. */
static void crash_here(void *arg)
{
	struct place *place = arg;

	for (unsigned i = 0; i < TRIES; i++) {
		sim_crash(place->disk, place->image, (enum sim_keep)(i % SIM_KEEP_COUNT), i);
		place->look(place);
		remove_image(place);
	}
}

static void must_open(struct place *place)
{
	assert_int_equal(quiver_close(open_at(place->image, NULL)), 0);
}

/* What was never made may be no store, but it may not be a damaged one. */
static void must_not_be_damaged(struct place *place)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = false };
	struct quiver *store;
	int r = quiver_open(place->image, &options, &store, NULL);

	if (r == 0)
		assert_int_equal(quiver_close(store), 0);
	else
		assert_int_equal(r, -EINVAL);
}

static void must_check(struct place *place)
{
	struct quiver_check_result result;

	assert_int_equal(quiver_check(place->image, false, NULL, NULL, &result, NULL), 0);
	assert_int_equal(result.damage, 0);
}

static void half_a_superblock_of_a_new_store_is_no_damage(void **state)
{
	struct place *place = *state;

	place->disk = sim_new(place->root);
	place->look = must_not_be_damaged;
	sim_on_event(place->disk, crash_here, place);
	create(place);
	place->look = must_open;
	crash_here(place);
}

/* The NONEs that growing writes may be lost where the rows are not. */
static void rows_in_room_that_a_crash_half_took_back_are_no_damage(void **state)
{
	struct place *place = *state;
	struct quiver *store;

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	for (unsigned id = 0; id < 20; id++)
		put(store, id, 1);
	place->look = must_open;
	crash_here(place);
	/* ... also where they were superseded in the meantime. */
	for (unsigned id = 0; id < 20; id++)
		put(store, id, 2);
	crash_here(place);
	place->look = must_check;
	crash_here(place);
	assert_int_equal(quiver_close(store), 0);
}

static void lsns_that_a_crash_took_back_are_not_handed_out_again(void **state)
{
	struct place *place = *state;
	struct quiver *store;
	uint64_t lsn = 0;

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	for (unsigned id = 0; id < 20; id++)
		lsn = put(store, id, 1);
	sim_crash(place->disk, place->image, SIM_ALL_LOST, 0);
	assert_int_equal(quiver_close(store), 0);
	/* A life without a commit between the crash and the next one. */
	assert_int_equal(quiver_close(open_at(place->image, NULL)), 0);
	store = open_at(place->image, NULL);
	assert_int_equal(quiver_count(store), 0);
	assert_true(put(store, 1, 2) > lsn);
	assert_int_equal(quiver_close(store), 0);
}

static void a_superblock_torn_while_opening_is_no_damage(void **state)
{
	struct place *place = *state;
	struct quiver *store;

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	put(store, 1, 1);
	assert_int_equal(quiver_close(store), 0);
	place->look = must_check;
	sim_on_event(place->disk, crash_here, place);
	store = open_at(place->root, sim_io(place->disk));
	sim_on_event(place->disk, NULL, NULL);
	assert_int_equal(quiver_close(store), 0);
}

/* Opening fails by its sync number `after`; the next goes well. */
static struct quiver *open_twice(struct place *place, unsigned after, uint64_t seed)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .io = sim_io(place->disk) };
	struct quiver *store = NULL;

	sim_fail_sync(place->disk, after, seed);
	if (quiver_open(place->root, &options, &store, NULL) != 0)
		store = open_at(place->root, sim_io(place->disk));
	sim_fail_no_sync(place->disk);
	return store;
}

/* A vector of mode none that no checkpoint covers, in a hole that vectors lie behind. */
static void leave_unconfirmed(struct place *place)
{
	struct quiver *store;

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	for (unsigned id = 0; id < 200; id++)
		put(store, id, 1);
	assert_int_equal(quiver_remove(store, 3, 0, NULL), 0);
	assert_int_equal(quiver_set_durability(store, QUIVER_NONE), 0);
	put(store, 1000, 1);
	sim_crash(place->disk, place->image, SIM_ALL_KEPT, 0);
	assert_int_equal(quiver_close(store), 0);
	sim_free(place->disk);
	place->disk = NULL;
	assert_int_equal(test_remove(place->root), 0);
	assert_int_equal(rename(place->image, place->root), 0);
	place->disk = sim_new(place->root);
}

static void forget_root(struct place *place)
{
	sim_free(place->disk);
	place->disk = NULL;
	assert_int_equal(test_remove(place->root), 0);
}

/* A recovery frees that row; the sync fails, and only the kernel knows that the row is free.
 * When later LSNs are checkpointed it must not come back. */
static void a_row_that_was_freed_in_memory_alone_does_not_come_back(void **state)
{
	struct place *place = *state;

	for (unsigned i = 0; i < 12 * 3; i++) {
		struct quiver *store;

		leave_unconfirmed(place);
		store = open_twice(place, i % 12, i);
		/* In other sectors than that row. */
		assert_int_equal(quiver_remove(store, 150, 0, NULL), 0);
		assert_int_equal(quiver_checkpoint(store), 0);
		sim_crash(place->disk, place->image, SIM_ALL_LOST, i);
		assert_int_equal(quiver_close(store), 0);
		store = open_at(place->image, NULL);
		assert_int_equal(quiver_count(store), 198);
		assert_int_equal(quiver_close(store), 0);
		remove_image(place);
		forget_root(place);
	}
}

#define RECORD_BYTES 128u
#define LOG_RECORD_BYTES (RECORD_BYTES + 104u) /* with N bytes, padded to 8 */

static int image_open(const struct place *place, const char *name, int flags)
{
	char path[sizeof(place->image) + 32];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", place->image, name);
	fd = open(path, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* What a crash leaves of the log of the image from byte `at` on: zeros, as it was made. */
static void lose_log(const struct place *place, uint64_t at)
{
	static const uint8_t zeros[8 * SIM_SECTOR_BYTES];
	int fd = image_open(place, "wal/0000000000000001.wal", O_WRONLY);

	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), (off_t)at), sizeof(zeros));
	assert_int_equal(close(fd), 0);
}

/* The last of `count` + 1 records has no payload and is torn between two sectors. */
static void tear_record(struct place *place, unsigned count, unsigned kind)
{
	const uint64_t at = 4096 + (uint64_t)count * LOG_RECORD_BYTES;
	struct quiver_attr attr = { .mtime_ns = 5, .mode = 0640 };
	struct quiver_attr is;
	struct quiver *store;
	uint8_t bytes[N];

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	for (unsigned id = 0; id < count; id++)
		put(store, id, (uint8_t)(id + 1));
	if (kind == 0)
		assert_int_equal(quiver_remove(store, count - 1, 0, NULL), 0);
	else if (kind == 1)
		assert_int_equal(quiver_set_attr(store, count - 1, &attr, QUIVER_ATTR_ALL, 0), 0);
	else
		assert_int_equal(quiver_rename(store, count - 1, 1000, 0, NULL), 0);
	sim_crash(place->disk, place->image, SIM_ALL_KEPT, 0);
	assert_int_equal(quiver_close(store), 0);
	lose_log(place, (at / SIM_SECTOR_BYTES + 1) * SIM_SECTOR_BYTES);
	must_check(place);
	store = open_at(place->image, NULL);
	assert_int_equal(quiver_count(store), count);
	assert_int_equal(quiver_get_copy(store, count - 1, bytes, &is, NULL), 0);
	assert_int_equal(bytes[0], count);
	assert_int_equal(is.mtime_ns, count);
	assert_int_equal(quiver_close(store), 0);
	remove_image(place);
	forget_root(place);
}

static void half_a_header_of_a_record_is_no_record(void **state)
{
	unsigned torn = 0;

	/* All in the first segment. */
	for (unsigned count = 2; count < 4096 / LOG_RECORD_BYTES; count++) {
		uint64_t into = count * LOG_RECORD_BYTES % SIM_SECTOR_BYTES;

		if (into <= SIM_SECTOR_BYTES - RECORD_BYTES)
			continue;
		for (unsigned kind = 0; kind < 3; kind++, torn++)
			tear_record(*state, count, kind);
	}
	assert_int_equal(torn, 15);
}

#define ROW_BYTES 56u
#define ROW_WORDS (ROW_BYTES / 8)

/* Words of a file of the image. */
static void words_read(const struct place *place, const char *name, uint64_t at, uint64_t *words,
                       size_t count)
{
	int fd = image_open(place, name, O_RDONLY);

	assert_int_equal(pread(fd, words, count * 8, (off_t)at), count * 8);
	assert_int_equal(close(fd), 0);
}

static void words_write(const struct place *place, const char *name, uint64_t at,
                        const uint64_t *words, size_t count)
{
	int fd = image_open(place, name, O_WRONLY);

	assert_int_equal(pwrite(fd, words, count * 8, (off_t)at), count * 8);
	assert_int_equal(close(fd), 0);
}

#define HOLE 3u /* the slot that is filled */
#define VECTORS 30u
/* Others are removed with it: few holes are not filled before new slots are. */
#define OTHER_HOLE 20u
#define OTHER_HOLES 4u
#define LEFT (VECTORS - 1 - OTHER_HOLES)

/* A store with a hole, all of it durable, and a vector in the hole that is not: its row and its ID,
 * which are on no disk yet. */
static struct quiver *fill_hole(struct place *place, uint64_t row[ROW_WORDS], uint64_t *id)
{
	struct quiver *store;

	place->disk = sim_new(place->root);
	sim_use_maps(place->disk);
	create(place);
	store = open_at(place->root, sim_io(place->disk));
	for (unsigned i = 0; i < VECTORS; i++)
		put(store, i, (uint8_t)(i + 1));
	assert_int_equal(quiver_remove(store, HOLE, 0, NULL), 0);
	for (unsigned i = 0; i < OTHER_HOLES; i++)
		assert_int_equal(quiver_remove(store, OTHER_HOLE + i, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	put(store, 7777, 77);
	sim_crash(place->disk, place->image, SIM_ALL_KEPT, 0);
	words_read(place, "meta.npy", 4096 + HOLE * ROW_BYTES, row, ROW_WORDS);
	words_read(place, "ids.npy", 4096 + HOLE * 8, id, 1);
	assert_true(*id == 7777 && row[0] > 0);
	remove_image(place);
	return store;
}

/* What a power cut leaves where of that row and its ID (the last) some words reached the disk, and
 * its record in the log did not. */
static void lose_all_but(struct place *place, unsigned words, const uint64_t row[ROW_WORDS],
                         const uint64_t *id)
{
	sim_crash(place->disk, place->image, SIM_ALL_LOST, 0);
	for (unsigned w = 0; w < ROW_WORDS; w++)
		if (words >> w & 1)
			words_write(place, "meta.npy", 4096 + HOLE * ROW_BYTES + w * 8, row + w, 1);
	if (words >> ROW_WORDS & 1)
		words_write(place, "ids.npy", 4096 + HOLE * 8, id, 1);
}

/* The kernel writes pages out while they are stored in. */
static void some_words_of_a_row_in_a_hole_are_no_damage(void **state)
{
	struct place *place = *state;
	uint64_t row[ROW_WORDS], id;
	struct quiver *running = fill_hole(place, row, &id);

	for (unsigned words = 0; words < 1u << (ROW_WORDS + 1); words++) {
		struct quiver *store;
		struct quiver_ref ref;

		lose_all_but(place, words, row, &id);
		must_check(place);
		store = open_at(place->image, NULL);
		assert_int_equal(quiver_count(store), LEFT);
		assert_int_equal(quiver_get(store, 7777, 0, &ref), -ENOENT);
		put(store, 8888, 88); /* into the hole */
		assert_int_equal(quiver_close(store), 0);
		must_check(place);
		remove_image(place);
	}
	assert_int_equal(quiver_close(running), 0);
}

/* Whether a repair of the image has moved it aside. */
static bool has_kept(const struct place *place, const char *name)
{
	char path[sizeof(place->image) + 64];

	(void)snprintf(path, sizeof(path), "%s/lost+found/%s", place->image, name);
	return access(path, F_OK) == 0;
}

static void lose_index(const struct place *place)
{
	char path[sizeof(place->image) + 64];

	(void)snprintf(path, sizeof(path), "%s/index", place->image);
	assert_int_equal(unlink(path), 0);
}

/* A vector that is missing is told, whatever lies in the hole. */
static void damage_beside_some_words_of_a_row_is_told(void **state)
{
	struct place *place = *state;
	uint64_t row[ROW_WORDS], id;
	struct quiver *running = fill_hole(place, row, &id);

	for (unsigned i = 0; i < 1u << (ROW_WORDS + 1); i++) {
		struct quiver_options options = { .size = sizeof(struct quiver_options),
			                          .read_only = false };
		uint64_t at = 4096 + 17 * ROW_BYTES + i % ROW_WORDS * 8;
		struct quiver_check_result result;
		struct quiver *store;
		uint64_t word;

		lose_all_but(place, i, row, &id);
		words_read(place, "meta.npy", at, &word, 1);
		word ^= UINT64_C(1) << (i % 64);
		words_write(place, "meta.npy", at, &word, 1);
		/* With the index that was kept nobody looks at that row. */
		lose_index(place);
		assert_int_equal(quiver_open(place->image, &options, &store, NULL), -EUCLEAN);
		assert_int_equal(quiver_check(place->image, true, NULL, NULL, &result, NULL), 0);
		assert_true(result.damage > 0 && result.repaired >= result.damage);
		assert_true(has_kept(place, "slot-17-id-17.row"));
		store = open_at(place->image, NULL);
		assert_int_equal(quiver_count(store), LEFT - 1);
		assert_int_equal(quiver_close(store), 0);
		remove_image(place);
	}
	assert_int_equal(quiver_close(running), 0);
}

/* The older copy says that the store was closed; there is a log all the same. */
static void a_bad_copy_of_the_superblock_does_not_take_the_log_along(void **state)
{
	struct place *place = *state;
	struct quiver_check_result result;
	struct quiver *store;
	uint64_t sequences[2], word;
	unsigned newer;

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	put(store, 1, 1);
	assert_int_equal(quiver_close(store), 0);
	store = open_at(place->root, sim_io(place->disk));
	put(store, 2, 2);
	assert_int_equal(quiver_flush(store), 0);
	sim_crash(place->disk, place->image, SIM_ALL_KEPT, 0);
	assert_int_equal(quiver_close(store), 0);
	words_read(place, "superblock", 32, &sequences[0], 1);
	words_read(place, "superblock", 4096 + 32, &sequences[1], 1);
	newer = sequences[1] > sequences[0];
	words_read(place, "superblock", newer * 4096 + 1000, &word, 1);
	word ^= 1;
	words_write(place, "superblock", newer * 4096 + 1000, &word, 1);
	assert_int_equal(quiver_check(place->image, false, NULL, NULL, &result, NULL), 0);
	assert_int_equal(result.damage, 1);
	assert_false(result.clean);
	store = open_at(place->image, NULL);
	assert_int_equal(quiver_count(store), 2);
	assert_int_equal(quiver_close(store), 0);
	must_check(place);
	remove_image(place);
}

/* What a checkpoint frees, and what it writes attributes to, is torn as well: the log has both. */
static void some_words_of_what_a_checkpoint_writes_are_no_damage(void **state)
{
	struct quiver_attr attr = { .mtime_ns = INT64_MIN, .uid = 7, .gid = 8, .mode = 0777 };
	struct place *place = *state;
	struct quiver *store;

	place->disk = sim_new(place->root);
	sim_use_maps(place->disk);
	create(place);
	store = open_at(place->root, sim_io(place->disk));
	for (unsigned id = 0; id < VECTORS; id++)
		put(store, id, 1);
	assert_int_equal(quiver_checkpoint(store), 0);
	for (unsigned id = 0; id < VECTORS; id += 3) {
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
		assert_int_equal(quiver_set_attr(store, id + 1, &attr, QUIVER_ATTR_ALL, 0), 0);
		put(store, id + 2, 2);
	}
	place->look = must_check;
	sim_on_event(place->disk, crash_here, place);
	assert_int_equal(quiver_checkpoint(store), 0);
	sim_on_event(place->disk, NULL, NULL);
	place->look = must_open;
	crash_here(place);
	assert_int_equal(quiver_close(store), 0);
}

#define OLD_LABEL "the old label"

/* In its second sector another, too. */
static const char *new_label(void)
{
	static char label[QUIVER_LABEL_BYTES_MAX + 1];

	memset(label, 'n', QUIVER_LABEL_BYTES_MAX);
	return label;
}

/* Label and metric of the image, opened and closed: 0 both are old, 1 the label is new, 2 both. */
static int description_stage(struct place *place)
{
	struct quiver_description found;
	struct quiver *store;
	int stage;

	must_check(place);
	store = open_at(place->image, NULL);
	quiver_describe(store, &found);
	put(store, 2, 2);
	assert_int_equal(quiver_close(store), 0);
	must_check(place);
	stage = strcmp(found.label, new_label()) == 0;
	if (!stage)
		assert_string_equal(found.label, OLD_LABEL);
	stage += found.metric == QUIVER_IP;
	assert_true(found.metric == QUIVER_L2 || stage == 2);
	/* The copy that the crash may have torn has been written anew. */
	store = open_at(place->image, NULL);
	quiver_describe(store, &found);
	assert_int_equal((strcmp(found.label, new_label()) == 0) + (found.metric == QUIVER_IP),
	                 stage);
	assert_int_equal(quiver_count(store), 2);
	assert_int_equal(quiver_close(store), 0);
	return stage;
}

static unsigned stages_seen[3];

static void count_stage(struct place *place)
{
	stages_seen[description_stage(place)]++;
}

static void must_be_new(struct place *place)
{
	assert_int_equal(description_stage(place), 2);
}

/* At each write and sync of both copies, in a store that has only been opened and in one that has
 * made a checkpoint. */
static void a_label_is_the_old_one_or_the_new_one(void **state)
{
	struct place *place = *state;
	struct quiver *store;

	for (unsigned checkpoint = 0; checkpoint < 2; checkpoint++) {
		create(place);
		store = open_at(place->root, sim_io(place->disk));
		assert_int_equal(quiver_set_label(store, OLD_LABEL, strlen(OLD_LABEL)), 0);
		put(store, 1, 1);
		assert_int_equal(checkpoint ? quiver_checkpoint(store) : quiver_flush(store), 0);
		memset(stages_seen, 0, sizeof(stages_seen));
		place->look = count_stage;
		sim_on_event(place->disk, crash_here, place);
		assert_int_equal(quiver_set_label(store, new_label(), QUIVER_LABEL_BYTES_MAX), 0);
		assert_int_equal(quiver_set_metric(store, QUIVER_IP), 0);
		place->look = must_be_new;
		crash_here(place);
		assert_int_equal(quiver_checkpoint(store), 0);
		sim_on_event(place->disk, NULL, NULL);
		assert_int_equal(quiver_close(store), 0);
		assert_true(stages_seen[0] > 0 && stages_seen[1] > 0 && stages_seen[2] > 0);
		forget_root(place);
	}
}

/* No log is there when it is set for the first time. */
static void a_label_set_first_of_all_is_no_damage(void **state)
{
	struct place *place = *state;
	struct quiver *store;

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	place->look = must_check;
	sim_on_event(place->disk, crash_here, place);
	assert_int_equal(quiver_set_label(store, new_label(), QUIVER_LABEL_BYTES_MAX), 0);
	place->look = must_open;
	assert_int_equal(quiver_set_label(store, OLD_LABEL, strlen(OLD_LABEL)), 0);
	sim_on_event(place->disk, NULL, NULL);
	assert_int_equal(quiver_close(store), 0);
}

/* ---- the index that a checkpoint keeps ---- */

#define KEPT_VECTORS 1500u

/* The image comes to the same with its index and without. */
static void must_recover_both_ways(struct place *place)
{
	char why[RECOVERIES_WHY_BYTES];
	bool took;

	if (recoveries_compare(place->image, place->image, &took, why) != 0)
		fail_msg("%s", why);
	place->took += took;
}

/* The power goes when the rows are on the disk and the log that tells of them is not. */
static void rows_that_nobody_confirms_are_found_wherever_they_are(void **state)
{
	struct place *place = *state;
	struct quiver *store;

	create(place);
	store = open_at(place->root, sim_io(place->disk));
	for (unsigned id = 0; id < KEPT_VECTORS; id++)
		put(store, id, 1);
	/* Holes everywhere, of which only the first segments are noted for the next checkpoint. */
	for (unsigned id = 0; id < KEPT_VECTORS; id += 3)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	for (unsigned id = 0; id < KEPT_VECTORS / 3; id++)
		put(store, 5000 + id, 2);
	place->look = must_recover_both_ways;
	crash_here(place);
	assert_true(place->took > 0);
	assert_int_equal(quiver_close(store), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_label_is_the_old_one_or_the_new_one, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(a_label_set_first_of_all_is_no_damage, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(some_words_of_a_row_in_a_hole_are_no_damage, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(damage_beside_some_words_of_a_row_is_told, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(
			some_words_of_what_a_checkpoint_writes_are_no_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_bad_copy_of_the_superblock_does_not_take_the_log_along, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_row_that_was_freed_in_memory_alone_does_not_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_superblock_of_a_new_store_is_no_damage,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(
			rows_in_room_that_a_crash_half_took_back_are_no_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(
			lsns_that_a_crash_took_back_are_not_handed_out_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_superblock_torn_while_opening_is_no_damage, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(half_a_header_of_a_record_is_no_record, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(
			rows_that_nobody_confirms_are_found_wherever_they_are, setup, teardown),
	};

	/* In memory if there is a place for that: nothing here depends on the disk below. */
	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
