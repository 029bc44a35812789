/* fuzz_wal_scan.c - reading the log: raw segments in a folder that is memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/log/wal_payload.h"
#include "engine/log/wal_read.h"
#include "log_input.h"

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
	struct wal_scan *scan;
	struct wal_payloads *payloads;
	uint64_t count;
	uint64_t lsn;
	uint64_t hash;
};

static int hear(void *arg, const struct wal_record *record, const void *payload)
{
	struct heard *heard = arg;

	FUZZ_CHECK(record->lsn > CHECKPOINT && record->lsn >= heard->lsn);
	FUZZ_CHECK(record->type != WAL_PUT || record->payload_bytes == VECTOR_BYTES);
	if (!payload && record->type == WAL_PUT)
		FUZZ_CHECK(wal_payload(heard->payloads, heard->scan, record, &payload) == 0);
	heard->hash = heard->hash * 31 + record->slot + record->old_slot + record->aux +
	              record->type + record->attr.mode + record->sum;
	heard->hash ^= record->type == WAL_PUT ? XXH3_64bits(payload, record->payload_bytes) : 0;
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
		                             .list = mem_list,
		                             .hint = io_hint_nothing,
		                             .write_out = io_write_out_nothing };
	struct fuzz_input input = { data, size };
	struct log_input log = { .salt = 77, .vector_bytes = VECTOR_BYTES, .lsn = CHECKPOINT };
	struct wal_payloads payloads = { 0 };
	struct wal_kept kept = { 0 };
	struct heard heard = { 0 };
	struct heard again = { .payloads = &payloads };
	struct wal_scan scan = { .io = &io,
		                 .vector_bytes = VECTOR_BYTES,
		                 .first_segment = 1,
		                 .checkpoint_lsn = CHECKPOINT,
		                 .arg = &heard };
	uint64_t known = fuzz_take(&input, 1);
	uint64_t last;

	durable_encode(CHECKPOINT + known % 4, log.uuid, durable);
	log.version = known & 4 ? 1 : QUIVER_FORMAT_VERSION;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct fuzz_input part = input;

		part.size = i + 1 < SEGMENTS ? input.size / 2 : input.size;
		input.data += part.size;
		input.size -= part.size;
		log.number = i + 1;
		sizes[i] = log_input_raw(&log, &part, segments[i], ROOM);
		log.lsn += part.size / WAL_RECORD_HEADER_BYTES;
	}
	/* As recovery does: where does it end, and then what is in it, from memory and the rest. */
	scan.kept = &kept;
	again.scan = &scan;
	FUZZ_CHECK(wal_scan(&scan) == 0);
	last = scan.last_lsn;
	scan.each = hear;
	scan.arg = &again;
	FUZZ_CHECK(wal_scan_again(&scan) == 0 && scan.last_lsn == last);
	FUZZ_CHECK(scan.records == again.count);
	FUZZ_CHECK(wal_payloads_end(&payloads) == 0);
	wal_kept_clear(&kept);
	scan.kept = NULL;
	scan.arg = &heard;
	scan.each = hear;
	FUZZ_CHECK(wal_scan(&scan) == 0 && scan.last_lsn == last);
	FUZZ_CHECK(scan.records == heard.count && scan.last_lsn >= CHECKPOINT);
	FUZZ_CHECK(heard.count == again.count && heard.lsn == again.lsn &&
	           heard.hash == again.hash);
	FUZZ_CHECK(heard.count == 0 || scan.last_lsn == heard.lsn);
	return 0;
}

/* The log of a store of such vectors, `from` bytes of records skipped. */
static void copy_log(struct memdisk_image *image, size_t from, uint8_t *to, size_t room)
{
	const struct memdisk_file *log = NULL;
	size_t n;

	for (size_t i = 0; i < image->count; i++)
		if (strncmp(image->files[i].name, "wal/", 4) == 0 &&
		    (!log || image->files[i].kept > log->kept))
			log = &image->files[i];
	FUZZ_CHECK(log && log->kept > WAL_HEADER_BYTES + from);
	n = log->kept - WAL_HEADER_BYTES - from;
	n = n < room ? n : room;
	memcpy(to, log->bytes + WAL_HEADER_BYTES + from, n);
}

static void use(struct quiver *store, unsigned how)
{
	uint8_t bytes[VECTOR_BYTES];
	struct quiver_attr attr = world_attr(1);
	struct quiver_record batch[3];

	world_bytes(how, 1, sizeof(bytes), bytes);
	for (uint32_t id = 0; id < 10; id++)
		FUZZ_CHECK(quiver_put(store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL) == 0);
	for (uint32_t i = 0; i < 3; i++)
		batch[i] = (struct quiver_record){ .id = 20 + i, .data = bytes };
	if (how == 1)
		FUZZ_CHECK(quiver_put_batch(store, batch, 3, &attr, QUIVER_ATTR_ALL, 0, NULL) == 0);
	if (how == 2)
		FUZZ_CHECK(quiver_remove(store, 3, 0, NULL) == 0 &&
		           quiver_rename(store, 4, 3, 0, NULL) == 0 &&
		           quiver_set_attr(store, 3, &attr, QUIVER_ATTR_ALL, 0) == 0);
	if (how == 3)
		FUZZ_CHECK(quiver_flush(store) == 0 &&
		           quiver_set_dir_attr(store, &attr, QUIVER_ATTR_ALL, 0) == 0);
}

/* Three segments of real records, the parts of an input being 1/2, 1/4 and 1/4 of it. Salts,
 * numbers, LSNs and sums are put right; in every other seed lengths and payloads are not. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	struct memdisk_image image = { .count = 0 };
	const size_t part = 500;
	struct quiver *store;

	if (number >= 16)
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room > 4 * part);
	fuzz_create(VECTOR_BYTES, QUIVER_U1);
	store = fuzz_open(QUIVER_FSYNC);
	use(store, number / 2 % 4);
	memdisk_save(&image);
	FUZZ_CHECK(quiver_close(store) == 0);
	memset(to, 0, 4 * part + 1);
	to[0] = number / 8 * 4; /* the version */
	to[1] = to[1 + 2 * part] = to[1 + 3 * part] = number % 2 ? 31 : 11;
	copy_log(&image, 0, to + 2, 2 * part - 1);
	copy_log(&image, 6 * (WAL_RECORD_HEADER_BYTES + VECTOR_BYTES), to + 2 + 2 * part, part - 1);
	copy_log(&image, 9 * (WAL_RECORD_HEADER_BYTES + VECTOR_BYTES), to + 2 + 3 * part, part - 1);
	memdisk_free(&image);
	return 1 + 4 * part;
}
