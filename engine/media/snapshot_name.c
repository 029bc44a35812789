/* Names of snapshots. */
#include "engine/quiver.h"

#include <string.h>

bool quiver_snapshot_name_is_valid(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._:-";
	size_t length = strlen(name);

	return length > 0 && length <= QUIVER_SNAPSHOT_NAME_MAX && name[0] != '.' &&
	       name[strspn(name, allowed)] == '\0';
}
