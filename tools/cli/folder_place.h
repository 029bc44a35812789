/*
 * folder_place.h - where a folder of vectors lies.
 */
#ifndef FOLDER_PLACE_H
#define FOLDER_PLACE_H

#include "tools/cli/session.h"

/*
 * Open the folder at `path`, whose files are to be compared with the vectors of the session. Of a
 * mount of quiverfs that is its folder of vectors. *fd is the caller's to close. -EINVAL it is in
 * the mount or the store of the session itself, or is a store; errors of openat(2); all after having
 * said what is wrong.
 */
int folder_place_open(const char *path, struct session *session, int *fd);

#endif
