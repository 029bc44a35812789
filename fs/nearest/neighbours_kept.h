/*
 * neighbours_kept.h - the texts of nearest/ on a read-only mount, where the kernel opens by itself.
 *
 * There is no handle that could have one. So a text is made when it is first read, and kept for the reads
 * that follow. As nothing changes such a text is good for ever; of a store that others change for a
 * little time.
 */
#ifndef NEIGHBOURS_KEPT_H
#define NEIGHBOURS_KEPT_H

#include "fs/nearest/neighbours_node.h"

/* What is kept is the texts that were made last: so many, and of so many bytes, but one at least. */
#define NEIGHBOURS_KEPT_MAX 64u
#define NEIGHBOURS_KEPT_BYTES_MAX (32u << 20)

struct neighbours_kept;

int neighbours_kept_new(struct neighbours_kept **kept); /* -ENOMEM */
void neighbours_kept_free(struct fs *fs, struct neighbours_kept *kept); /* NULL is allowed */

/* The length of the text, and when it was made. False: there is none now. */
bool neighbours_kept_look(struct fs *fs, const struct neighbours_name *name, size_t *length,
                          int64_t *made_ns);
/* Make it unless it is there. -EAGAIN, that would wait, and `may_wait` is false; errors of
 * neighbours_text_make. */
int neighbours_kept_have(struct fs *fs, const struct neighbours_name *name, bool may_wait);
/* Copy up to *size bytes from `offset` on, and say how many. False: there is none now. */
bool neighbours_kept_copy(struct fs *fs, const struct neighbours_name *name, uint64_t offset,
                          char *to, size_t *size);

#endif
