/*
 * snapshot_oracle.h - what a snapshot must have, and whether it has that, read from the files alone.
 */
#ifndef SNAPSHOT_ORACLE_H
#define SNAPSHOT_ORACLE_H

#include "engine/recovery/snapshot_scan.h"
#include "store_test.h"

#define MOMENT_IDS 24u

/* The vectors of one moment. */
struct moment {
	uint64_t version[MOMENT_IDS]; /* of each ID; 0: there is none */
	uint64_t was[MOMENT_IDS]; /* ID that its bytes are of: a rename takes them along */
	uint16_t mode[MOMENT_IDS];
};

static inline uint64_t moment_count(const struct moment *moment)
{
	uint64_t count = 0;

	for (uint64_t id = 0; id < MOMENT_IDS; id++)
		count += moment->version[id] != 0;
	return count;
}

/* NULL where a snapshot has that, or why not; -ENOENT in *r where it is not there. */
static inline const char *snapshot_differs(const struct store_dir *s, const char *name,
                                           const struct moment *moment, int *r)
{
	static char why[600];
	struct snapshot_row rows[MOMENT_IDS + 1];
	struct moment found = { { 0 } };
	struct snapshot_scan *scan = NULL;
	struct quiver_error error = { "" };
	uint8_t bytes[STORE_BYTES_MAX];
	uint64_t next = 0, count = 0;
	int64_t n;

	*r = snapshot_scan_open(s->path, name, NULL, &scan, &error);
	if (*r) {
		snprintf(why, sizeof(why), "%s: cannot be opened: %s", name, error.text);
		return why;
	}
	why[0] = '\0';
	while ((n = snapshot_scan_read(scan, &next, rows, MOMENT_IDS, &error)) > 0) {
		for (int64_t i = 0; i < n; i++) {
			uint64_t id = rows[i].id;

			count++;
			if (id >= MOMENT_IDS || found.version[id] != 0) {
				snprintf(why, sizeof(why), "%s: vector %" PRIu64 " twice, or none",
				         name, id);
				goto out;
			}
			if (snapshot_scan_vector(scan, &rows[i], bytes, &error) != 0) {
				snprintf(why, sizeof(why), "%s: vector %" PRIu64 ": %s", name, id,
				         error.text);
				goto out;
			}
			found.version[id] = vector_version(bytes, s->n, moment->was[id]);
			found.mode[id] = rows[i].row.attr.mode;
		}
	}
	if (n < 0 || snapshot_scan_whole(scan, count, &error) != 0) {
		snprintf(why, sizeof(why), "%s: %s", name, error.text);
		goto out;
	}
	for (uint64_t id = 0; id < MOMENT_IDS; id++)
		if (found.version[id] != moment->version[id] ||
		    (found.version[id] != 0 && found.mode[id] != moment->mode[id])) {
			snprintf(why, sizeof(why),
			         "%s: vector %" PRIu64 ": version %" PRIu64
			         ", mode %o expected, %" PRIu64 ", %o found",
			         name, id, moment->version[id], moment->mode[id], found.version[id],
			         found.mode[id]);
			break;
		}
out:
	snapshot_scan_close(scan);
	return why[0] ? why : NULL;
}

static inline void snapshot_is(const struct store_dir *s, const char *name,
                               const struct moment *moment)
{
	int r;
	const char *why = snapshot_differs(s, name, moment, &r);

	if (why)
		fail_msg("%s", why);
}

#endif
