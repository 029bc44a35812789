/*
 * folder_carry.h - vectors become the files of a folder, by several threads.
 */
#ifndef FOLDER_CARRY_H
#define FOLDER_CARRY_H

#include "tools/cli/file_attr.h"
#include "tools/cli/folder.h"
#include "tools/cli/progress.h"
#include "tools/cli/session.h"
#include "tools/cli/vectors.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is asked for. */
struct folder_export {
	const char *target; /* STORE or MNT */
	const struct reach *reach;
	const char *path; /* of the folder */
	const struct folder_options *options;
};

/* What became of vectors. */
struct carry_counts {
	uint64_t exported;
	uint64_t same; /* --update: nothing differs */
	uint64_t gone; /* they were removed meanwhile */
};

/* What the threads share. */
struct carry {
	const struct folder_export *wanted;
	struct session *session;
	int folder_fd; /* -1 where --dry-run finds none */
	int vectors_fd; /* of a live mount */
	struct file_rights rights;
	struct vectors_list list;
	struct folder_trouble trouble;
	pthread_mutex_t lock;
	size_t next; /* lock; the first vector that no thread has taken */
	struct carry_counts counts; /* lock */
	struct progress progress; /* lock */
	int result; /* lock; of what ended it */
};

/* Write the vectors of the list, until the end, an error or a signal. 0, or a negative errno after
 * having said what is wrong; what could not be written for a reason of its own is trouble, and no
 * error. */
int carry_vectors(struct carry *carry);

#endif
