/*
 * new_store.h - a store that a command makes, and takes away again where nothing came into it.
 */
#ifndef NEW_STORE_H
#define NEW_STORE_H

#include "engine/quiver.h"
#include "tools/cli/reach.h"

#include <stdbool.h>

/* Make an empty store. Errors of quiver_create_with, after having said what is wrong. */
int new_store_make(const char *store, const struct quiver_geometry *geometry,
                   const struct quiver_description *description,
                   const struct quiver_create_options *options);

/* Whether there is nothing at `store`, or an empty folder on which nothing is mounted: a store for a file
 * can be made here. Of a collection in a cluster, and of a name of a snapshot, it is false. */
bool new_store_is_free(const char *store);

/* Whether one cannot be made here all the same: what it is to be in is not there, or is a mount, or the
 * empty folder is one that /etc/fstab mounts something on. Says so. */
bool new_store_say_unfit(const char *store);

/* Take a store away again that this process has made at the absolute path `store`, with the folder where
 * `with_folder` says that it made that, too; unless there is a vector in it by now, or somebody has it
 * open. Nothing is said; whether it is gone. */
bool new_store_unmake(const char *store, bool with_folder);

#endif
