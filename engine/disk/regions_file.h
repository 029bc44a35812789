/*
 * regions_file.h - the file `regions` on disk: two areas of notes where rows may have been stored
 * since a checkpoint; FORMAT.md.
 */
#ifndef QUIVER_REGIONS_FILE_H
#define QUIVER_REGIONS_FILE_H

#include <stdbool.h>

#include "engine/disk/io.h"
#include "engine/media/region_notes.h"

/* Guarded by its user. */
struct regions_file {
	const struct quiver_io *io;
	int fd; /* -1: not open */
	uint8_t uuid[16]; /* of the store */
};

/* Open the one that there is, `writable` or to be read. 0; -ENOENT; -EBADMSG it is shorter than one
 * is; -errno. */
int regions_file_open(struct regions_file *file, const struct quiver_io *io, int dir_fd,
                      const uint8_t uuid[16], bool writable);
/* Make one without a note, in place of one that may be there, durably, and open it. 0 or -errno. */
int regions_file_create(struct regions_file *file, const struct quiver_io *io, int dir_fd,
                        const uint8_t uuid[16]);
/* Nothing where it is not open. 0 or -errno. */
int regions_file_close(struct regions_file *file);

/* Write sector `sector` of an area, REGIONS_BITS_BYTES of `bits`; not synced. 0 or -errno. */
int regions_file_write(const struct regions_file *file, unsigned area, unsigned sector,
                       uint64_t generation, const uint8_t *bits);
int regions_file_sync(const struct regions_file *file);
/* From here on the file is of a time of `generation`, if no power cut takes that back: it is on its
 * way to the disk, and not synced. 0 or -errno. */
int regions_file_begin_life(const struct regions_file *file, uint64_t generation);
/* What both areas note of `generation` or a later one: REGIONS_MAX bits in `noted`. A sector that is
 * not whole notes all that it could. 0; -ESTALE the file is of an earlier time, and may lack notes;
 * -errno of the reads. */
int regions_file_read(const struct regions_file *file, uint64_t generation, uint8_t *noted);
/* How many of its sectors are not whole, or -errno of the read. */
int regions_file_damage(const struct regions_file *file);

#endif
