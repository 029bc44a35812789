/*
 * scripts.c - the pieces of a store's life that meet faults.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "script.h"

static void play_create(struct run *run)
{
	step_create(run);
}

/* Growth, a batch that needs a segment of its own, one that the log only names, every kind of change, two checkpoints. */
static void play_logged(struct run *run)
{
	step_open(run, false);
	for (uint32_t id = 1; id <= 6; id++)
		step_put(run, id, 1, 0);
	step_put(run, 1, 2, 0);
	step_put(run, 1, 3, QUIVER_NOREPLACE);
	step_flush(run);
	step_batch(run, 10, 68, 1, QUIVER_SYNC);
	step_batch(run, 20, 8, 2, 0);
	step_flush(run);
	step_rename(run, 2, 3);
	step_rename(run, 4, 80);
	step_set_attr(run, 5, 11);
	step_set_dir(run, 12);
	step_label(run, 1);
	step_remove(run, 6);
	step_remove(run, 98);
	step_checkpoint(run);
	step_label(run, 2);
	step_set_attr(run, 1, 13);
	step_put(run, 5, 2, 0);
	step_look(run);
	if (run->store)
		step_close(run);
}

static void play_compact(struct run *run)
{
	step_open(run, false);
	step_reserve(run, 2000);
	step_put(run, 20, 7, 0);
	for (uint32_t id = 1; id <= 8; id++)
		step_remove(run, id);
	step_job(run, QUIVER_COMPACT);
	step_job(run, QUIVER_VERIFY);
	step_put(run, 90, 1, QUIVER_SYNC);
	step_look(run);
	if (run->store)
		step_close(run);
}

static void play_modes(struct run *run)
{
	step_open(run, false);
	step_mode(run, QUIVER_ALWAYS);
	step_put(run, 81, 1, 0);
	step_batch(run, 82, 3, 1, 0);
	step_rename(run, 82, 85);
	step_set_attr(run, 83, 14);
	step_remove(run, 81);
	step_mode(run, QUIVER_NONE);
	step_put(run, 86, 1, 0);
	step_put(run, 1, 9, 0);
	step_remove(run, 83);
	step_set_attr(run, 84, 15);
	step_rename(run, 84, 87);
	step_checkpoint(run);
	step_put(run, 88, 1, 0);
	step_flush(run);
	step_batch(run, 30, 3, 6, 0);
	step_mode(run, QUIVER_FLUSH);
	step_put(run, 89, 1, 0);
	step_mode(run, QUIVER_FSYNC);
	step_put(run, 89, 2, 0);
	step_look(run);
	if (run->store)
		step_close(run);
}

/* Made, read, kept open, overwritten under, compacted around and removed. */
static void play_snapshots(struct run *run)
{
	step_open(run, false);
	step_put(run, 2, 30, 0);
	step_snapshot(run, 0);
	step_put(run, 1, 31, 0);
	step_remove(run, 2);
	step_rename(run, 3, 4);
	step_set_attr(run, 5, 32);
	step_label(run, 5);
	step_batch(run, 30, 3, 33, 0);
	step_snapshot_read(run, 0, false);
	step_flush(run);
	step_snapshot_read(run, 0, true);
	step_snapshot(run, 1);
	step_snapshot(run, 1);
	step_put(run, 1, 34, 0);
	step_set_attr(run, 5, 35);
	step_set_dir(run, 36);
	step_view_open(run, 0);
	step_checkpoint(run);
	step_snapshot_remove(run, 0);
	step_snapshot_remove(run, 0);
	step_put(run, 6, 37, 0);
	step_view_close(run);
	step_checkpoint(run);
	step_remove(run, 7);
	step_job(run, QUIVER_COMPACT);
	step_job(run, QUIVER_VERIFY);
	step_snapshot_read(run, 1, false);
	step_snapshot_remove(run, 1);
	step_checkpoint(run);
	step_snapshot(run, 2);
	step_remove(run, 8);
	step_look(run);
	if (run->store)
		step_close(run);
}

/* Without a log, what ends is known at the next checkpoint alone. */
static void play_snapshots_unlogged(struct run *run)
{
	step_open(run, false);
	step_mode(run, QUIVER_NONE);
	step_put(run, 1, 40, 0);
	step_snapshot(run, 2);
	step_put(run, 1, 41, 0);
	step_remove(run, 9);
	step_rename(run, 10, 11);
	step_set_attr(run, 12, 42);
	step_snapshot_read(run, 2, false);
	step_checkpoint(run);
	step_put(run, 1, 43, 0);
	step_snapshot_read(run, 2, true);
	step_snapshot_remove(run, 0);
	step_flush(run);
	step_look(run);
	if (run->store)
		step_close(run);
}

/* What a snapshot has, and other processes. */
static void play_alone(struct run *run)
{
	step_snapshot_read(run, 0, true);
	step_snapshot_read(run, 1, true);
	step_snapshot_read(run, 2, true);
}

/* Opening what is closed, or crashed, or again read-only. */
static void play_reopen(struct run *run)
{
	step_open(run, false);
	step_put(run, 3, 20, 0);
	step_flush(run);
	if (run->store)
		step_close(run);
}

static void play_read_only(struct run *run)
{
	step_open(run, true);
	step_look(run);
	step_snapshot_read(run, 0, false);
	if (run->store)
		step_close(run);
}

static void play_check(struct run *run)
{
	step_check(run, false);
}

static void play_repair(struct run *run)
{
	step_check(run, true);
}

static void play_repair_damage(struct run *run)
{
	run->loses = true;
	step_check(run, true);
}

