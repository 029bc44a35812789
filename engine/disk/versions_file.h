/*
 * versions_file.h - the file `versions` on disk: rows that only snapshots have; FORMAT.md, Snapshots.
 * Records are numbered from 0 in the order of the file.
 */
#ifndef QUIVER_VERSIONS_FILE_H
#define QUIVER_VERSIONS_FILE_H

#include <stddef.h>

#include "engine/disk/io.h"
#include "engine/media/superblock.h"
#include "engine/media/version_record.h"

/* What there was when it was opened. */
enum versions_found {
	VERSIONS_NONE, /* no file, and the superblock tells of none */
	VERSIONS_FINE,
	VERSIONS_MISSING, /* the superblock tells of one */
	VERSIONS_HEADER_BAD, /* its header is damaged; its records were read all the same */
	VERSIONS_STRANGE, /* another store's, or nothing that can be read */
	VERSIONS_EARLIER, /* of a generation before that of which the superblock tells */
};

/* Guarded by its user; readings of records, by any thread, but not while it is replaced or closed. */
struct versions_file {
	const struct quiver_io *io;
	int dir_fd;
	int fd; /* -1: there is none */
	enum versions_found found;
	uint8_t uuid[16];
	uint64_t generation; /* 0: there is none */
	uint64_t generation_max; /* that was ever told of */
	uint64_t records; /* there are; what was appended last may not be synced */
	uint64_t room; /* records that there are blocks for */
};

/* Nothing is open. */
void versions_file_init(struct versions_file *file, const struct quiver_io *io, int dir_fd,
                        const uint8_t uuid[16]);
/*
 * Open it, where it is there, and read it: each whole record that counts or may count is one call
 * of `each`, which ends it with another value than 0. *lost: bytes that should count and hold no
 * record that is whole; their numbers are passed over. Where the header is damaged, its records are
 * read as the superblock tells of them. Where the superblock tells of a file that is missing or is
 * another store's, *lost is all of it, and it counts as missing.
 * Else than read-only, what a failed sync may have left in memory alone is written and synced once
 * more, and a versions.new is removed. What lies behind the records is room for the next.
 * 0, -ENOTSUP it is of a newer version, -errno.
 */
int versions_file_open(struct versions_file *file, const struct versions_extent *extent,
                       bool read_only,
                       int (*each)(void *arg, uint64_t number, const struct version_record *record),
                       void *arg, uint64_t *lost);
/* Of one that was opened read-only: records that were appended since, as above. 0 or -errno. */
int versions_file_read_on(struct versions_file *file,
                          int (*each)(void *arg, uint64_t number,
                                      const struct version_record *record),
                          void *arg);
/* The file itself, where it is missing: header and folder durable. 0, -ENOSPC, -errno: there is none. */
int versions_file_create(struct versions_file *file);
/* Blocks for `records` in all, of a file that is there. May be called while another thread appends:
 * it reads and changes `room` alone. 0, -ENOSPC, -errno: it is as it was. Waits for the disk. */
int versions_file_make_room(struct versions_file *file, uint64_t records);
/* Append; not synced. 0 or -errno, and then there are no more records than before. Only of commits
 * that are on stable storage. */
int versions_file_append(struct versions_file *file, const struct version_record *records,
                         size_t count);
/* 0 or -errno, also where there is none. */
int versions_file_sync(struct versions_file *file);
/* One record. 0, -EBADMSG it is damaged, -ENODATA or another -errno of reading it. */
int versions_file_read(const struct versions_file *file, uint64_t number,
                       struct version_record *record);
/* The next generation, under another name and empty; it is filled by versions_file_append. On
 * failure nothing is left of it. 0 or -errno. */
int versions_file_begin_anew(const struct versions_file *file, struct versions_file *anew);
/* It takes the place of `file`, durably, with the records that it has; its memory is `file`'s
 * then. On failure `file` stays as it was and nothing is left of the other, but where the folder
 * could not be synced: then `file` is the new one, and after a crash there is one of the two.
 * 0 or -errno. */
int versions_file_replace(struct versions_file *file, struct versions_file *anew);
/* The same in three steps, of which the middle one alone waits for no disk but to rename. On failure
 * of the first `anew` is to be given up, of the second it has been; of the third, see above. */
int versions_file_finish(const struct versions_file *anew);
int versions_file_swap(struct versions_file *file, struct versions_file *anew, int *former_fd);
int versions_file_settle(const struct versions_file *file, int former_fd);
/* Instead of that. */
void versions_file_give_up(struct versions_file *anew);
/* Remove it, durably: there is none. 0 or -errno, also where there was none; after it there may be
 * one, which counts for nothing. */
int versions_file_remove(struct versions_file *file);
/* What the superblock shall say of it. */
struct versions_extent versions_file_extent(const struct versions_file *file, uint64_t lsn);
/* With `trim` the room behind the records is given back. 0 or the first error. */
int versions_file_close(struct versions_file *file, bool trim);

#endif
