/* fuzz_wal_scan.c - reading the log: raw segments in a folder that is memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "log_input.h"
#include "wal_read.h"

#define SEGMENTS 3
#define ROOM 65536u
#define VECTOR_BYTES 24u
#define FD_FOLDER 100
#define CHECKPOINT 40u

static uint8_t segments[SEGMENTS][ROOM];
static size_t sizes[SEGMENTS];
static uint8_t durable[WAL_HEADER_BYTES];

static int mem_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                    mode_t mode)
{
	uint64_t number;

	(void)self;
	(void)dir_fd;
	(void)flags;
	(void)mode;
	if (strcmp(name, "wal") == 0)
		return FD_FOLDER;
	if (strcmp(name, "durable") == 0)
		return SEGMENTS;
	return wal_segment_parse(name, &number) ? (int)number - 1 : -ENOENT;
}

static int mem_close(const struct quiver_io *self, int fd)
{
	(void)self;
	(void)fd;
	return 0;
}

static size_t size_of(int fd)
{
	return fd == SEGMENTS ? sizeof(durable) : sizes[fd];
}

static ssize_t mem_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                         uint64_t offset)
{
	size_t size = size_of(fd);
	size_t n = offset < size ? size - offset : 0;

	(void)self;
	n = n < length ? n : length;
	memcpy(to, (fd == SEGMENTS ? durable : segments[fd]) + (n ? offset : 0), n);
	return (ssize_t)n;
}

static int mem_stat(const struct quiver_io *self, int fd, struct stat *st)
{
	(void)self;
	memset(st, 0, sizeof(*st));
	st->st_size = (off_t)size_of(fd);
	return 0;
}

static int mem_list(const struct quiver_io *self, int dir_fd, char **names, size_t *count)
{
	char *at = *names = malloc(SEGMENTS * 32);

	(void)self;
	(void)dir_fd;
	FUZZ_CHECK(at);
	for (*count = 0; *count < SEGMENTS; (*count)++, at += strlen(at) + 1)
		wal_segment_name(*count + 1, at);
	return 0;
}

struct heard {
	uint64_t count;
	uint64_t lsn;
	uint64_t hash;
};

static int hear(void *arg, const struct wal_record *record, const void *payload)
{
	struct heard *heard = arg;

	FUZZ_CHECK(record->lsn > CHECKPOINT && record->lsn >= heard->lsn);
	FUZZ_CHECK(record->type != WAL_PUT || record->payload_bytes == VECTOR_BYTES);
	heard->hash ^= XXH3_64bits(payload, record->payload_bytes);
	heard->lsn = record->lsn;
	heard->count++;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct quiver_io io = { .open = mem_open,
		                             .close = mem_close,
		                             .pread = mem_pread,
		                             .stat = mem_stat,
		                             .list = mem_list };
	struct fuzz_input input = { data, size };
	struct log_input log = { .salt = 77, .vector_bytes = VECTOR_BYTES, .lsn = CHECKPOINT };
	struct heard heard = { 0 };
	struct wal_scan scan = { .io = &io,
		                 .vector_bytes = VECTOR_BYTES,
		                 .first_segment = 1,
		                 .checkpoint_lsn = CHECKPOINT,
		                 .each = hear,
		                 .arg = &heard };
	uint64_t known = fuzz_take(&input, 1);

	durable_encode(CHECKPOINT + known % 4, log.uuid, durable);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct fuzz_input part = input;

		part.size = i + 1 < SEGMENTS ? input.size / 2 : input.size;
		input.data += part.size;
		input.size -= part.size;
		log.number = i + 1;
		sizes[i] = log_input_raw(&log, &part, segments[i], ROOM);
		log.lsn += part.size / WAL_RECORD_HEADER_BYTES;
	}
	FUZZ_CHECK(wal_scan(&scan) == 0);
	FUZZ_CHECK(scan.records == heard.count && scan.last_lsn >= CHECKPOINT);
	FUZZ_CHECK(heard.count == 0 || scan.last_lsn == heard.lsn);
	return 0;
}
