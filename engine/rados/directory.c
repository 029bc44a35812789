#include "engine/rados/directory.h"

#include <errno.h>
#include <string.h>

#include "engine/base/description.h"
#include "engine/base/latency.h"
#include "engine/base/record_attr.h"
#include "engine/media/ctime.h"
#include "engine/rados/failure.h"
#include "engine/rados/flight.h"
#include "engine/rados/pause.h"

#define TELL_EVERY_NS (UINT64_C(1) * 1000000000)
/* A cluster that takes longer than a twentieth of that is asked more rarely. */
#define TELL_SHARE 20

/* ---- the times ---- */

/* As people see them: a vector that came or went after the last change of the attributes moves both
 * times. */
static struct quiver_attr attr_of(const struct collection_header *header, int64_t changed_ns)
{
	struct quiver_attr attr = header->dir;

	if (changed_ns > attr.ctime_ns) {
		attr.mtime_ns = changed_ns;
		attr.ctime_ns = changed_ns;
	}
	return attr;
}

static int64_t later(int64_t a_ns, int64_t b_ns)
{
	return a_ns > b_ns ? a_ns : b_ns;
}

/* What the header says is known from now on; the last change that anybody has told of. */
static int64_t learn(struct collection *collection, const struct found_header *found)
{
	struct directory *directory = &collection->directory;
	int64_t changed_ns;

	pthread_mutex_lock(&directory->lock);
	directory->header = found->header;
	directory->found_ns = found->changed_ns;
	changed_ns = later(found->changed_ns, directory->changed_ns);
	pthread_mutex_unlock(&directory->lock);
	return changed_ns;
}

void directory_know(struct collection *collection, const struct found_header *found)
{
	(void)learn(collection, found); /* nobody asks for a time yet */
}

void directory_changed(struct collection *collection)
{
	struct directory *directory = &collection->directory;
	int64_t now_ns = clock_realtime_ns();
	bool is_told;

	pthread_mutex_lock(&directory->lock);
	is_told = directory->changed_ns == directory->told_ns;
	/* Whoever has looked here sees that it has moved, also where a clock is behind another. */
	now_ns = ctime_after(later(directory->header.dir.ctime_ns, directory->found_ns), now_ns);
	directory->changed_ns = ctime_after(directory->changed_ns, now_ns);
	pthread_mutex_unlock(&directory->lock);
	if (is_told) /* else the keeper knows */
		collection_wake(collection);
}

/* 0, or until when nothing is to be told (CLOCK_MONOTONIC). */
static uint64_t to_tell(struct directory *directory, bool is_last, int64_t *changed_ns)
{
	uint64_t wait_ns = 0;

	pthread_mutex_lock(&directory->lock);
	*changed_ns = directory->changed_ns > directory->told_ns ? directory->changed_ns : 0;
	if (!is_last && *changed_ns && clock_monotonic_ns() < directory->tell_ns)
		wait_ns = directory->tell_ns;
	pthread_mutex_unlock(&directory->lock);
	return wait_ns;
}

uint64_t directory_keep(struct collection *collection, bool is_last)
{
	struct directory *directory = &collection->directory;
	int64_t changed_ns;
	uint64_t begun_ns = clock_monotonic_ns();
	uint64_t wait_ns = to_tell(directory, is_last, &changed_ns);
	uint64_t took_ns;
	int r;

	if (changed_ns == 0 || wait_ns != 0)
		return wait_ns;
	if (atomic_load(&collection->watch.state) >= WATCH_GONE)
		return 0; /* nobody is left to be told */
	r = header_touch(io_of(collection), collection->header_name, changed_ns);
	took_ns = (clock_monotonic_ns() - begun_ns) * TELL_SHARE;
	/* What fails is said where somebody asks; it is told again with what comes. */
	pthread_mutex_lock(&directory->lock);
	if (r == 0)
		directory->told_ns = later(directory->told_ns, changed_ns);
	directory->tell_ns = begun_ns + (took_ns > TELL_EVERY_NS ? took_ns : TELL_EVERY_NS);
	wait_ns = directory->changed_ns > directory->told_ns ? directory->tell_ns : 0;
	pthread_mutex_unlock(&directory->lock);
	return wait_ns;
}

