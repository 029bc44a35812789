/* passthrough.c - whether reads and maps of matrix.npy and ids.npy go to the store's own files. */
#include "fs/base/passthrough.h"

bool passthrough_is_used(const struct fs *fs)
{
	return fs->passthrough_ok && !fs->no_open && atomic_load(&fs->passthrough_error) == 0;
}

const char *passthrough_reason(const struct fs *fs)
{
	if (fs->no_open)
		return "a read-only mount opens files without asking";
	if (!fs->passthrough)
		return "only a mount by root may use it (CAP_SYS_ADMIN)";
	if (!fs->passthrough_ok)
		return "this kernel has no FUSE passthrough (needs Linux 6.9)";
	if (atomic_load(&fs->passthrough_error) != 0)
		return quiver_strerror(atomic_load(&fs->passthrough_error));
	return "the kernel allows it";
}
