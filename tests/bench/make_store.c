/*
 * make_store.c - a store of any number of vectors of 8 bytes, by writing its files as FORMAT.md says
 * and not by putting them: for what a store costs that would take hours to fill.
 *
 * make_store PATH COUNT [sparse]
 *
 * Vector ID, of IDs 0 to COUNT - 1, is in slot ID; its bytes are the ID, little-endian, or zeros where
 * `sparse` leaves vectors.npy without blocks. All rows are whole and match their checksums. There is no
 * file `index`: make_index.c writes one, or whoever opens the store first.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/uuid.h"
#include "engine/disk/column_kinds.h"
#include "engine/media/meta_row_codec.h"
#include "engine/media/npy_header.h"
#include "engine/media/superblock.h"
#include "tests/bench/bench.h"

#define VECTOR_BYTES 8u
#define CHUNK_ROWS UINT64_C(65536) /* written at a time: 3.6 MB of the widest column */
#define WHEN_NS INT64_C(1700000000000000000)
#define PATH_MAX_BYTES 4096

struct made {
	struct quiver_geometry geometry;
	uint64_t count;
	bool sparse;
	int fds[COLUMNS];
};

/* Set once, before anything is made. */
static struct quiver_attr attr = { .mtime_ns = WHEN_NS, .ctime_ns = WHEN_NS, .mode = 0644 };

static void write_at(int fd, const void *bytes, size_t length, uint64_t offset)
{
	const uint8_t *at = bytes;

	while (length > 0) {
		ssize_t n = pwrite(fd, at, length, (off_t)offset);

		if (n <= 0)
			bench_die("write: %s", n < 0 ? strerror(errno) : "nothing was written");
		at += n;
		length -= (size_t)n;
		offset += (uint64_t)n;
	}
}

static int create_file(const char *folder, const char *name)
{
	char path[PATH_MAX_BYTES];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		bench_die("%s: too long", folder);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	return fd;
}

static void end_file(int fd)
{
	if (fsync(fd) != 0 || close(fd) != 0)
		bench_die("sync: %s", strerror(errno));
}

static void create_columns(struct made *made, const char *folder)
{
	struct column_kind kinds[COLUMNS];
	uint8_t header[NPY_HEADER_BYTES];

	column_kinds(&made->geometry, QUIVER_FORMAT_VERSION, kinds);
	for (unsigned i = 0; i < COLUMNS; i++) {
		made->fds[i] = create_file(folder, kinds[i].name);
		npy_header_encode(header, kinds[i].descr, kinds[i].row_items, made->count);
		write_at(made->fds[i], header, sizeof(header), 0);
		if (ftruncate(made->fds[i],
		              (off_t)(COLUMN_HEADER_BYTES + made->count * kinds[i].row_bytes)) != 0)
			bench_die("%s: %s", kinds[i].name, strerror(errno));
	}
}

/* Rows of CHUNK_ROWS slots at most, from `first` on. */
struct chunk {
	uint64_t count;
	uint8_t vectors[CHUNK_ROWS * VECTOR_BYTES];
	uint8_t ids[CHUNK_ROWS * sizeof(uint64_t)];
	uint8_t meta[CHUNK_ROWS * META_ROW_BYTES];
};

static void fill_chunk(struct chunk *chunk, uint64_t first, bool sparse)
{
	for (uint64_t i = 0; i < chunk->count; i++) {
		uint64_t id = first + i;
		uint8_t *vector = chunk->vectors + i * VECTOR_BYTES;
		struct meta_row row = { .lsn = id + 1, .attr = attr, .attr_lsn = id + 1 };

		put_le64(vector, sparse ? 0 : id);
		put_le64(chunk->ids + i * sizeof(uint64_t), id);
		row.sum = vector_sum(id, row.lsn, XXH3_64bits(vector, VECTOR_BYTES));
		meta_encode(&row, id, id, chunk->meta + i * META_ROW_BYTES);
	}
}

static void write_rows(const struct made *made)
{
	struct chunk *chunk = bench_alloc(sizeof(*chunk));

	for (uint64_t at = 0; at < made->count; at += chunk->count) {
		chunk->count = made->count - at < CHUNK_ROWS ? made->count - at : CHUNK_ROWS;
		fill_chunk(chunk, at, made->sparse);
		if (!made->sparse)
			write_at(made->fds[0], chunk->vectors, chunk->count * VECTOR_BYTES,
			         COLUMN_HEADER_BYTES + at * VECTOR_BYTES);
		write_at(made->fds[1], chunk->ids, chunk->count * sizeof(uint64_t),
		         COLUMN_HEADER_BYTES + at * sizeof(uint64_t));
		write_at(made->fds[2], chunk->meta, chunk->count * META_ROW_BYTES,
		         COLUMN_HEADER_BYTES + at * META_ROW_BYTES);
	}
	free(chunk);
	for (unsigned i = 0; i < COLUMNS; i++)
		end_file(made->fds[i]);
}

/* Last: without it there is no store. */
static void write_superblock(const struct made *made, const char *folder)
{
	struct superblock sb = { .version = QUIVER_FORMAT_VERSION,
		                 .geometry = made->geometry,
		                 .clean = true,
		                 .sequence = 2,
		                 .slots_used = made->count,
		                 .count = made->count,
		                 .checkpoint_lsn = made->count,
		                 .lsn_ceiling = made->count + 1,
		                 .wal_first = 1,
		                 .ctime_max_ns = WHEN_NS };
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	int fd = create_file(folder, "superblock");

	sb.dir = attr;
	sb.dir.mode = 0755;
	for (unsigned i = 0; i < 2; i++, sb.sequence++) {
		superblock_encode(&sb, page);
		write_at(fd, page, sizeof(page), (sb.sequence % 2) * SUPERBLOCK_COPY_BYTES);
	}
	end_file(fd);
}

int main(int argc, char **argv)
{
	struct made made = { .geometry = { .dim = VECTOR_BYTES,
		                           .dtype = QUIVER_U1,
		                           .vector_bytes = VECTOR_BYTES } };
	char wal[PATH_MAX_BYTES];

	if (argc < 3 || argc > 4 || (argc == 4 && strcmp(argv[3], "sparse") != 0))
		bench_die("usage: make_store PATH COUNT [sparse]");
	made.count = strtoull(argv[2], NULL, 10);
	made.sparse = argc == 4;
	if (made.count > SLOT_MAX + 1)
		bench_die("%" PRIu64 " vectors at most", (uint64_t)SLOT_MAX + 1);
	if (uuid_random(made.geometry.uuid) != 0)
		bench_die("no random numbers");
	if (snprintf(wal, sizeof(wal), "%s/wal", argv[1]) >= (int)sizeof(wal))
		bench_die("%s: too long", argv[1]);
	attr.uid = getuid(); /* so that a mount of who makes it may change them */
	attr.gid = getgid();
	if (mkdir(argv[1], 0700) != 0 || mkdir(wal, 0700) != 0)
		bench_die("%s: %s", wal, strerror(errno));
	create_columns(&made, argv[1]);
	end_file(create_file(argv[1], "LOCK"));
	write_rows(&made);
	write_superblock(&made, argv[1]);
	return 0;
}
