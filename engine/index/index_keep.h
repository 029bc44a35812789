/*
 * index_keep.h - the file `index` as checkpoints write it: the pages that have changed, each into
 * the place that does not count, or all of them into a new file; FORMAT.md, "index".
 *
 * index_keep_begin, under the writer lock, takes the state that is written; index_keep_write writes
 * it while changes go on; then the superblock names it; index_keep_end.
 */
#ifndef QUIVER_INDEX_KEEP_H
#define QUIVER_INDEX_KEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"
#include "engine/index/index.h"
#include "engine/index/index_pages.h"
#include "engine/media/index_page.h"

/* Of an open store; checkpoint lock, or while nobody else is there. */
struct index_keep {
	const struct quiver_io *io; /* fixed, as the next two */
	int dir_fd; /* not owned */
	struct index_pages *live; /* of the live map; not owned */
	/* Of the generation that counts; all zero where none does. It is that of a file which the
	 * superblock need not name: a checkpoint that keeps none leaves the file as it is. */
	struct index_header header;
	unsigned header_place; /* 0 or 1, where the header is */
	bool is_new; /* the file is index.new, which is to be renamed */
	bool is_nobodys; /* there may be an index.new that no superblock will name */
	bool ends_life; /* what is written next is of another life: there may be pages of this one that no
	                 * superblock will ever name */
	/* What is under way. */
	struct index_header next;
	struct index_table *next_table; /* NULL: nothing is */
	uint64_t live_pages;
	uint64_t bytes; /* of the pages that are written */
	bool whole;
	bool has_written; /* maybe only a part */
	bool is_written; /* all of it */
	bool is_doubtful; /* a write or a sync has failed */
};

/* What becomes of a generation that was begun: a superblock names it; one that could not be written
 * may name it; none does. */
enum index_keep_fate { INDEX_NAMED, INDEX_MAYBE_NAMED, INDEX_UNNAMED };

/* What is to be written. */
struct index_keep_as {
	uint8_t uuid[16];
	uint64_t generation; /* the number of the superblock that will name it */
	uint64_t lsn;
	uint64_t slots_used;
	uint64_t count;
	int64_t ctime_max_ns;
};

/* All-zero memory becomes one of a store without a file. */
void index_keep_init(struct index_keep *keep, const struct quiver_io *io, int dir_fd,
                     struct index_pages *live);
/* The index was loaded with index_load, `clean` or after a crash: its file is gone on with. Before
 * anything is changed. */
void index_keep_loaded(struct index_keep *keep, const struct index *index, bool clean);
/* Whether the file holds this state already, but for the generation, and may be gone on with as it is:
 * not what another life has left. Writer lock. */
bool index_keep_is_saved(const struct index_keep *keep, const struct index *index,
                         const struct index_keep_as *as);
/* What writing it now would cost. Writer lock. */
uint64_t index_keep_bytes(const struct index_keep *keep, const struct index *index,
                          uint64_t slots_used);
/* Whether all pages would have to be in memory for that, and are not. Writer lock. */
bool index_keep_needs_all(const struct index_keep *keep, const struct index *index);
/* The index as it is now is to be written. 0; -EAGAIN where all pages are needed, -EIO without
 * random numbers: nothing has begun. Writer lock. */
int index_keep_begin(struct index_keep *keep, const struct index *index,
                     const struct index_keep_as *as);
/* Write it, and sync it. 0; -EAGAIN, -ENOMEM as index_pages_error; -errno. No other lock: it waits for
 * the disk. `like_fd`: whose owner and mode a new file gets. */
int index_keep_write(struct index_keep *keep, int like_fd);
/* What has become of it; nothing where nothing is under way. Then index_keep_name. Writer lock. */
void index_keep_end(struct index_keep *keep, enum index_keep_fate fate);
/* Rename index.new, where that is the file, or remove one that no superblock will name. 0 or -errno: it
 * stays, and is found by that name. No writer lock. */
int index_keep_name(struct index_keep *keep);
/* What the file holds cannot be gone on with: all is written the next time. Writer lock. */
void index_keep_forget(struct index_keep *keep);

#endif
