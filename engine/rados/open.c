/* Opening and closing a collection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/error.h"
#include "engine/rados/collection.h"
#include "engine/rados/directory.h"
#include "engine/rados/failure.h"
#include "engine/rados/header_read.h"
#include "engine/rados/keeper.h"
#include "engine/rados/verify.h"
#include "engine/rados/watch.h"

/* What is to be returned where the header could not be read, for the reason `r`. */
static int refuse_header(const char *path, const struct collection *collection, int r,
                         struct quiver_error *error)
{
	const struct target *target = &collection->connection.target;
	const char *object = collection->header_name;
	/* Who may not even read is told all that he needs, not one cap after the other. */
	bool needs_rw = !collection->read_only && (r == -EPERM || r == -EACCES);
	char why[REPORT_LINE_BYTES];

	switch (r) {
	case -ENOENT:
		error_set(error,
		          "%s: there is no such collection; `quiverfs list rados:%s%s%s` lists the "
		          "collections, `quiverfs create` makes one",
		          path, target->pool, target->space[0] ? "/" : "", target->space);
		return r;
	case -EINVAL:
		error_set(error, "%s: the object %s is not the header of a collection", path,
		          object);
		return r;
	case -EUCLEAN:
		error_set(error,
		          "%s: the header of the collection, the object %s, is damaged: its "
		          "checksum does not match, or its values are impossible",
		          path, object);
		return r;
	case -ENOTSUP:
		error_set(error, "%s: a newer quiverfs made it; this version is too old to open it",
		          path);
		return r;
	default:
		failure_explain(&collection->connection, r, needs_rw, why, sizeof(why));
		error_set(error, "%s: cannot read the object %s: %s", path, object, why);
		return failure_errno(r, false);
	}
}

/* Whether it may be opened to write. */
static int check_writable(const char *path, const struct collection *collection,
                          const struct collection_header *header, struct quiver_error *error)
{
	char why[REPORT_LINE_BYTES];
	int r;

	if (header->features_to_change != 0) {
		error_set(error,
		          "%s: a newer quiverfs made it, and this version may only read it; open "
		          "it read-only (-o ro), or use the newer version",
		          path);
		return -ENOTSUP;
	}
	r = header_try(io_of(collection), collection->header_name);
	if (r == 0)
		return 0;
	failure_explain(&collection->connection, r, true, why, sizeof(why));
	if (r == -EPERM || r == -EACCES) {
		error_set(error, "%s: %s; or open it read-only (-o ro)", path, why);
		return -EPERM;
	}
	error_set(error, "%s: %s", path, why);
	return failure_errno(r, false);
}

static int take_header(const char *path, struct collection *collection, struct quiver_error *error)
{
	struct found_header found;
	int r;

	layout_header_name(collection->connection.target.name, collection->header_name);
	r = header_fetch(io_of(collection), collection->header_name, &found);
	if (r != 0)
		return refuse_header(path, collection, r, error);
	collection->geometry = found.header.geometry;
	collection->layout = found.header.layout;
	collection->mark = row_collection(collection->geometry.uuid);
	directory_know(collection, &found);
	if (getrandom(&collection->client, sizeof(collection->client), 0) !=
	    sizeof(collection->client))
		return -EIO;
	return collection->read_only ? 0 : check_writable(path, collection, &found.header, error);
}

static struct collection *collection_new(const struct quiver_options *options)
{
	struct collection *collection = calloc(1, sizeof(*collection));

	if (!collection)
		return NULL;
	if (report_init(&collection->report, options->on_report, options->on_report_arg) != 0) {
		free(collection);
		return NULL;
	}
	collection->read_only = options->read_only;
	atomic_init(&collection->finds_new, true);
	collection->head = (struct quiver_head){
		.capabilities = QUIVER_HAS_VERIFY,
		.geometry = &collection->geometry,
		.report = &collection->report,
	};
	(void)pthread_mutex_init(&collection->directory.lock, NULL); /* never fails on Linux */
	(void)pthread_mutex_init(&collection->failures.lock, NULL);
	(void)pthread_mutex_init(&collection->hints.lock, NULL);
	(void)pthread_mutex_init(&collection->space.lock, NULL);
	verify_init(collection);
	keeper_init(collection);
	return collection;
}

static void collection_free(struct collection *collection)
{
	keeper_destroy(collection);
	verify_destroy(collection);
	(void)pthread_mutex_destroy(&collection->space.lock);
	(void)pthread_mutex_destroy(&collection->hints.lock);
	(void)pthread_mutex_destroy(&collection->failures.lock);
	(void)pthread_mutex_destroy(&collection->directory.lock);
	report_destroy(&collection->report);
	free(collection);
}

int collection_open(const char *path, const struct quiver_options *options, struct collection **out,
                    struct quiver_error *error)
{
	struct collection *collection = collection_new(options);
	int r;

	*out = NULL;
	if (!collection)
		return -ENOMEM;
	r = connection_open(path, false, options->access, &collection->connection, error);
	if (r != 0) {
		collection_free(collection);
		return r;
	}
	r = take_header(path, collection, error);
	if (r == 0) {
		watch_start(collection);
		r = keeper_start(collection);
	}
	if (r != 0)
		(void)collection_close(collection); /* what failed first is the reason */
	else
		*out = collection;
	return r;
}

int collection_close(struct collection *collection)
{
	verify_end(collection);
	keeper_stop(collection);
	watch_stop(collection);
	if (!connection_close(&collection->connection)) {
		report_add(&collection->report,
		           "the cluster does not answer; it could not be told that this client is "
		           "gone, and will find out by itself");
		/* Not freed: librados may still call. */
		return -ETIMEDOUT;
	}
	collection_free(collection);
	return 0;
}
