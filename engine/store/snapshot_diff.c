/* What differs between two snapshots, for people and programs. */
#include <stdlib.h>

#include "engine/base/culprit.h"
#include "engine/quiver.h"
#include "engine/recovery/snapshot_changes.h"

int quiver_snapshot_diff(const char *path, const char *older, const char *newer,
                         int (*each)(void *arg, uint64_t id, enum quiver_change change), void *arg,
                         struct quiver_error *error)
{
	struct snapshot_scan *was = NULL, *is = NULL;
	struct snapshot_change *changes = NULL;
	size_t count = 0;
	int r;

	culprit_forget();
	if (error)
		error->text[0] = '\0';
	r = snapshot_scan_open(path, newer, NULL, &is, error);
	if (r == 0 && older)
		r = snapshot_scan_open(path, older, NULL, &was, error);
	if (r == 0)
		r = snapshot_changes(was, is, &changes, &count, error);
	snapshot_scan_close(was);
	snapshot_scan_close(is);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = each(arg, changes[i].id, (enum quiver_change)changes[i].change);
	free(changes);
	return r;
}
