/*
 * snapshot_flips.c - bit flips in a store with snapshots, of one that was closed and of one that was
 * killed: in the files of the snapshots, of the rows that only they have, and in all others. Neither
 * the store nor a snapshot ever serves anything wrong, damage of a snapshot hinders nobody who wants
 * what is live, check tells of it, and a repair leaves a store without any.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/quiver.h"
#include "folder.h"
#include "runner.h"
#include "tests/common/random.h"

#define SHORT_RUN_BITS 700u /* of each file */
#define SHORT_RUN_SECONDS 25u
#define LONG_RUN_BITS 20000u /* of those that are no snapshot's */
#define REPAIR_EVERY 4
#define IDS 16u
#define DIM 64u /* of u1 */
#define SNAPSHOTS 2u

static const char *const snapshot_names[SNAPSHOTS] = { "a", "b" };

enum store { CLOSED, KILLED, STORES };

/* The version of each vector, 0: it is not there; and its mode. */
struct moment {
	uint32_t version[IDS];
	uint16_t mode[IDS];
};

struct flip {
	enum store store;
	const struct image_file *file;
	uint64_t bit;
};

struct flips {
	struct image images[STORES];
	struct moment live, had[SNAPSHOTS]; /* the same of both stores */
	struct flip *list;
	uint64_t count;
	char base[FOLDER_PATH_BYTES];
};

struct trial {
	const struct flips *flips;
	const struct flip *flip;
	char path[FOLDER_PATH_BYTES + 24];
	char *why;
	bool named; /* check has found something */
	bool noticed; /* who opened it has */
	bool recovered; /* by another life than the one that looks */
};

static void wrong(struct trial *trial, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void wrong(struct trial *trial, const char *format, ...)
{
	va_list args;

	if (trial->why[0])
		return;
	va_start(args, format);
	(void)vsnprintf(trial->why, RUNNER_WHY_BYTES, format, args);
	va_end(args);
}

/* ---- the stores ---- */

static void must(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	abort();
}

static void fill(uint32_t id, uint32_t version, uint8_t bytes[DIM])
{
	uint64_t state = id * UINT64_C(1000) + version;

	for (unsigned i = 0; i < DIM; i++)
		bytes[i] = (uint8_t)test_random(&state);
}

static void put(struct quiver *store, struct moment *live, uint32_t id, uint32_t version)
{
	struct quiver_attr attr = { .mode = (uint16_t)(0400 + version % 0100) };
	uint8_t bytes[DIM];

	fill(id, version, bytes);
	must(quiver_put(store, id, bytes, &attr, QUIVER_ATTR_MODE, 0, NULL), "put");
	live->version[id] = version;
	live->mode[id] = attr.mode;
}

static void set_mode(struct quiver *store, struct moment *live, uint32_t id, uint16_t mode)
{
	struct quiver_attr attr = { .mode = mode };

	must(quiver_set_attr(store, id, &attr, QUIVER_ATTR_MODE, 0), "mode");
	live->mode[id] = mode;
}

static void take(struct quiver *store, struct moment *live, uint32_t id)
{
	must(quiver_remove(store, id, 0, NULL), "remove");
	live->version[id] = 0;
}

/* Some rows have ended before the last checkpoint, some behind it. */
static void work(struct quiver *store, struct flips *flips)
{
	struct moment *live = &flips->live;

	memset(live, 0, sizeof(*live));
	for (uint32_t id = 0; id < IDS - 2; id++)
		put(store, live, id, 1);
	must(quiver_snapshot_create(store, "a", NULL), "snapshot");
	flips->had[0] = *live;
	put(store, live, 0, 2);
	put(store, live, IDS - 1, 2);
	set_mode(store, live, 1, 0640);
	take(store, live, 2);
	must(quiver_snapshot_create(store, "b", NULL), "snapshot");
	flips->had[1] = *live;
	put(store, live, 0, 3);
	put(store, live, 3, 3);
	set_mode(store, live, 4, 0600);
	must(quiver_checkpoint(store), "checkpoint");
	put(store, live, 5, 4);
	set_mode(store, live, 6, 0604);
	take(store, live, 7);
	must(quiver_flush(store), "flush");
}

static void make_store(struct flips *flips, enum store which)
{
	const struct quiver_geometry geometry = { .dim = DIM, .dtype = QUIVER_U1 };
	const struct quiver_options options = { .size = sizeof(options) };
	char path[FOLDER_PATH_BYTES + 24];
	struct quiver *store;

	(void)snprintf(path, sizeof(path), "%s/store", flips->base);
	must(quiver_create(path, &geometry, NULL, NULL, NULL), "create");
	must(quiver_open(path, &options, &store, NULL), "open");
	work(store, flips);
	if (which == KILLED) /* what the kernel has by then is what a kill leaves */
		image_load(&flips->images[which], path);
	must(quiver_close(store), "close");
	if (which == CLOSED)
		image_load(&flips->images[which], path);
	folder_remove(path);
}

/* ---- what can be flipped ---- */

static bool is_of_snapshots(const struct image_file *file)
{
	return strcmp(file->name, "versions") == 0 || strncmp(file->name, "snapshots/", 10) == 0;
}

/* In a long run each bit of those of the snapshots. */
static void add_file(struct flips *flips, enum store store, const struct image_file *file)
{
	uint64_t bits = file->kept * 8;
	bool all = runner_long() && is_of_snapshots(file);
	uint64_t some = all ? bits : runner_long() ? LONG_RUN_BITS : SHORT_RUN_BITS;
	uint64_t state = runner_seed() + store * 100 + flips->count;
	struct flip *grown;

	if (bits == 0 || strcmp(file->name, "LOCK") == 0)
		return;
	grown = realloc(flips->list, (flips->count + some) * sizeof(*grown));
	if (!grown)
		abort();
	flips->list = grown;
	for (uint64_t i = 0; i < some; i++)
		flips->list[flips->count++] = (struct flip){
			.store = store, .file = file, .bit = all ? i : test_random(&state) % bits
		};
}

/* ---- one of them ---- */

static void flip_bit(const struct trial *trial)
{
	char full[sizeof(trial->path) + 320];
	off_t at = (off_t)(trial->flip->bit / 8);
	uint8_t byte = 0;
	int fd;

	(void)snprintf(full, sizeof(full), "%s/%s", trial->path, trial->flip->file->name);
	fd = open(full, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, at) != 1)
		abort();
	byte = (uint8_t)(byte ^ 1u << trial->flip->bit % 8);
	if (pwrite(fd, &byte, 1, at) != 1 || close(fd) != 0)
		abort();
}

