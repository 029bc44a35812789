/*
 * options.h - the -o options of a mount.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/quiver.h"

enum io_uring_wish {
	IO_URING_AUTO, /* where the kernel allows it */
	IO_URING_ON, /* or the mount fails */
	IO_URING_OFF,
};

struct mount_options {
	bool read_only;
	const char
		*of_changes; /* the last option that only tells how changes are made; NULL: none */
	bool allow_other;
	/* The option was given. */
	bool set_uid, set_gid, set_umask, set_matrix_mode, set_durability;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	mode_t matrix_mode;
	enum quiver_durability durability;
	uint32_t commit_interval_ms;
	uint32_t autocompact_percent;
	enum io_uring_wish io_uring;
	char *pass; /* generic options that the kernel is to see, joined with
	               commas and escaped for libfuse; NULL where there are none;
	               freed by mount_options_free */
	char *access; /* how a store elsewhere is reached, as struct quiver_options has it, with
	                 absolute paths; NULL where nothing of it is given; freed so, too */
};

/* Longest option list taken. */
#define MOUNT_OPTIONS_BYTES_MAX 4096

/*
 * Parse a list as mount(8) and -o give it ("ro,uid=1000"); NULL and "" are the
 * defaults. Of an option given twice the last counts. *options is to be given
 * to mount_options_free afterwards, also where this fails.
 * -EINVAL an option that is unknown or has a bad value: error says which;
 * -ENOMEM. Any thread; no locks.
 */
int mount_options_parse(const char *text, struct mount_options *options,
                        struct quiver_error *error);
void mount_options_free(struct mount_options *options);

#endif
