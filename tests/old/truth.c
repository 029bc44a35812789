#include "truth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store/store.h"
#include "tests/common/listed.h"

#define VECTOR_BYTES_MAX 4096u /* of a kept store; far fewer, in truth */
#define LINE_BYTES 256

static void die(const char *path, const char *what)
{
	fprintf(stderr, "%s: %s\n", path, what);
	abort();
}

static enum quiver_dtype dtype_of(const char *name)
{
	static const char *const names[] = {
		[QUIVER_F4] = "f4", [QUIVER_F2] = "f2", [QUIVER_F8] = "f8",
		[QUIVER_I1] = "i1", [QUIVER_U1] = "u1",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return (enum quiver_dtype)i;
	die(name, "is no dtype");
	return QUIVER_F4;
}

/* "MODE UID GID MTIME"; the ctime of all that is of version 1 is its mtime. */
static bool read_attr(const char *from, struct quiver_attr *attr)
{
	unsigned mode;

	if (sscanf(from, "%o %" SCNu32 " %" SCNu32 " %" SCNd64, &mode, &attr->uid, &attr->gid,
	           &attr->mtime_ns) != 4)
		return false;
	attr->mode = (uint16_t)mode;
	attr->ctime_ns = attr->mtime_ns;
	return true;
}

static struct truth_vector *add(struct truth *truth, uint64_t id)
{
	truth->vectors = realloc(truth->vectors, (truth->count + 1) * sizeof(*truth->vectors));
	if (!truth->vectors)
		abort();
	truth->vectors[truth->count] = (struct truth_vector){ .id = id };
	return &truth->vectors[truth->count++];
}

static bool read_vector(struct truth *truth, const char *line)
{
	struct truth_vector *vector;
	char hash[32];
	uint64_t id;
	int at = 0;

	if (sscanf(line, "vector %" SCNu64 " %*u %31s %n", &id, hash, &at) != 2 || at == 0)
		return false;
	vector = add(truth, id);
	vector->unreadable = strcmp(hash, "EIO") == 0;
	vector->hash = strtoull(hash, NULL, 16);
	truth->has_damage = truth->has_damage || vector->unreadable;
	return read_attr(line + at, &vector->attr);
}

static bool read_line(struct truth *truth, const char *line)
{
	char dtype[8];
	uint64_t id;

	if (strncmp(line, "vector ", 7) == 0)
		return read_vector(truth, line);
	if (strncmp(line, "folder ", 7) == 0)
		return read_attr(line + 7, &truth->dir);
	if (sscanf(line, "damaged %" SCNu64, &id) == 1) {
		add(truth, id)->damaged = true;
		truth->has_damage = truth->lacks_row = true;
		return true;
	}
	if (sscanf(line, "store %" SCNu32 " %7s", &truth->dim, dtype) == 2) {
		truth->dtype = dtype_of(dtype);
		return true;
	}
	truth->refused = strcmp(line, "refused\n") == 0;
	return truth->refused;
}

void truth_load(struct truth *truth, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[LINE_BYTES];

	memset(truth, 0, sizeof(*truth));
	if (!file)
		die(path, strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (!read_line(truth, line))
			die(path, line);
	if (fclose(file) != 0)
		die(path, strerror(errno));
}

void truth_free(struct truth *truth)
{
	free(truth->vectors);
}

bool truth_has(const struct truth *truth, uint64_t id)
{
	for (size_t i = 0; i < truth->count; i++)
		if (truth->vectors[i].id == id)
			return true;
	return false;
}

static uint64_t fnv1a(const uint8_t *bytes, size_t count)
{
	uint64_t found = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < count; i++)
		found = (found ^ bytes[i]) * UINT64_C(0x100000001b3);
	return found;
}

static bool same_attr(const struct quiver_attr *a, const struct quiver_attr *b)
{
	return a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns && a->uid == b->uid &&
	       a->gid == b->gid && a->mode == b->mode;
}

static const char *compare_vector(const struct truth *truth, const struct truth_vector *vector,
                                  struct quiver *store)
{
	uint8_t bytes[VECTOR_BYTES_MAX];
	struct quiver_attr attr;
	struct meta_row row;
	int r = quiver_get_copy(store, vector->id, bytes, NULL, NULL);

	if ((vector->damaged || vector->unreadable) && truth->repaired)
		return r == -ENOENT ? NULL : "is not gone";
	if (r != (vector->damaged || vector->unreadable ? -EIO : 0))
		return r ? strerror(-r) : "can be read";
	if (vector->damaged)
		return NULL;
	if (r == 0 && fnv1a(bytes, quiver_geometry(store)->vector_bytes) != vector->hash)
		return "other bytes";
	if (quiver_stat(store, vector->id, 0, &attr, NULL) != 0)
		return "no attributes";
	if (!same_attr(&attr, &vector->attr))
		return attr.ctime_ns != vector->attr.ctime_ns ? "another ctime"
		                                              : "other attributes";
	if (catalog_row(&store->catalog, index_find(&store->catalog.index, vector->id), vector->id,
	                &row) != 0)
		return "no row";
	if (store->superblock.now.version == QUIVER_FORMAT_VERSION &&
	    attr.ctime_ns > store->commits.ctime_max_ns)
		return "its ctime is above that which no row has";
	return row.attr_lsn == row.lsn ? NULL : "the LSN of the attributes is not that of the row";
}

static const char *compare_list(const struct truth *truth, struct quiver *store)
{
	struct listed list;
	size_t wanted = truth->count;
	const char *why = NULL;

	if (listed_all(store, &list) != 0)
		return "no list";
	for (size_t i = 0; i < truth->count; i++)
		wanted -= truth->vectors[i].damaged ||
		          (truth->repaired && truth->vectors[i].unreadable);
	if (list.count != wanted)
		why = "another number of vectors is listed";
	for (size_t i = 0; !why && i < list.count; i++)
		if (!truth_has(truth, list.ids[i]))
			why = "a vector is listed that never was";
	listed_free(&list);
	return why;
}

const char *truth_compare(const struct truth *truth, struct quiver *store, bool dir)
{
	static char text[128];
	struct quiver_attr attr;

	if (quiver_geometry(store)->dim != truth->dim ||
	    quiver_geometry(store)->dtype != truth->dtype)
		return "another dim or dtype";
	(void)quiver_dir_attr(store, 0, &attr); /* of a local folder: does not fail */
	if (dir && !same_attr(&attr, &truth->dir))
		return attr.ctime_ns != truth->dir.ctime_ns ? "another ctime of the folder"
		                                            : "other attributes of the folder";
	for (size_t i = 0; i < truth->count; i++) {
		const char *why = compare_vector(truth, &truth->vectors[i], store);

		if (!why)
			continue;
		(void)snprintf(text, sizeof(text), "vector %" PRIu64 ": %s", truth->vectors[i].id,
		               why);
		return text;
	}
	return compare_list(truth, store);
}
