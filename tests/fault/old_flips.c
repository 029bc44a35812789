/*
 * old_flips.c - bit flips in stores of format 1 and in ones that are between the formats: closed,
 * killed, and with an upgrade that was interrupted before and behind its last step. However such a
 * store is looked at, opened or upgraded, nothing wrong is served, nothing is lost but what the bit
 * was in, and what shows is told.
 *
 * usage: fault_old_flips STORES TRUTHS
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../old/truth.h"
#include "faults.h"
#include "folder.h"
#include "runner.h"
#include "tests/common/listed.h"
#include "tests/common/random.h"

#define SHORT_RUN_BITS 500u /* of each file */
#define SHORT_RUN_SECONDS 20u
#define LONG_RUN_BITS 20000u
#define VECTOR_BYTES_MAX 256u
#define COPY_BYTES 4096u /* FORMAT.md, as all here */
#define HEADER_BYTES 4096u
#define AT_VERSION 8

enum store { CLOSED, KILLED, BEFORE_RENAME, AFTER_RENAME, STORES };

static const char *const store_names[STORES] = { "closed", "killed", "upgraded but for the rename",
	                                         "upgraded, and killed at once" };

struct flip {
	enum store store;
	const struct image_file *file;
	uint64_t bit;
};

struct flips {
	struct image images[STORES];
	struct truth truths[STORES];
	struct flip *list;
	uint64_t count;
	char base[FOLDER_PATH_BYTES];
};

struct trial {
	const struct flip *flip;
	const struct truth *truth;
	char path[FOLDER_PATH_BYTES + 24];
	char *why;
	bool named; /* check has found something */
	bool refused; /* by who opens it */
	bool noticed; /* the open store has: refused, reported, or -EIO */
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

static int open_at(const char *path, const struct quiver_io *io, bool read_only,
                   struct quiver **store, struct quiver_error *error)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = read_only,
		                          .io = io };

	return quiver_open(path, &options, store, error);
}

/* Whether a copy of the superblock is of version 2. */
static bool is_2(struct image *image)
{
	const uint8_t *bytes = image_find(image, "superblock")->bytes;

	return bytes[AT_VERSION] == 2 || bytes[COPY_BYTES + AT_VERSION] == 2;
}

/* A store that was closed, of which everything fails from some call of the upgrade on: the first
 * such whose superblock is of version 2, with or without meta.npy.new. False where there is none. */
static bool interrupt(struct flips *flips, enum store which)
{
	char path[FOLDER_PATH_BYTES + 24];
	struct image *image = &flips->images[which];

	(void)snprintf(path, sizeof(path), "%s/interrupted", flips->base);
	for (long call = 1;; call++) {
		struct quiver *store = NULL;
		int r;

		image_write(&flips->images[CLOSED], path);
		faults_arm(false, call, TROUBLE_FROM, -EIO);
		r = open_at(path, faults_table(), false, &store, NULL);
		faults_disarm();
		if (r == 0)
			(void)quiver_close(store); /* nobody looks at it again */
		image_load(image, path);
		folder_remove(path);
		if (is_2(image) && !image_find(image, "meta.npy.new") == (which == AFTER_RENAME))
			return true;
		image_free(image);
		if (r == 0)
			return false;
	}
}

static void load_store(struct flips *flips, enum store which, const char *name, char **argv)
{
	char path[FOLDER_PATH_BYTES + 64];

	(void)snprintf(path, sizeof(path), "%s/%s.truth", argv[2], name);
	truth_load(&flips->truths[which], path);
	(void)snprintf(path, sizeof(path), "%s/%s", argv[1], name);
	if (which <= KILLED)
		image_load(&flips->images[which], path);
	else if (!interrupt(flips, which)) {
		fprintf(stderr, "no upgrade can be interrupted: %s\n", store_names[which]);
		exit(1);
	}
}

/* ---- what can be flipped ---- */

/* Each bit of the superblock in a long run; of the other files some. */
static void add_file(struct flips *flips, enum store store, const struct image_file *file)
{
	uint64_t bits = file->kept * 8;
	uint64_t some = runner_long() ? LONG_RUN_BITS : SHORT_RUN_BITS;
	uint64_t state = runner_seed() + store * 100 + flips->count;
	struct flip *grown;

	if (bits == 0 || strcmp(file->name, "LOCK") == 0)
		return;
	if (runner_long() && strcmp(file->name, "superblock") == 0)
		some = bits;
	grown = realloc(flips->list, (flips->count + some) * sizeof(*grown));
	if (!grown)
		abort();
	flips->list = grown;
	for (uint64_t i = 0; i < some; i++)
		flips->list[flips->count++] = (struct flip){
			.store = store,
			.file = file,
			.bit = some == bits ? i : test_random(&state) % bits,
		};
}

/* ---- one of them ---- */

static bool is_file(const struct flip *flip, const char *name)
{
	return strcmp(flip->file->name, name) == 0;
}

/* What is in it is not of the store any more. */
static bool is_dead(const struct flip *flip)
{
	return flip->store == BEFORE_RENAME && is_file(flip, "meta.npy");
}

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

static void check(struct trial *trial)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	int r = quiver_check(trial->path, false, NULL, NULL, &result, &error);

	trial->named = r != 0 || result.damage > 0;
	if (r && !error.text[0])
		wrong(trial, "check gave up (%s) without a word", strerror(-r));
}

static uint64_t fnv1a(const uint8_t *bytes, size_t count)
{
	uint64_t found = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < count; i++)
		found = (found ^ bytes[i]) * UINT64_C(0x100000001b3);
	return found;
}

