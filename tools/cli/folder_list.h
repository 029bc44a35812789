/*
 * folder_list.h - which files of a folder are vectors.
 */
#ifndef FOLDER_LIST_H
#define FOLDER_LIST_H

#include "tools/cli/folder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file: 16 bytes of memory each. */
struct folder_entry {
	uint64_t id;
	uint64_t is_npy : 1; /* ID.npy */
	uint64_t is_missed : 1; /* it was no vector, or went away; of who brings it */
	uint64_t inode : 62; /* where it lies, about */
};

struct folder_list {
	struct folder_entry *entries;
	size_t count;
	size_t room;
	size_t npy; /* of them ID.npy */
	uint64_t hidden; /* names that begin with a dot, which were passed over */
	uint64_t excluded;
};

/*
 * List the files in the folder whose names are IDs, or IDs and .npy, in the order in which they
 * lie on the disk. Of others trouble is told, but for hidden and excluded ones. 0, to be given back
 * with folder_list_free; -EEXIST both ID and ID.npy are there; -EINTR after a signal; errors of
 * reading the folder; all after having said what is wrong.
 */
int folder_list_read(int folder_fd, const struct folder_options *options,
                     struct folder_trouble *trouble, struct folder_list *list);
void folder_list_free(struct folder_list *list);

/* Put them into the order of their IDs. */
void folder_list_sort(struct folder_list *list);

/* The name of an entry's file. */
void folder_entry_name(const struct folder_entry *entry, char name[FOLDER_NAME_BYTES]);

#endif
