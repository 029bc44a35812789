#include "engine/rados/destroy.h"

#include <errno.h>
#include <stdio.h>

#include "engine/base/error.h"
#include "engine/rados/failure.h"
#include "engine/rados/flight.h"
#include "engine/rados/header.h"
#include "engine/rados/sweep.h"

/* The header changes for its own reasons, as that a directory's times have moved. */
#define ATTEMPTS_MAX 100u
/* An OSD and all who have it open can be reached and back in a fraction of that. */
#define WARN_MS 2000u

/* As it is, also where it is damaged. 0, -ENOENT; -EINVAL it is none, -ENOTSUP a newer program made
 * it; errors of a flight. */
static int see_header(const struct connection *connection, const char *name, struct flight **out)
{
	struct collection_header header;
	struct flight *flight = flight_to_read();
	int r = flight ? flight_room(flight, COLLECTION_HEADER_BYTES) : -ENOMEM;

	*out = NULL;
	if (r == 0) {
		rados_read_op_read(flight->read, 0, COLLECTION_HEADER_BYTES, (char *)flight->bytes,
		                   &flight->bytes_read, &flight->bytes_result);
		r = flight_fly(connection->io, flight, name);
	}
	if (r == 0) {
		r = collection_header_decode(flight->bytes, flight->bytes_read, &header);
		r = r == -EUCLEAN ? 0 : r;
	}
	if (r != 0)
		flight_free(flight);
	else
		*out = flight;
	return r;
}

/* Who has it open is told that it may be gone before it is, and asks the header from then on where he
 * finds nothing: else the break of his watch could come to him behind the answer of another OSD that
 * an object is not there. Who does not hear is not waited for for long. */
static void warn(const struct connection *connection, const char *name)
{
	rados_completion_t completion;
	struct flight *flight = flight_to_read();
	int r = flight ? flight_ready(connection->io, flight, &completion) : -ENOMEM;

	if (r == 0) {
		r = rados_aio_notify(connection->io, name, completion, "", 0, WARN_MS, NULL, NULL);
		if (r == 0)
			(void)flight_wait(flight, 2 * WARN_MS); /* removed all the same */
		else
			flight_grounded(flight);
	}
	flight_free(flight);
}

/* Unless it is another by now: -ECANCELED. */
static int remove_header(const struct connection *connection, const char *name,
                         const struct flight *seen)
{
	struct flight *flight = flight_to_write();
	int r;

	if (!flight)
		return -ENOMEM;
	if (seen->bytes_read > 0)
		rados_write_op_cmpext(flight->write, (const char *)seen->bytes, seen->bytes_read, 0,
		                      &flight->bytes_result);
	rados_write_op_remove(flight->write);
	r = flight_fly(connection->io, flight, name);
	flight_free(flight);
	/* Where the bytes are others librados returns -4095 less the place of the first. */
	return r <= -4095 ? -ECANCELED : r;
}

/* 0; -ENOENT there is none. */
static int take_header_away(const struct connection *connection)
{
	char name[OBJECT_NAME_BYTES];
	struct flight *seen;
	int r = -ECANCELED;

	layout_header_name(connection->target.name, name);
	for (unsigned i = 0; r == -ECANCELED && i < ATTEMPTS_MAX; i++) {
		r = see_header(connection, name, &seen);
		if (r == 0 && i == 0)
			warn(connection, name);
		if (r == 0) {
			r = remove_header(connection, name, seen);
			flight_free(seen);
		}
	}
	return r == -ECANCELED ? -EBUSY : r;
}

/* What is to be returned where it has come to its end with `r`. */
static int refuse(const char *path, const struct connection *connection, int r, bool has_begun,
                  struct quiver_error *error)
{
	char why[REPORT_LINE_BYTES];

	if (r == -ENOTSUP) {
		error_set(error, "%s: a newer quiverfs made it; use that version to remove it",
		          path);
		return r;
	}
	if (r == -EINVAL) {
		error_set(error,
		          "%s: the object %s.header is not the header of a collection; another "
		          "program made it; nothing is removed",
		          path, connection->target.name);
		return r;
	}
	if (r == -EBUSY) {
		error_set(error, "%s: other clients keep changing it; stop them first", path);
		return r;
	}
	failure_explain(connection, r, true, why, sizeof(why));
	if (has_begun)
		error_set(error, "%s: some of it is left; remove it again: %s", path, why);
	else
		error_set(error, "%s: it cannot be removed: %s", path, why);
	return r == -EPERM || r == -EACCES ? r : failure_errno(r, true);
}

static int destroy(const char *path, struct connection *connection, struct quiver_error *error)
{
	uint64_t removed;
	int r = take_header_away(connection);
	bool is_headless = r == -ENOENT;

	if (r != 0 && !is_headless)
		return refuse(path, connection, r, false, error);
	r = sweep(connection, &removed);
	if (r != 0)
		return refuse(path, connection, r, true, error);
	if (is_headless && removed == 0) {
		error_set(error, "%s: there is no such collection, and no remains of one", path);
		return -ENOENT;
	}
	return 0;
}

int collection_destroy(const char *path, const char *access, struct quiver_error *error)
{
	struct connection connection;
	int r = connection_open(path, false, access, &connection, error);

	if (r != 0)
		return r;
	r = destroy(path, &connection, error);
	/* Where the cluster hangs now, that says nothing of what has been removed. */
	(void)connection_close(&connection);
	return r;
}
