/*
 * control_store.h - what writing to the files of control/ does. Internal to control.
 */
#ifndef CONTROL_STORE_H
#define CONTROL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "fs/base/attempt.h"
#include "fs/base/fs.h"

/* One write(2), on its way. */
struct control_write {
	struct attempt attempt; /* with what was written */
	const struct control_file *file;
	const char *name;
	uid_t uid; /* of the writer */
	gid_t gid;
	mode_t umask;
	bool sync; /* the handle is O_SYNC or O_DSYNC */
	bool by_worker; /* it is worked on by one, not by the handler */
};

/*
 * Each takes one whole value: 0, or the errno of the write(2). A value that makes
 * no sense is -EINVAL and has been reported. Which of them wait for the disk is in
 * the table of control.c. What may be done by either there: -EAGAIN to the handler, a worker is to
 * do it, and nothing has changed.
 */
typedef int control_store_fn(struct control_write *write);

control_store_fn store_flush, store_checkpoint, store_compact, store_verify, store_durability,
	store_reserve, store_autocompact_percent, store_errors, store_label, store_metric;
control_store_fn store_put; /* control_put.c */
control_store_fn store_nearest_index; /* nearest_index.c */

#endif
