#include "engine/recovery/snapshot_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/xxh3.h"
#include "engine/disk/snapshot_files.h"
#include "engine/disk/superblock_file.h"
#include "engine/disk/versions_file.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row_codec.h"

/* Rows of the columns that are read at once: 256 KiB. */
#define SCAN_SLOTS 4096u
/* Records of `versions` that are read at once, since neighbours often ended together: 6 KiB. */
#define BLOCK_RECORDS 64u
/* The file of the superblock or of the versions may be just being written, or replaced by another:
 * each time that takes far less than the time for which so many looks go on. */
#define TRIES_MAX 50
#define TRY_NS 2000000
#define VERSIONS_NAME "versions"

struct snapshot_scan {
	const struct quiver_io *io;
	char *path; /* of the store; for messages */
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1];
	int dir_fd, superblock_fd, hold_fd, vectors_fd, ids_fd, meta_fd;
	struct quiver_geometry geometry;
	struct snapshot_page page;
	struct versions_file versions; /* of the generation that was read last */
	uint32_t *kept; /* for each slot the number of its record there and one, 0: it has none */
	uint8_t block[BLOCK_RECORDS * VERSION_RECORD_BYTES];
	uint64_t block_first, block_count; /* records that are in the block */
	uint8_t ids[SCAN_SLOTS * sizeof(uint64_t)];
	uint8_t metas[SCAN_SLOTS * META_ROW_BYTES];
	bool unclear[SCAN_SLOTS]; /* the columns do not have its row, or not as it was */
};

static int fail(const struct snapshot_scan *scan, const char *file, int r,
                struct quiver_error *error)
{
	if (r == -ENOMEM)
		error_set(error, "%s@%s: %s", scan->path, scan->name, quiver_strerror(r));
	else
		error_set(error, "%s/%s: %s", scan->path, file, culprit_why(r));
	return r;
}

static void nap(void)
{
	const struct timespec time = { .tv_nsec = TRY_NS };

	/* Cut short by a signal, it only looks again earlier. */
	(void)nanosleep(&time, NULL);
}

/* ---- opening ----------------------------------------------------------- */

/* Whoever has the store may be writing one copy just now. */
static int read_superblock(const struct snapshot_scan *scan, struct superblock *sb,
                           struct quiver_error *error)
{
	int r = -EUCLEAN;

	for (int i = 0; r == -EUCLEAN && i < TRIES_MAX; i++) {
		if (i > 0)
			nap();
		r = superblock_read(scan->io, scan->superblock_fd, sb, NULL, error);
	}
	return r;
}

/* A file for reading, as it is called by now. A descriptor or -errno. */
static int open_file(const struct snapshot_scan *scan, const char *file)
{
	int r = -ESTALE;

	for (int i = 0; r == -ESTALE && i < TRIES_MAX; i++) {
		if (i > 0)
			nap();
		r = scan->io->open(scan->io, scan->dir_fd, file, O_RDONLY, 0);
	}
	return r;
}

static int open_store(struct snapshot_scan *scan, struct quiver_error *error)
{
	struct superblock sb;
	int r;

	r = scan->dir_fd =
		scan->io->open(scan->io, AT_FDCWD, scan->path, O_RDONLY | O_DIRECTORY, 0);
	if (r < 0) {
		error_set(error, "%s: cannot open the store's folder: %s", scan->path,
		          quiver_strerror(r));
		return r;
	}
	r = scan->superblock_fd = open_file(scan, "superblock");
	if (r == -ENOENT) {
		error_set(error, "%s: not a quiverfs store: it has no superblock", scan->path);
		return -EINVAL;
	}
	if (r < 0)
		return fail(scan, "superblock", r, error);
	r = read_superblock(scan, &sb, error);
	if (r)
		return r;
	scan->geometry = sb.geometry;
	return 0;
}

/* Whether the store has come to what it says that it is of: else it is a stranger's, and would show
 * whatever is live. 0, -EUCLEAN. The superblock may be just being written. */
static int check_lsn(const struct snapshot_scan *scan, struct quiver_error *error)
{
	struct superblock sb;
	int r = -EUCLEAN;

	for (int i = 0; r == -EUCLEAN && i < TRIES_MAX; i++) {
		if (i > 0)
			nap();
		r = read_superblock(scan, &sb, error);
		if (r == 0 && scan->page.lsn > sb.checkpoint_lsn)
			r = -EUCLEAN;
	}
	return r;
}

