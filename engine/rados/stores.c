#include "engine/rados/stores.h"

#include <errno.h>
#include <string.h>

#include "engine/base/error.h"
#include "engine/rados/failure.h"
#include "engine/rados/header_read.h"
#include "engine/rados/scan.h"

static int tell_all(struct connection *connection, void (*found)(void *arg, const char *name),
                    void *arg)
{
	struct scan *scan;
	struct found_header header;
	struct scan_item item;
	int r = scan_begin(connection, NULL, &scan);

	if (r != 0)
		return r;
	while ((r = scan_next(scan, true, &item)) == 1) {
		if (item.what != LAYOUT_HEADER)
			continue;
		/* One that cannot be read now, or is damaged, is one all the same. */
		r = header_fetch(connection->io, item.name, &header);
		if (r == -EINTR || r == -ETIMEDOUT || r == -ENOMEM)
			break;
		if (r != -EINVAL && r != -ENOENT) {
			item.name[item.collection_bytes] = '\0';
			found(arg, item.name);
		}
	}
	scan_end(scan);
	return r;
}

int stores_list(const char *place, const char *access, void (*found)(void *arg, const char *name),
                void *arg, struct quiver_error *error)
{
	struct connection connection;
	char why[REPORT_LINE_BYTES];
	int r = connection_open(place, true, access, &connection, error);

	if (r != 0)
		return r;
	r = tell_all(&connection, found, arg);
	if (r != 0) {
		failure_explain(&connection, r, false, why, sizeof(why));
		error_set(error, "%s: the collections cannot be listed: %s", place, why);
		r = failure_errno(r, false);
	}
	/* Where the cluster hangs now, that says nothing of what was found. */
	(void)connection_close(&connection);
	return r;
}