/* ---- reading ---- */

static int fetch(struct collection *collection, struct found_header *found, int64_t *changed_ns)
{
	const char *name = collection->connection.target.name;
	int r = header_fetch(io_of(collection), collection->header_name, found);

	if (r == -EUCLEAN || r == -EINVAL || r == -ENOTSUP) {
		failure_say(collection,
		            "%s: the header of the collection, in the object %s, is damaged; "
		            "`quiverfs check` says more",
		            name, collection->header_name);
		return -EIO;
	}
	if (r == 0 && memcmp(found->header.geometry.uuid, collection->geometry.uuid,
	                     sizeof(collection->geometry.uuid)) != 0)
		r = -ENOENT; /* another collection has the name now */
	if (r == -ENOENT)
		atomic_store(&collection->watch.state, WATCH_GONE);
	if (r != 0)
		return failure_of(collection, r, false, "%s: its header cannot be read", name);
	*changed_ns = learn(collection, found);
	return 0;
}

int directory_attr(struct quiver *store, unsigned flags, struct quiver_attr *attr)
{
	struct collection *collection = collection_of(store);
	struct found_header found;
	int64_t changed_ns = 0;
	int r;

	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	r = fetch(collection, &found, &changed_ns);
	if (r == 0)
		*attr = attr_of(&found.header, changed_ns);
	return r;
}

void directory_describe(struct quiver *store, struct quiver_description *description)
{
	struct directory *directory = &collection_of(store)->directory;

	pthread_mutex_lock(&directory->lock);
	*description = directory->header.description;
	pthread_mutex_unlock(&directory->lock);
}

/* ---- changing ---- */

struct change { /* one of the three */
	const struct quiver_attr *attr;
	unsigned mask;
	const char *label;
	size_t label_bytes;
	const enum quiver_metric *metric;
};

static void make(const struct change *change, int64_t changed_ns, struct collection_header *header)
{
	struct quiver_description *description = &header->description;

	header->dir = attr_of(header, changed_ns);
	if (change->attr) {
		struct quiver_attr attr = *change->attr;

		record_attr_inherit(&attr, change->mask, &header->dir);
		attr.ctime_ns = ctime_after(header->dir.ctime_ns, clock_realtime_ns());
		attr.mode &= 07777;
		header->dir = attr;
	}
	if (change->label) {
		memset(description->label, 0, sizeof(description->label));
		memcpy(description->label, change->label, change->label_bytes);
	}
	if (change->metric)
		description->metric = *change->metric;
}

/* Until nobody else has changed the header between reading and writing it. */
static int apply(struct collection *collection, const struct change *change)
{
	struct pause pause = { 0 };
	struct found_header found;
	struct collection_header header;
	int64_t changed_ns = 0;
	int r;

	if (collection->read_only)
		return -EROFS;
	do {
		r = fetch(collection, &found, &changed_ns);
		if (r != 0)
			return r;
		header = found.header;
		make(change, changed_ns, &header);
		header.tag = collection_tag(collection);
		r = header_replace(io_of(collection), collection->header_name, &found, &header);
	} while (r == -ECANCELED && (r = pause_take(&pause)) == 0);
	if (r != 0)
		return failure_of(collection, r, true, "%s: its header cannot be changed",
		                  collection->connection.target.name);
	found.header = header;
	(void)learn(collection, &found); /* nobody asks for a time here */
	return 0;
}

int directory_set_attr(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
                       unsigned flags)
{
	const struct change change = { .attr = attr, .mask = mask };

	if (flags & QUIVER_NOWAIT)
		return -EAGAIN;
	return apply(collection_of(store), &change);
}

int directory_set_label(struct quiver *store, const char *text, size_t length)
{
	const struct change change = { .label = text, .label_bytes = length };

	if (length > QUIVER_LABEL_BYTES_MAX || !description_label_is_valid(text, length))
		return -EINVAL;
	return apply(collection_of(store), &change);
}

int directory_set_metric(struct quiver *store, enum quiver_metric metric)
{
	const struct change change = { .metric = &metric };

	if (!description_fits_metric(collection_of(store)->geometry.dtype, metric))
		return -EINVAL;
	return apply(collection_of(store), &change);
}
