/*
 * charge.h - what each user has of what the mount has bounds for.
 *
 * Memory that somebody can take is charged to a user: to who opened the file that holds it, whoever
 * it is passed on to, or made the scratch file. A user gets a quarter of what there is, and all but
 * the owner of the mount and root together three quarters. So one user blocks nobody, several do not
 * block the owner, and a tool that has a thousand files open meets no bound. The owner and root may
 * take it all.
 *
 * Any thread may call these; they wait for nothing.
 */
#ifndef CHARGE_H
#define CHARGE_H

#include <sys/types.h>

#include "fs/base/fs.h"

/* The bounds for all users together. */

/* Staged vectors: far more than any tool has open; a bound all the same. */
#define STAGES_MAX 16384u
#define STAGE_BYTES_MAX (UINT64_C(512) << 20)
/* More would be a mistake of the caller: a tool has one or a few at a time. */
#define SCRATCH_FILES_MAX 16384u
#define SCRATCH_BYTES_MAX (UINT64_C(256) << 20)
/* What all open views hold in memory. */
#define VIEW_BYTES_MAX (UINT64_C(256) << 20)
/* Copies of IDs for listings; they are shared, so that there is more than one only where vectors
 * come and go. In a large store one copy may be more than all that: there are 16 all the same, and
 * 4 for each user. */
#define LISTING_BYTES_MAX (UINT64_C(1) << 30)
#define LISTING_COPIES_MIN 16u
#define LISTING_COPIES_OF_USER_MIN 4u

/* What open files of control/ hold: the largest, stats and metrics, a few KiB each. */
#define CONTROL_BYTES_MAX (UINT64_C(64) << 20)

/* Where a store lies elsewhere each open file holds the version that it reads: 85,000 of 3,072 bytes
 * for each user. */
#define OPEN_BYTES_MAX (UINT64_C(1) << 30)

/* Questions and answers of open files, and what making an answer takes: 128 MiB for each user. */
#define QUESTION_BYTES_MAX (UINT64_C(512) << 20)

enum charge_kind {
	CHARGE_STAGES,
	CHARGE_STAGE_BYTES,
	CHARGE_SCRATCH_FILES,
	CHARGE_SCRATCH_BYTES,
	CHARGE_VIEW_BYTES,
	CHARGE_LISTING_BYTES,
	CHARGE_CONTROL_BYTES,
	CHARGE_OPEN_BYTES,
	CHARGE_QUESTION_BYTES,
	CHARGE_KINDS,
};

int charges_new(struct charges **charges); /* -ENOMEM */
void charges_free(struct charges *charges); /* NULL is allowed */

/* Take so much for `uid`. -EDQUOT: more than his share; -ENOSPC: more than there is; -ENOMEM. */
int charge_take(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount);
/* Whether it fits now; and take it even so, where somebody else has been quicker since. -ENOMEM. */
bool charge_fits(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount);
int charge_take_anyway(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount);
/* Give it back. */
void charge_give(struct fs *fs, enum charge_kind kind, uid_t uid, uint64_t amount);

/* A line of control/errors that says which bound `what` has met, where charge_take has answered -EDQUOT
 * or -ENOSPC; returns err. */
int charge_refuse(struct fs *fs, const char *what, enum charge_kind kind, uid_t uid,
                  uint64_t amount, int err);

/* How much is taken, and how much by the user who has most. */
void charge_sums(struct fs *fs, enum charge_kind kind, uint64_t *whole, uint64_t *user_max);

#endif
