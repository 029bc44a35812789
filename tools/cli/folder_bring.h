/*
 * folder_bring.h - the files of a folder become vectors, by several threads.
 */
#ifndef FOLDER_BRING_H
#define FOLDER_BRING_H

#include "engine/codec/element.h"
#include "tools/cli/existing.h"
#include "tools/cli/file_attr.h"
#include "tools/cli/flusher.h"
#include "tools/cli/folder.h"
#include "tools/cli/folder_list.h"
#include "tools/cli/progress.h"
#include "tools/cli/session.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is asked for. */
struct folder_import {
	const char *target; /* STORE or MNT */
	const struct reach *reach;
	const char *path; /* of the folder */
	const struct folder_options *options;
	enum existing_mode on_duplicate;
	bool reject_nonfinite;
};

/* What became of files. */
struct bring_counts {
	uint64_t imported;
	uint64_t same; /* --update: nothing differs */
	uint64_t skipped; /* --on-duplicate=skip: the vector exists */
	uint64_t gone; /* they went away meanwhile */
};

/* What the threads share. */
struct bring {
	const struct folder_import *wanted;
	struct session *session;
	size_t taken_at_once; /* files that a worker takes at a time */
	int folder_fd;
	int vectors_fd; /* of a live mount */
	enum element type;
	struct file_rights rights;
	struct folder_list list;
	struct folder_trouble trouble;
	struct flusher flusher;
	pthread_mutex_t lock;
	size_t next; /* lock; the first file that no thread has taken */
	uint64_t ended; /* lock; files that were dealt with */
	struct bring_counts counts; /* lock */
	struct progress progress; /* lock */
	int result; /* lock; of what ended it */
};

/* Bring the files of the list, until the end, an error or a signal. 0, or a negative errno after
 * having said what is wrong; files that could not be taken are trouble, and no error. */
int bring_files(struct bring *bring);

#endif