/* Kept from being removed, and what it says. */
static int open_snapshot(struct snapshot_scan *scan, struct quiver_error *error)
{
	int r = scan->hold_fd = snapshot_files_hold(scan->io, scan->dir_fd, scan->name);

	if (r >= 0)
		r = snapshot_files_read(scan->io, scan->dir_fd, scan->name, scan->geometry.uuid,
		                        &scan->page);
	if (r == 0)
		r = check_lsn(scan, error);
	if (r == -ENOENT)
		error_set(error, "%s: it has no snapshot %s; `quiverfs snapshot list` lists all",
		          scan->path, scan->name);
	else if (r == -EBUSY)
		error_set(error, "%s: its snapshot %s is just being removed", scan->path,
		          scan->name);
	else if (r == -EUCLEAN)
		error_set(error,
		          "%s/snapshots/%s: damaged, or from another store; `quiverfs check` says "
		          "more; the snapshot can only be removed",
		          scan->path, scan->name);
	else if (r == -ENOTSUP)
		error_set(error, "%s/snapshots/%s: written by a newer version of quiverfs",
		          scan->path, scan->name);
	else if (r < 0)
		error_set(error, "%s/snapshots/%s: %s", scan->path, scan->name, culprit_why(r));
	return r;
}

static int open_columns(struct snapshot_scan *scan, struct quiver_error *error)
{
	static const char *const files[] = { "vectors.npy", "ids.npy", "meta.npy" };
	int *const fds[] = { &scan->vectors_fd, &scan->ids_fd, &scan->meta_fd };

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		*fds[i] = open_file(scan, files[i]);
		if (*fds[i] == -ENOENT) {
			error_set(error, "%s/%s: missing", scan->path, files[i]);
			return -EUCLEAN;
		}
		if (*fds[i] < 0)
			return fail(scan, files[i], *fds[i], error);
	}
	return 0;
}

static struct snapshot_scan *new_scan(const char *path, const char *name,
                                      const struct quiver_io *io)
{
	struct snapshot_scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return NULL;
	scan->io = io ? io : quiver_io_posix();
	scan->dir_fd = scan->superblock_fd = scan->hold_fd = -1;
	scan->vectors_fd = scan->ids_fd = scan->meta_fd = -1;
	versions_file_init(&scan->versions, scan->io, -1, scan->geometry.uuid);
	(void)snprintf(scan->name, sizeof(scan->name), "%s", name); /* a valid one fits */
	scan->path = strdup(path);
	if (scan->path)
		return scan;
	snapshot_scan_close(scan);
	return NULL;
}

int snapshot_scan_open(const char *path, const char *name, const struct quiver_io *io,
                       struct snapshot_scan **out, struct quiver_error *error)
{
	struct snapshot_scan *scan;
	int r;

	*out = NULL;
	if (!quiver_snapshot_name_is_valid(name)) {
		error_set(error, "%s@%s: this cannot be the name of a snapshot", path, name);
		return -EINVAL;
	}
	scan = new_scan(path, name, io);
	if (!scan) {
		error_set(error, "%s@%s: %s", path, name, quiver_strerror(-ENOMEM));
		return -ENOMEM;
	}
	r = open_store(scan, error);
	if (r >= 0)
		r = open_snapshot(scan, error);
	if (r >= 0)
		r = open_columns(scan, error);
	if (r < 0) {
		snapshot_scan_close(scan);
		return r;
	}
	*out = scan;
	return 0;
}

void snapshot_scan_close(struct snapshot_scan *scan)
{
	const int fds[] = { scan ? scan->vectors_fd : -1,    scan ? scan->ids_fd : -1,
		            scan ? scan->meta_fd : -1,       scan ? scan->hold_fd : -1,
		            scan ? scan->superblock_fd : -1, scan ? scan->dir_fd : -1 };

	if (!scan)
		return;
	(void)versions_file_close(&scan->versions, false); /* nothing was written */
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			(void)scan->io->close(scan->io, fds[i]); /* as above */
	free(scan->kept);
	free(scan->path);
	free(scan);
}

const struct snapshot_page *snapshot_scan_page(const struct snapshot_scan *scan)
{
	return &scan->page;
}

const struct quiver_geometry *snapshot_scan_geometry(const struct snapshot_scan *scan)
{
	return &scan->geometry;
}

int snapshot_scan_folder(const struct snapshot_scan *scan)
{
	return scan->dir_fd;
}

int snapshot_scan_take_hold(struct snapshot_scan *scan)
{
	int fd = scan->hold_fd;

	scan->hold_fd = -1;
	return fd;
}

/* ---- the versions ------------------------------------------------------ */

/* One that the snapshot has is noted. */
static int note(void *arg, uint64_t number, const struct version_record *record)
{
	struct snapshot_scan *scan = arg;

	if (version_from(&record->row) <= scan->page.lsn && scan->page.lsn < record->until &&
	    record->slot < scan->page.slots_used && record->id <= QUIVER_ID_MAX &&
	    number < UINT32_MAX)
		scan->kept[record->slot] = (uint32_t)number + 1;
	return 0;
}

