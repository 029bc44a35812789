/* Paths that name a snapshot of a store. */
#include "engine/quiver.h"

#include <string.h>
#include <unistd.h>

bool quiver_is_snapshot(const char *path, size_t *store_length)
{
	const char *at = strrchr(path, '@');

	if (!quiver_is_folder(path) || !at || at == path ||
	    !quiver_snapshot_name_is_valid(at + 1) || access(path, F_OK) == 0)
		return false;
	*store_length = (size_t)(at - path);
	return true;
}
