/* caller.c - for whom a thread works. */
#include "fs/base/caller.h"

_Thread_local uid_t caller_uid = CALLER_NOBODY;