/* The generation of the file of that name, 0 where there is none. */
static int find_generation(const struct snapshot_scan *scan, uint64_t *generation)
{
	uint8_t page[VERSIONS_HEADER_BYTES];
	struct versions_header header;
	int fd = open_file(scan, VERSIONS_NAME);
	int r, c;

	*generation = 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = io_read_all(scan->io, fd, page, sizeof(page), 0);
	c = scan->io->close(scan->io, fd);
	if (r == 0 && c == 0 && versions_header_decode(page, &header) == 0)
		*generation = header.generation;
	return r && r != -ENODATA ? r : c;
}

/* The file of that name, and all of it. */
static int read_versions(struct snapshot_scan *scan, struct quiver_error *error)
{
	struct versions_file fresh;
	struct versions_extent extent;
	struct superblock sb;
	uint64_t lost;
	int r = -ESTALE;

	for (int i = 0; r == -ESTALE && i < TRIES_MAX; i++) {
		if (i > 0)
			nap();
		/* Of before the file is opened: what counted then is in it. */
		r = read_superblock(scan, &sb, error);
		if (r)
			return r;
		extent = superblock_versions(&sb);
		memset(scan->kept, 0, scan->page.slots_used * sizeof(*scan->kept));
		versions_file_init(&fresh, scan->io, scan->dir_fd, scan->geometry.uuid);
		r = versions_file_open(&fresh, &extent, true, note, scan, &lost);
	}
	if (r)
		return fail(scan, VERSIONS_NAME, r, error);
	(void)versions_file_close(&scan->versions, false); /* nothing was written */
	scan->versions = fresh;
	scan->block_count = 0;
	return 0;
}

/* Records from `number` on go into the block, which has none where it is at the end. */
static int read_block(struct snapshot_scan *scan, uint64_t number)
{
	uint64_t at = VERSIONS_HEADER_BYTES + number * VERSION_RECORD_BYTES;
	ssize_t n = io_read_most(scan->io, scan->versions.fd, scan->block, sizeof(scan->block), at);

	if (n < 0)
		return (int)n;
	scan->block_first = number;
	scan->block_count = (size_t)n / VERSION_RECORD_BYTES;
	return 0;
}

/* -ENODATA there is no such record, -EBADMSG it is damaged, -errno. */
static int read_record(struct snapshot_scan *scan, uint64_t number, struct version_record *record)
{
	int r = 0;

	if (number < scan->block_first || number - scan->block_first >= scan->block_count)
		r = read_block(scan, number);
	if (r == 0 && scan->block_count == 0)
		r = -ENODATA;
	if (r)
		return r;
	return version_record_decode(scan->block +
	                                     (number - scan->block_first) * VERSION_RECORD_BYTES,
	                             scan->versions.generation,
	                             VERSIONS_HEADER_BYTES + number * VERSION_RECORD_BYTES, record);
}

/* After rows were read: have all records that were written before they changed. */
static int look_at_versions(struct snapshot_scan *scan, struct quiver_error *error)
{
	uint64_t generation = 0;
	int r;

	if (!scan->kept) {
		scan->kept = calloc(scan->page.slots_used + 1, sizeof(*scan->kept));
		if (!scan->kept)
			return fail(scan, "", -ENOMEM, error);
		return read_versions(scan, error);
	}
	r = find_generation(scan, &generation);
	if (r)
		return fail(scan, VERSIONS_NAME, r, error);
	/* A file is given that name when it is whole: one without a generation was damaged since. */
	if (generation != scan->versions.generation && generation != 0)
		return read_versions(scan, error);
	/* What was behind the last record then may be one now. */
	scan->block_count = 0;
	r = versions_file_read_on(&scan->versions, note, scan);
	return r ? fail(scan, VERSIONS_NAME, r, error) : 0;
}

/* ---- the rows ---------------------------------------------------------- */

/* Rows of a column; where the file ends before, as it was cut behind what is held, they are `none`. */
static int read_rows(const struct snapshot_scan *scan, int fd, uint32_t row_bytes, uint64_t first,
                     size_t count, int none, uint8_t *to)
{
	size_t length = count * row_bytes;
	ssize_t n = io_read_most(scan->io, fd, to, length, COLUMN_HEADER_BYTES + first * row_bytes);

	if (n < 0)
		return (int)n;
	memset(to + n, none, length - (size_t)n);
	return 0;
}

/* What the columns have of `count` slots: how many rows of the snapshot, or -errno. *unclear: whether
 * there is one that they may have lost. */
static int64_t read_columns(struct snapshot_scan *scan, uint64_t first, size_t count,
                            struct snapshot_row *rows, bool *unclear, struct quiver_error *error)
{
	size_t found = 0;
	int r = read_rows(scan, scan->ids_fd, sizeof(uint64_t), first, count, 0xff, scan->ids);