/* -errno of the check, or the faults that it has found. */
static int64_t check(struct trial *trial, bool repair)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	int r = quiver_check(trial->path, repair, NULL, NULL, &result, &error);

	if (r && !error.text[0])
		wrong(trial, "check gave up (%s) without a word", strerror(-r));
	return r ? r : (int64_t)result.damage;
}

/* How many cannot be read; what is read must be right, and all be there. */
static unsigned compare(struct trial *trial, struct quiver *store, const struct moment *moment,
                        const char *when)
{
	unsigned unreadable = 0;

	for (uint32_t id = 0; id < IDS; id++) {
		uint8_t bytes[DIM], expected[DIM];
		struct quiver_attr attr;
		int r = quiver_get_copy(store, id, bytes, &attr, NULL);

		fill(id, moment->version[id], expected);
		if (r == -EIO)
			unreadable++;
		else if (r == -ENOENT && trial->recovered && trial->named)
			/* A damaged row that the log has superseded is gone after the recovery: the
			 * number of vectors alone tells, to who lists or checks. */
			unreadable++;
		else if (r && (r != -ENOENT || moment->version[id]))
			wrong(trial, "%s: vector %" PRIu32 ": %s", when, id, strerror(-r));
		else if (r == 0 && !moment->version[id])
			wrong(trial, "%s: vector %" PRIu32 " is there, and never was", when, id);
		else if (r == 0 && memcmp(bytes, expected, DIM) != 0)
			wrong(trial, "%s: vector %" PRIu32 ": other bytes", when, id);
		else if (r == 0 && attr.mode != moment->mode[id])
			wrong(trial, "%s: vector %" PRIu32 ": mode %o", when, id, attr.mode);
	}
	return unreadable;
}

static void compare_snapshot(struct trial *trial, struct quiver *snapshot, int r,
                             const struct moment *moment, const char *when)
{
	if (r == 0) {
		if (compare(trial, snapshot, moment, when) > 0)
			trial->noticed = true;
		must(quiver_close(snapshot), "close of a snapshot");
		return;
	}
	trial->noticed = true;
	if (r != -EUCLEAN && r != -EIO && r != -ENOTSUP && r != -EINVAL)
		wrong(trial, "%s: cannot be opened: %s", when, strerror(-r));
}

