/* caller.c - for whom a thread works. */
#include "fs/base/caller.h"

#include "fs/base/fs.h"

_Thread_local uid_t caller_uid = CALLER_NOBODY;
_Thread_local struct fs *fs_visited;