	if (r)
		return fail(scan, "ids.npy", r, error);
	r = read_rows(scan, scan->meta_fd, META_ROW_BYTES, first, count, 0, scan->metas);
	if (r)
		return fail(scan, "meta.npy", r, error);
	*unclear = false;
	for (size_t i = 0; i < count; i++) {
		struct snapshot_row *row = &rows[found];

		row->slot = first + i;
		row->id = get_le64(scan->ids + i * sizeof(uint64_t));
		r = meta_decode(scan->metas + i * META_ROW_BYTES, row->id, row->slot, &row->row);
		/* Of what was committed later the slot was free then: a held one is not used again. */
		scan->unclear[i] = r || row->row.lsn == 0 ||
		                   (row->row.lsn <= scan->page.lsn &&
		                    version_from(&row->row) > scan->page.lsn);
		*unclear |= scan->unclear[i];
		found += !scan->unclear[i] && row->row.lsn <= scan->page.lsn;
	}
	return (int64_t)found;
}

/* What is in the versions; nothing: a row with no LSN. */
static int read_kept(struct snapshot_scan *scan, uint64_t slot, struct snapshot_row *row,
                     struct quiver_error *error)
{
	struct version_record record;
	int r;

	row->row.lsn = 0;
	if (scan->kept[slot] == 0)
		return 0;
	r = read_record(scan, scan->kept[slot] - 1, &record);
	if (r == -EBADMSG || r == -ENODATA || (r == 0 && record.slot != slot))
		return 0; /* damaged since it was noted: it is missing */
	if (r)
		return fail(scan, VERSIONS_NAME, r, error);
	*row = (struct snapshot_row){ .slot = slot, .id = record.id, .row = record.row };
	return 0;
}

/* Put those of the versions among the `found` rows, for all of which there is room. How many there are
 * then, or -errno. */
static int64_t add_kept(struct snapshot_scan *scan, uint64_t first, size_t count, size_t found,
                        struct snapshot_row *rows, struct quiver_error *error)
{
	size_t from = count - found, at = 0;

	/* Out of the way, so that records are read in the order in which most of them lie. */
	memmove(rows + from, rows, found * sizeof(*rows));
	for (size_t i = 0; i < count; i++) {
		if (from < count && rows[from].slot == first + i) {
			rows[at++] = rows[from++];
		} else if (scan->unclear[i]) {
			int r = read_kept(scan, first + i, &rows[at], error);

			if (r)
				return r;
			at += rows[at].row.lsn != 0;
		}
	}
	return (int64_t)at;
}

int64_t snapshot_scan_read(struct snapshot_scan *scan, uint64_t *next, struct snapshot_row *rows,
                           size_t max, struct quiver_error *error)
{
	int64_t found = 0;

	while (found == 0 && *next < scan->page.slots_used) {
		uint64_t left = scan->page.slots_used - *next;
		size_t count = max < SCAN_SLOTS ? max : SCAN_SLOTS;
		bool unclear = false;

		count = left < count ? (size_t)left : count;
		found = read_columns(scan, *next, count, rows, &unclear, error);
		if (found >= 0 && unclear) {
			int r = look_at_versions(scan, error);

			found = r ? r : add_kept(scan, *next, count, (size_t)found, rows, error);
		}
		if (found >= 0)
			*next += count;
	}
	return found;
}

int snapshot_scan_whole(const struct snapshot_scan *scan, uint64_t found,
                        struct quiver_error *error)
{
	if (found == scan->page.count)
		return 0;
	error_set(error,
	          "%s: its snapshot %s has %" PRIu64 " vectors, but rows of %" PRIu64
	          " were found in ids.npy, meta.npy and versions; `quiverfs check` says which are "
	          "damaged",
	          scan->path, scan->name, scan->page.count, found);
	return -EUCLEAN;
}

int snapshot_scan_vector(struct snapshot_scan *scan, const struct snapshot_row *row, void *to,
                         struct quiver_error *error)
{
	uint32_t bytes = scan->geometry.vector_bytes;
	int r = io_read_all(scan->io, scan->vectors_fd, to, bytes,
	                    COLUMN_HEADER_BYTES + row->slot * bytes);

	if (r && r != -ENODATA)
		return fail(scan, "vectors.npy", r, error);
	if (r == 0 && vector_sum(row->id, row->row.lsn, XXH3_64bits(to, bytes)) == row->row.sum)
		return 0;
	error_set(error,
	          "%s/vectors.npy: slot %" PRIu64 " does not match the checksum of vector %" PRIu64
	          " in snapshot %s; `quiverfs check` says more",
	          scan->path, row->slot, row->id, scan->name);
	return -EUCLEAN;
}
