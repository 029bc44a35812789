/*
 * room.h - whether a disk can hold what is to be written, as far as that is known before.
 */
#ifndef ROOM_H
#define ROOM_H

#include <stdint.h>

#include "tools/cli/session.h"

/*
 * Whether so many vectors, each with an ID of its own, can be in the store: its disk must have
 * room for those that the files have none for. What a log, an index or an overwritten vector takes
 * besides is not counted. 0, -ENOSPC or an error of reading, after having said what is wrong.
 */
int room_for_vectors(struct session *session, uint64_t vectors);

/* Note on stderr where the disk of a folder, in which the file `path` is written, has less than that
 * free; a filesystem that compresses may have room all the same. */
void room_note_file(const char *path, int folder_fd, uint64_t bytes);

#endif
