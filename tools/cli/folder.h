/*
 * folder.h - a folder of files, one a vector: what import and export are asked to do with it.
 */
#ifndef FOLDER_H
#define FOLDER_H

#include <argp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than a person types. */
#define FOLDER_EXCLUDES_MAX 64u
/* Room for the name of a vector's file, "ID.npy". */
#define FOLDER_NAME_BYTES 32u

/* As rsync(1) calls them. */
struct folder_options {
	bool update; /* only what differs in mtime, mode, owner or size */
	bool remove; /* --delete: what is on the other side alone goes */
	bool dry_run; /* tell what would be done, and do nothing */
	const char *excludes[FOLDER_EXCLUDES_MAX]; /* patterns of names, of fnmatch(3) */
	size_t excludes_count;
};

/* Take the value of an --exclude; `to` is a struct folder_options. */
error_t folder_take_exclude(void *to, char *text, const struct argp_state *state);
/* Whether a name is excluded. */
bool folder_is_excluded(const struct folder_options *options, const char *name);
/* An option that was given and goes with a folder alone; NULL where there is none. */
const char *folder_option_given(const struct folder_options *options);
/* Whether "dir" or "folder" is asked for as a format. */
bool folder_is_format(const char *name);
/* Whether there is a folder at `path`. */
bool folder_is_at(const char *path);

/* Files that cannot be taken, each of which is told until they are too many. */
struct folder_trouble {
	const char *path; /* of the folder */
	pthread_mutex_t lock;
	uint64_t count; /* lock */
};

void folder_trouble_start(struct folder_trouble *trouble, const char *path);
/* File `name` cannot be taken: say why. Any thread. */
void folder_trouble_say(struct folder_trouble *trouble, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same of one that cannot be read: a negative errno. */
void folder_trouble_unread(struct folder_trouble *trouble, const char *name, int result);
/* All are told of, or how many there were besides. How many there are. */
uint64_t folder_trouble_end(struct folder_trouble *trouble);

#endif