/* Whether a vector cannot be read; what is read must be right. */
static bool is_damaged(struct trial *trial, struct quiver *store, const struct truth_vector *vector)
{
	uint8_t bytes[VECTOR_BYTES_MAX];
	struct quiver_attr attr;
	int r = quiver_get_copy(store, vector->id, bytes, &attr, NULL);

	if (r == -EIO)
		return true;
	if (r)
		wrong(trial, "vector %" PRIu64 ": %s", vector->id, strerror(-r));
	else if (fnv1a(bytes, quiver_geometry(store)->vector_bytes) != vector->hash)
		wrong(trial, "vector %" PRIu64 ": other bytes", vector->id);
	else if (attr.mtime_ns != vector->attr.mtime_ns || attr.mode != vector->attr.mode ||
	         attr.ctime_ns != vector->attr.mtime_ns || attr.uid != vector->attr.uid ||
	         attr.gid != vector->attr.gid)
		wrong(trial, "vector %" PRIu64 ": other attributes", vector->id);
	return false;
}

static void compare(struct trial *trial, struct quiver *store, const char *when)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct listed list;
	size_t damaged = 0;

	for (size_t i = 0; i < trial->truth->count; i++)
		damaged += is_damaged(trial, store, &trial->truth->vectors[i]);
	/* A free row may come to have an ID, too. */
	if (damaged > 1 && !is_file(trial->flip, "index"))
		wrong(trial, "%s: %zu vectors are lost by one bit", when, damaged);
	quiver_stats(store, &stats);
	trial->noticed = trial->noticed || damaged || stats.errors > 0;
	if (listed_all(store, &list) != 0)
		abort();
	for (size_t i = 0; i < list.count; i++)
		if (!trial->noticed && !truth_has(trial->truth, list.ids[i]))
			wrong(trial, "%s: vector %" PRIu64 " is listed, but never was", when,
			      list.ids[i]);
	if (list.count + damaged < trial->truth->count)
		wrong(trial, "%s: vectors are missing", when);
	listed_free(&list);
}

static bool look(struct trial *trial, bool read_only, const char *when)
{
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	int r = open_at(trial->path, NULL, read_only, &store, &error);

	if (r) {
		trial->noticed = trial->refused = true;
		if (r != -EUCLEAN && r != -EINVAL && r != -EIO && r != -ENOTSUP)
			wrong(trial, "%s: %s: %s", when, strerror(-r), error.text);
		if (!error.text[0])
			wrong(trial, "%s: refused (%s) without a word", when, strerror(-r));
		return false;
	}
	compare(trial, store, when);
	r = quiver_close(store);
	if (r)
		wrong(trial, "%s: close: %s", when, strerror(-r));
	return true;
}

static bool run_case(void *arg, uint64_t number, char why[RUNNER_WHY_BYTES])
{
	struct flips *flips = arg;
	const struct flip *flip = &flips->list[number];
	struct trial trial = { .flip = flip, .truth = &flips->truths[flip->store], .why = why };

	(void)snprintf(trial.path, sizeof(trial.path), "%s/%ld", flips->base, (long)getpid());
	image_write(&flips->images[flip->store], trial.path);
	flip_bit(&trial);
	check(&trial);
	(void)look(&trial, true, "read-only");
	/* That of a killed store has been recovered by now. */
	if (look(&trial, false, "opened"))
		(void)look(&trial, true, "upgraded");
	if (is_file(flip, "superblock") && trial.refused)
		wrong(&trial, "is refused though the other copy of the superblock is good");
	if (is_file(flip, "superblock") && !trial.noticed)
		wrong(&trial, "the open store has not noticed it");
	if (trial.noticed && !trial.named && !is_file(flip, "superblock"))
		wrong(&trial, "the open store has noticed it, check has not");
	if (is_dead(flip) && (trial.noticed || trial.named))
		wrong(&trial, "what nobody reads any more is told as damage");
	folder_remove(trial.path);
	return why[0] == '\0';
}

static void describe(void *arg, uint64_t number, char *to, size_t room)
{
	const struct flips *flips = arg;
	const struct flip *flip = &flips->list[number];

	(void)snprintf(to, room, "%s store, %s, byte %" PRIu64 " bit %u", store_names[flip->store],
	               flip->file->name, flip->bit / 8, (unsigned)(flip->bit % 8));
}

int main(int argc, char **argv)
{
	static struct flips flips;
	struct runner runner = { .name = "bit flips of format 1",
		                 .run = run_case,
		                 .describe = describe,
		                 .arg = &flips };
	uint64_t failures;

	if (argc != 3) {
		fprintf(stderr, "usage: fault_old_flips STORES TRUTHS\n");
		return 2;
	}
	folder_make(flips.base);
	for (int i = 0; i < STORES; i++)
		load_store(&flips, (enum store)i, i == KILLED ? "killed-always" : "clean-f4", argv);
	for (int i = 0; i < STORES; i++)
		for (size_t k = 0; k < flips.images[i].count; k++)
			add_file(&flips, (enum store)i, &flips.images[i].files[k]);
	runner.cases = runner.short_cases = flips.count;
	runner.short_seconds = SHORT_RUN_SECONDS;
	failures = runner_run(&runner);
	for (int i = 0; i < STORES; i++) {
		image_free(&flips.images[i]);
		truth_free(&flips.truths[i]);
	}
	free(flips.list);
	folder_remove(flips.base);
	return failures > 0;
}
