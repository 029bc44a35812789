/*
 * neighbours_text.h - what the files of nearest/ read: lines "ID distance", nearest first.
 *
 * A distance has up to nine digits, as printf's %.9g has it. Between the answers to several vectors
 * there is an empty line.
 */
#ifndef NEIGHBOURS_TEXT_H
#define NEIGHBOURS_TEXT_H

#include "fs/nearest/neighbours_name.h"
#include "fs/question/exchange.h"

/* nearest/query and query.K: vectors are written. */
extern const struct question_kind query_questions;

/* nearest/ID and ID.K: no text of `k` lines is longer than so many bytes each. */
#define NEIGHBOURS_LINE_BYTES 40u
struct neighbours_text {
	char *bytes; /* malloc'd; NULL: none */
	size_t length;
	size_t room; /* charged to who asked, as CHARGE_QUESTION_BYTES */
};

/* Of the neighbours of vector name->id, which is none of them. Waits. -ENOENT; -EACCES: he may not read
 * it; -EIO it is damaged; -EINVAL it has no distances: told; -EDQUOT, -ENOSPC: told; -ENOMEM, other
 * errors of quiver_nearest. */
int neighbours_text_make(struct fs *fs, const struct neighbours_name *name,
                         const struct asker *asker, struct neighbours_text *text);
void neighbours_text_free(struct fs *fs, uid_t uid, struct neighbours_text *text);

#endif
