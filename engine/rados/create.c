#include "engine/rados/create.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/latency.h"
#include "engine/rados/connection.h"
#include "engine/rados/failure.h"
#include "engine/rados/header_read.h"

static int make_header(const struct quiver_geometry *geometry,
                       const struct quiver_description *description,
                       const struct quiver_create_options *options,
                       struct collection_header *header)
{
	mode_t mask = umask(0);
	int64_t now_ns = clock_realtime_ns();

	(void)umask(mask);
	*header = (struct collection_header){
		.geometry = *geometry,
		.tag = { .counter = 1 },
		.dir = { .mtime_ns = now_ns,
		         .ctime_ns = now_ns,
		         .uid = geteuid(),
		         .gid = getegid(),
		         .mode = (uint16_t)(0777 & ~mask) },
		.description = *description,
	};
	layout_make(geometry->vector_bytes, options->sparse, &header->layout);
	if (getrandom(&header->tag.client, sizeof(header->tag.client), 0) !=
	    sizeof(header->tag.client))
		return -EIO;
	return 0;
}

/* Whether the object that is there is none of a collection, not even of a damaged one. */
static bool is_anothers(const struct connection *connection)
{
	char name[OBJECT_NAME_BYTES];
	struct found_header found;

	layout_header_name(connection->target.name, name);
	return header_fetch(connection->io, name, &found) == -EINVAL;
}

/* What is to be returned where the header could not be made, for the reason `r`. */
static int refuse(const char *path, const struct connection *connection, int r,
                  struct quiver_error *error)
{
	char why[REPORT_LINE_BYTES];

	if (r == -EEXIST && is_anothers(connection)) {
		const struct target *target = &connection->target;
		const char *space = target->space[0] ? " -N " : "";

		error_set(error,
		          "%s: the object %s.header exists, but another program made it; choose "
		          "another name, or look at the object: `rados -p %s%s%s get %s.header -`",
		          path, target->name, target->pool, space, target->space, target->name);
		return r;
	}
	if (r == -EEXIST) {
		error_set(error,
		          "%s: a collection of this name exists; choose another name, or remove "
		          "the collection with `quiverfs remove`",
		          path);
		return r;
	}
	if (r == -EOPNOTSUPP) {
		error_set(error,
		          "%s: the pool %s is erasure-coded, and such a pool cannot hold keys; "
		          "expected a replicated pool (`ceph osd pool create NAME`)",
		          path, connection->target.pool);
		return r;
	}
	failure_explain(connection, r, true, why, sizeof(why));
	error_set(error, "%s: cannot create the collection: %s", path, why);
	if (r == -ENOENT)
		return r; /* the pool has just been removed */
	return r == -EPERM || r == -EACCES ? r : failure_errno(r, true);
}

int collection_create(const char *path, const struct quiver_geometry *geometry,
                      const struct quiver_description *description,
                      const struct quiver_create_options *options, struct quiver_error *error)
{
	struct connection connection;
	struct collection_header header;
	char name[OBJECT_NAME_BYTES];
	int r = connection_open(path, false, options->access, &connection, error);

	if (r != 0)
		return r;
	layout_header_name(connection.target.name, name);
	r = make_header(geometry, description, options, &header);
	if (r == 0)
		r = header_create(connection.io, name, &header);
	if (r != 0)
		r = refuse(path, &connection, r, error);
	/* Where the cluster hangs now, that says nothing of what has been made. */
	(void)connection_close(&connection);
	return r;
}