const struct script scripts[] = {
	{ "create", IMAGE_NONE, play_create },
	{ "logged", IMAGE_EMPTY, play_logged },
	{ "compact", IMAGE_CLEAN, play_compact },
	{ "modes", IMAGE_CLEAN, play_modes },
	{ "reopen", IMAGE_CLEAN, play_reopen },
	{ "recover", IMAGE_CRASHED, play_reopen },
	{ "read-only", IMAGE_CLEAN, play_read_only },
	{ "read-only after a crash", IMAGE_CRASHED, play_read_only },
	{ "check", IMAGE_CLEAN, play_check },
	{ "check after a crash", IMAGE_CRASHED, play_check },
	{ "repair after a crash", IMAGE_CRASHED, play_repair },
	{ "repair of damage", IMAGE_DAMAGED, play_repair_damage },
	{ "snapshots", IMAGE_CLEAN, play_snapshots },
	{ "snapshots, unlogged", IMAGE_KEPT, play_snapshots_unlogged },
	{ "recover with snapshots", IMAGE_KEPT_CRASHED, play_reopen },
	{ "read-only with snapshots", IMAGE_KEPT, play_read_only },
	{ "check with snapshots", IMAGE_KEPT, play_check },
	{ "repair with snapshots after a crash", IMAGE_KEPT_CRASHED, play_repair },
	{ "snapshots alone", IMAGE_KEPT, play_alone },
	{ "snapshots alone after a crash", IMAGE_KEPT_CRASHED, play_alone },
};
const size_t script_count = sizeof(scripts) / sizeof(scripts[0]);

/* ---- stores to begin with ---- */

static void fill_clean(struct run *run)
{
	step_open(run, false);
	if (quiver_set_metric(run->store, IMAGES_METRIC) != 0)
		abort();
	for (uint32_t id = 1; id <= 24; id++)
		step_put(run, id, 1, 0);
	step_batch(run, 30, 10, 1, 0);
	step_remove(run, 24);
	step_set_attr(run, 23, 5);
	step_set_dir(run, 6);
	step_label(run, 3);
	step_close(run);
}

/* The log holds every kind of record that carries no payload, puts, a batch, and moves. */
static void fill_crashed(struct run *run)
{
	step_open(run, false);
	for (uint32_t id = 1; id <= 12; id++)
		step_put(run, id, 1, 0);
	step_checkpoint(run);
	step_put(run, 1, 2, 0);
	step_rename(run, 2, 3);
	step_rename(run, 4, 40);
	step_set_attr(run, 5, 11);
	step_remove(run, 6);
	step_batch(run, 50, 8, 1, 0);
	step_set_dir(run, 8);
	step_label(run, 4);
	step_put(run, 5, 4, 0);
	step_set_attr(run, 7, 12);
	step_flush(run);
}

/* Of what the two have, some is in the columns, some among the versions, attributes apart. */
static void fill_kept(struct run *run)
{
	step_open(run, false);
	for (uint32_t id = 1; id <= 16; id++)
		step_put(run, id, 1, 0);
	step_label(run, 6);
	step_snapshot(run, 0);
	step_put(run, 1, 2, 0);
	step_remove(run, 2);
	step_rename(run, 3, 4);
	step_set_attr(run, 5, 20);
	step_set_dir(run, 21);
	step_snapshot(run, 1);
	step_put(run, 1, 3, 0);
	step_put(run, 6, 2, 0);
	step_set_attr(run, 5, 22);
	step_close(run);
}

static void fill_kept_crashed(struct run *run)
{
	fill_kept(run);
	step_open(run, false);
	step_put(run, 1, 4, 0);
	step_put(run, 7, 2, 0);
	step_remove(run, 8);
	step_rename(run, 9, 10);
	step_set_attr(run, 11, 23);
	step_set_attr(run, 12, 24);
	step_put(run, 12, 2, 0);
	step_batch(run, 13, 2, 2, 0);
	step_flush(run);
}

static void make_image(struct images *images, enum script_image which, const char *base,
                       void (*fill)(struct run *run))
{
	struct run run = { .allocations = false };
	char why[RUNNER_WHY_BYTES] = "";
	struct image_file *vectors;

	run.why = why;
	snprintf(run.path, sizeof(run.path), "%s/s", base);
	step_create(&run);
	if (fill)
		fill(&run);
	if (why[0]) {
		fprintf(stderr, "a store to begin with: %s\n", why);
		abort();
	}
	image_load(&images->stores[which], run.path);
	images->worlds[which] = run.now;
	memcpy(images->snapshots[which], run.snapshots, sizeof(run.snapshots));
	if (run.store && quiver_close(run.store) != 0)
		abort();
	vectors = image_find(&images->stores[which], "vectors.npy");
	if (which == IMAGE_DAMAGED)
		vectors->bytes[vectors->kept - 100] ^= 1;
	folder_remove(run.path);
}

void images_make(struct images *images)
{
	char base[FOLDER_PATH_BYTES];

	folder_make(base);
	faults_arm(false, 0, TROUBLE_ONCE, -EIO);
	memset(images, 0, sizeof(*images));
	make_image(images, IMAGE_EMPTY, base, NULL);
	make_image(images, IMAGE_CLEAN, base, fill_clean);
	make_image(images, IMAGE_CRASHED, base, fill_crashed);
	make_image(images, IMAGE_DAMAGED, base, fill_clean);
	make_image(images, IMAGE_KEPT, base, fill_kept);
	make_image(images, IMAGE_KEPT_CRASHED, base, fill_kept_crashed);
	folder_remove(base);
}

void images_free(struct images *images)
{
	for (size_t i = 0; i < IMAGES; i++)
		image_free(&images->stores[i]);
}