/* From the files alone, as who has no store does. */
static void look_alone(struct trial *trial)
{
	const struct quiver_options options = { .size = sizeof(options), .read_only = true };
	char path[sizeof(trial->path) + 8];

	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		struct quiver_error error = { "" };
		struct quiver *snapshot = NULL;
		int r;

		(void)snprintf(path, sizeof(path), "%s@%s", trial->path, snapshot_names[i]);
		r = quiver_open(path, &options, &snapshot, &error);
		compare_snapshot(trial, snapshot, r, &trial->flips->had[i], path);
		if (r && !error.text[0])
			wrong(trial, "%s: refused (%s) without a word", path, strerror(-r));
	}
}

static void look(struct trial *trial, bool read_only)
{
	const char *when = read_only ? "read-only" : "opened";
	const struct quiver_options options = { .size = sizeof(options), .read_only = read_only };
	bool snapshots_only = is_of_snapshots(trial->flip->file);
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	int r = quiver_open(trial->path, &options, &store, &error);

	if (r) {
		trial->noticed = true;
		if (snapshots_only)
			wrong(trial, "%s: refused though what is live is whole: %s", when,
			      error.text);
		if (!error.text[0])
			wrong(trial, "%s: refused (%s) without a word", when, strerror(-r));
		return;
	}
	if (compare(trial, store, &trial->flips->live, when) > 0) {
		trial->noticed = true;
		if (snapshots_only)
			wrong(trial, "%s: what is live cannot be read", when);
	}
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		struct quiver *snapshot = NULL;

		r = quiver_snapshot_open(store, snapshot_names[i], &snapshot);
		trial->recovered = trial->flip->store == KILLED && read_only && !snapshots_only;
		compare_snapshot(trial, snapshot, r, &trial->flips->had[i], snapshot_names[i]);
	}
	quiver_stats(store, &stats);
	trial->noticed = trial->noticed || stats.errors > 0;
	r = quiver_close(store);
	if (r && snapshots_only)
		wrong(trial, "%s: close: %s", when, strerror(-r));
}

static bool run_case(void *arg, uint64_t number, char why[RUNNER_WHY_BYTES])
{
	struct flips *flips = arg;
	const struct flip *flip = &flips->list[number];
	struct trial trial = { .flips = flips, .flip = flip, .why = why };
	bool repairs = number % REPAIR_EVERY == 0;

	(void)snprintf(trial.path, sizeof(trial.path), "%s/%ld", flips->base, (long)getpid());
	image_write(&flips->images[flip->store], trial.path);
	flip_bit(&trial);
	trial.named = check(&trial, false) != 0;
	if (is_of_snapshots(flip->file) && flip->store == CLOSED && !trial.named)
		wrong(&trial, "check says nothing");
	look_alone(&trial);
	if (repairs) {
		int64_t left;

		if (check(&trial, true) < 0 && is_of_snapshots(flip->file))
			wrong(&trial, "it cannot be repaired");
		left = check(&trial, false);
		if (left > 0 || (left < 0 && is_of_snapshots(flip->file)))
			wrong(&trial, "after a repair there is damage");
	} else {
		look(&trial, number % 2);
	}
	if (trial.noticed && !trial.named && is_of_snapshots(flip->file))
		wrong(&trial, "who opened it has noticed it, check has not");
	folder_remove(trial.path);
	return why[0] == '\0';
}

static void describe(void *arg, uint64_t number, char *to, size_t room)
{
	const struct flips *flips = arg;
	const struct flip *flip = &flips->list[number];

	(void)snprintf(to, room, "%s store, %s, byte %" PRIu64 " bit %u",
	               flip->store == CLOSED ? "closed" : "killed", flip->file->name, flip->bit / 8,
	               (unsigned)(flip->bit % 8));
}

int main(void)
{
	static struct flips flips;
	struct runner runner = { .name = "bit flips beside snapshots",
		                 .run = run_case,
		                 .describe = describe,
		                 .arg = &flips };
	uint64_t failures;

	folder_make(flips.base);
	for (int i = 0; i < STORES; i++) {
		make_store(&flips, (enum store)i);
		for (size_t k = 0; k < flips.images[i].count; k++)
			add_file(&flips, (enum store)i, &flips.images[i].files[k]);
	}
	runner.cases = runner.short_cases = flips.count;
	runner.short_seconds = SHORT_RUN_SECONDS;
	failures = runner_run(&runner);
	for (int i = 0; i < STORES; i++)
		image_free(&flips.images[i]);
	free(flips.list);
	folder_remove(flips.base);
	return failures > 0;
}
