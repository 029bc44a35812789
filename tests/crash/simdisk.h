/*
 * simdisk.h - a disk that forgets: the I/O table of a store whose files are real (so that
 * they can be mapped) while a record is kept of what a power cut could leave of them.
 *
 * What may be left, FORMAT.md: of a file each 512-byte sector as it was after some prefix of
 * the writes to it since the last sync, and a size that it had since then; of a folder the
 * names after some prefix of the changes since its last sync. Files and folders know nothing
 * of each other: a name may be there without the content, and the content of a later file
 * without that of an earlier one.
 *
 * What is stored through a map goes to the disk by the word: the kernel writes a page out at any
 * time, also while it is being stored in, and the device takes it word by word. So each 8 bytes
 * are as they were after some prefix of the changes to them, whatever the words beside them are.
 * Where a sector is both written by calls and stored in, a call is in all of its words that it
 * changed or in none, and the calls that are in it are a prefix of those to the sector, as if
 * there were no stores; within that each word goes as far as it likes: up to the next call that
 * changed it and is not there. The end of a process keeps all stores but some words of the one
 * that it died in.
 *
 * After a sync that fails, a sector holds what some of its writes have made of it, and the
 * kernel may take it for clean: whoever reads it sees all writes, and no later sync writes it,
 * unless it is written again. It lasts as long as the disk, over any number of lives of the
 * store.
 *
 * What is read with O_DIRECT is what the disk has then, so without such writes.
 *
 * Not for more than one thread: the tests do the work of the store's threads themselves.
 */
#ifndef SIMDISK_H
#define SIMDISK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"

#define SIM_SECTOR_BYTES 512u

/* What a crash leaves. */
enum sim_keep {
	SIM_ALL_KEPT, /* everything: the process dies, not the machine */
	SIM_TORN, /* the same, dying in the middle of the last write */
	SIM_ALL_LOST, /* what was synced, and nothing else */
	SIM_RANDOM, /* anything, for each sector, size and folder by itself */
	SIM_PATCHY, /* the newest with a probability that differs from file to file */
	SIM_FILES, /* the newest of some files, nothing of the others */
	SIM_KEEP_COUNT,
};

const char *sim_keep_name(enum sim_keep keep);
/* Whether it is what the end of a process leaves, not a power cut. */
static inline bool sim_keeps_process(enum sim_keep keep)
{
	return keep == SIM_ALL_KEPT || keep == SIM_TORN;
}

struct simdisk;

/* The disk of the store at `root`. What is there, if anything, is on stable storage. Ends the
 * program where memory or the real disk fails, as all functions here do. */
struct simdisk *sim_new(const char *root);
void sim_free(struct simdisk *disk);
const struct quiver_io *sim_io(const struct simdisk *disk);
/* Called after each event: a write, sync, change of a size or a name. It may crash the disk
 * (that changes nothing for who runs on it) but not do I/O through it. */
void sim_on_event(struct simdisk *disk, void (*hook)(void *arg), void *arg);
/* Put what a crash now would leave into the folder `to`, which must not exist. */
void sim_crash(const struct simdisk *disk, const char *to, enum sim_keep keep, uint64_t seed);
/* From now on files cannot be read past the cache. */
void sim_no_direct(struct simdisk *disk);
/* From now on files can be mapped to be stored in. */
void sim_use_maps(struct simdisk *disk);
/* From now on it says that it is full, though it takes what is written: as one has none to spare. */
void sim_be_tight(struct simdisk *disk);
/* Let the next write of a log segment stop after some bytes with an error; before it a store in
 * the map of one likewise, since after that the engine calls. */
void sim_fail_log_write(struct simdisk *disk, uint64_t bytes);
/* None, where the next has not come. */
void sim_fail_no_log_write(struct simdisk *disk);
/* Whether that has happened since it was asked for. */
bool sim_failed_log_write(const struct simdisk *disk);
/* Let a sync fail: the next one, or after that many. Forgets what was asked for before. */
void sim_fail_sync(struct simdisk *disk, unsigned after, uint64_t seed);
/* No sync fails from now on; what has failed is forgotten. */
void sim_fail_no_sync(struct simdisk *disk);
/* The name of what could not be synced since it was asked for ("." for the store's folder), or
 * NULL. Valid as long as the disk. */
const char *sim_failed_sync(const struct simdisk *disk);

#endif
