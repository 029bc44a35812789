/*
 * receive_place.h - the folder of a store that a stream makes: under another name until it is whole.
 */
#ifndef QUIVER_RECEIVE_PLACE_H
#define QUIVER_RECEIVE_PLACE_H

#include <limits.h>

#include "engine/disk/io.h"
#include "engine/quiver.h"

enum receive_place {
	RECEIVE_PLACE_FREE, /* nothing is there, or an empty folder */
	RECEIVE_PLACE_FOLDER, /* a folder with something in it */
	RECEIVE_PLACE_OTHER, /* something else, a link that leads nowhere, too */
};

/* What is at `path`. 0 or -errno. */
int receive_place_look(const struct quiver_io *io, const char *path, enum receive_place *place);
/* The name until then. 0, -ENAMETOOLONG. */
int receive_place_half(const char *path, char half[PATH_MAX]);
/* The same of what is half, which has to be a folder of the caller's: where others may write, one of them
 * may have put there what he likes. -EEXIST it is something else; `error` tells. */
int receive_place_look_half(const struct quiver_io *io, const char *half, enum receive_place *place,
                            struct quiver_error *error);
/* Whether what is in the folder `half` is what an interrupted quiver_create leaves, and nothing else. 1, 0
 * or -errno. */
int receive_place_is_begun(const struct quiver_io *io, const char *half);
/* Give the folder `half` the name `path`, durably. 0 or -errno. */
int receive_place_end(const struct quiver_io *io, const char *path, const char *half);
/* Remove the store in the folder `half` that nobody has open: what belongs to a store, and the
 * folder. `error` tells what is left. 0 or -errno. */
int receive_place_remove(const struct quiver_io *io, const char *half, struct quiver_error *error);

#endif
