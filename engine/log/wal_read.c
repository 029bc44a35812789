#include "engine/log/wal_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"

/* Of a segment that is read ahead: all of the usual ones. */
#define AHEAD_BYTES_MAX (UINT64_C(32) << 20)

struct reader {
	struct wal_scan *scan;
	int wal_fd;
	uint64_t *numbers; /* of the segments, ascending */
	size_t count;
	uint8_t *bytes; /* of the segment being read */
	uint64_t size_bytes;
	uint64_t
		room_bytes; /* in `bytes`; memory that is new for each segment costs a fault a page */
	uint64_t salt;
	uint64_t again_lsn; /* records above it are written again; UINT64_MAX = none */
	uint64_t again_at; /* the first of them in the segment being read; 0 = none */
	bool chained; /* a record has been read, so the next must follow it */
	uint64_t tail_lsn; /* of the last record read */
};

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int list_segments(struct reader *reader)
{
	const struct quiver_io *io = reader->scan->io;
	char *names = NULL;
	const char *name;
	size_t count = 0;
	int r = io->list(io, reader->wal_fd, &names, &count);

	if (r)
		return r;
	reader->numbers = malloc((count + 1) * sizeof(uint64_t));
	if (!reader->numbers)
		r = -ENOMEM;
	name = names;
	for (size_t i = 0; r == 0 && i < count; i++, name += strlen(name) + 1) {
		uint64_t number;

		if (!wal_segment_parse(name, &number))
			continue;
		if (number > reader->scan->last_segment)
			reader->scan->last_segment = number;
		if (number >= reader->scan->first_segment)
			reader->numbers[reader->count++] = number;
	}
	if (r == 0)
		qsort(reader->numbers, reader->count, sizeof(uint64_t), ascending);
	free(names);
	return r;
}

/* Room for `size` bytes; what was there is lost. */
static int make_room(struct reader *reader, uint64_t size)
{
	if (size <= reader->room_bytes)
		return 0;
	free(reader->bytes);
	reader->bytes = malloc(size);
	reader->room_bytes = reader->bytes ? size : 0;
	return reader->bytes ? 0 : -ENOMEM;
}

/* Have the kernel read a segment while the one before it is looked at. */
static void read_ahead(const struct reader *reader, uint64_t number)
{
	const struct quiver_io *io = reader->scan->io;
	char name[64];
	int fd;

	wal_segment_name(number, name);
	fd = io->open(io, reader->wal_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return; /* load will tell */
	io->hint(io, fd, 0, AHEAD_BYTES_MAX, IO_WILL_READ);
	(void)io->close(io, fd); /* it was only read */
}

/* The header of a segment. 0; -EBADMSG it has no valid one, so no records. */
static int load_header(struct reader *reader, int fd, uint64_t number,
                       struct wal_segment_header *header)
{
	uint8_t page[WAL_HEADER_BYTES];
	int r = io_read_all(reader->scan->io, fd, page, sizeof(page), 0);

	if (r)
		return r == -ENODATA ? -EBADMSG : r;
	if (!wal_segment_decode(header, page) || header->number != number ||
	    memcmp(header->uuid, reader->scan->uuid, sizeof(header->uuid)) != 0)
		return -EBADMSG;
	return 0;
}

/* Load a segment. 0; -EBADMSG as load_header; -EFBIG it is larger than one can be, which a valid
 * header says. */
static int load(struct reader *reader, uint64_t number)
{
	const struct quiver_io *io = reader->scan->io;
	struct wal_segment_header header;
	struct stat st;
	char name[64];
	int fd;
	int c;
	int r;

	wal_segment_name(number, name);
	fd = io->open(io, reader->wal_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	r = load_header(reader, fd, number, &header);
	if (r == 0 && header.size_bytes > WAL_FILE_BYTES_MAX)
		r = -EFBIG;
	if (r == 0)
		r = io->stat(io, fd, &st);
	if (r == 0) {
		/* What is behind is not of the segment. */
		reader->size_bytes = (uint64_t)st.st_size < header.size_bytes ? (uint64_t)st.st_size
		                                                              : header.size_bytes;
		r = make_room(reader, reader->size_bytes);
	}
	if (r == 0)
		r = io_read_all(io, fd, reader->bytes, reader->size_bytes, 0);
	c = io->close(io, fd);
	if (r == 0)
		r = c;
	if (r == 0)
		reader->salt = header.salt;
	return r;
}

static bool fields_valid(const struct wal_scan *scan, const struct wal_record *record,
                         const uint8_t *payload)
{
	if (record->type < WAL_PUT || record->type > WAL_PUTSLOT)
		return false;
	if (record->type != WAL_PUT && record->payload_bytes != 0)
		return false;
	if (record->type == WAL_PUTSLOT)
		return record->slot <= SLOT_MAX && record->lsn != scan->bad_slot_lsn;
	if (record->type != WAL_PUT)
		return true;
	return record->payload_bytes == scan->vector_bytes && record->slot <= SLOT_MAX &&
	       (record->lsn <= scan->checked_lsn ||
	        vector_sum(record->id, record->lsn, XXH3_64bits(payload, scan->vector_bytes)) ==
	                record->sum);
}

/* The record at `at`, if it is whole and follows the one before; the first one has to follow
 * the checkpoint, or what came before it is missing. */
static bool record_at(const struct reader *reader, uint64_t at, uint64_t prev, bool chained,
                      struct wal_record *record)
{
	return at + WAL_RECORD_HEADER_BYTES <= reader->size_bytes &&
	       wal_record_decode(record, reader->bytes + at, reader->size_bytes - at, at,
	                         reader->salt) &&
	       (chained ? record->prev_lsn == prev
	                : record->prev_lsn <= reader->scan->checkpoint_lsn) &&
	       record->lsn >= record->prev_lsn &&
	       fields_valid(reader->scan, record, reader->bytes + at + WAL_RECORD_HEADER_BYTES);
}

/* Where the commit that begins at `at` ends, or `at` where it is not whole. */
static uint64_t commit_end(struct reader *reader, uint64_t at)
{
	struct wal_record record;
	uint64_t end = at;
	uint64_t prev = reader->tail_lsn;
	bool chained = reader->chained;

	while (record_at(reader, end, prev, chained, &record)) {
		end += record.length_bytes;
		prev = record.lsn;
		chained = true;
		if (!record.more) {
			reader->scan->checked_lsn =
				prev > reader->scan->checked_lsn ? prev : reader->scan->checked_lsn;
			return end;
		}
	}
	return at;
}

static int deliver(struct reader *reader, uint64_t from, uint64_t to)
{
	struct wal_scan *scan = reader->scan;
	struct wal_record record;
	int r = 0;

	while (r == 0 && from < to) {
		if (!record_at(reader, from, reader->tail_lsn, reader->chained, &record))
			return -EBADMSG; /* it was whole a moment ago */
		if (record.lsn > scan->checkpoint_lsn) {
			scan->records++;
			scan->offset = from;
			if (scan->each)
				r = scan->each(scan->arg, &record,
				               reader->bytes + from + WAL_RECORD_HEADER_BYTES);
			if (r)
				break;
		}
		if (record.durable_lsn > scan->durable_lsn)
			scan->durable_lsn = record.durable_lsn;
		if (record.lsn > reader->again_lsn && reader->again_at == 0)
			reader->again_at = from;
		reader->tail_lsn = record.lsn;
		reader->chained = true;
		from += record.length_bytes;
	}
	if (reader->tail_lsn > scan->last_lsn)
		scan->last_lsn = reader->tail_lsn;
	return r;
}

/* What lies behind the end: does any record there tell of a later durable LSN? */
static void look_behind(struct reader *reader, uint64_t number, uint64_t at)
{
	struct wal_scan *scan = reader->scan;
	struct wal_record record;
	bool remains = false;

	if (at + WAL_RECORD_HEADER_BYTES <= reader->size_bytes)
		remains = get_le64(reader->bytes + at + WAL_RECORD_SALT_AT) == reader->salt;
	for (uint64_t p = at; p + WAL_RECORD_HEADER_BYTES <= reader->size_bytes; p += 8) {
		if (get_le64(reader->bytes + p + WAL_RECORD_SALT_AT) != reader->salt ||
		    !wal_record_decode(&record, reader->bytes + p, reader->size_bytes - p, p,
		                       reader->salt))
			continue;
		remains = true;
		if (record.durable_lsn > scan->durable_lsn)
			scan->durable_lsn = record.durable_lsn;
	}
	if (remains && !scan->torn) {
		scan->torn = true;
		scan->torn_segment = number;
		scan->torn_offset = at;
	}
}

/* Write and sync what was read of the segment up to `end`, from the first record on that may be
 * in the kernel's memory alone. */
static int write_again(const struct reader *reader, uint64_t number, uint64_t end)
{
	const struct quiver_io *io = reader->scan->io;
	uint64_t at = reader->again_at / WAL_HEADER_BYTES * WAL_HEADER_BYTES;
	char name[64];
	int fd;
	int c;
	int r;

	wal_segment_name(number, name);
	fd = io->open(io, reader->wal_fd, name, O_RDWR, 0);
	if (fd < 0)
		return fd;
	r = io_write_all(io, fd, reader->bytes + at, end - at, at);
	if (r == 0)
		r = io_fdatasync(io, fd);
	c = io->close(io, fd);
	return r ? r : c;
}

static int read_segment(struct reader *reader, uint64_t number)
{
	struct wal_scan *scan = reader->scan;
	uint64_t at = WAL_HEADER_BYTES;
	uint64_t end;
	int r = load(reader, number);

	reader->again_at = 0;
	scan->segment = number;
	if (r == -EBADMSG)
		return 0; /* made, but never used; or damage, which durable_lsn tells */
	if (r == -EFBIG) {
		scan->oversized = true;
		if (!scan->torn) {
			scan->torn = true;
			scan->torn_segment = number;
			scan->torn_offset = 0;
		}
		return 0;
	}
	if (r)
		return r;
	if (!scan->torn) {
		while (r == 0 && (end = commit_end(reader, at)) > at) {
			r = deliver(reader, at, end);
			at = end;
		}
		if (at > WAL_HEADER_BYTES || scan->torn_segment == 0) {
			scan->torn_offset = at;
			scan->torn_segment = number;
		}
	}
	if (r == 0)
		look_behind(reader, number, at);
	if (r == 0 && reader->again_at > 0)
		r = write_again(reader, number, at);
	return r;
}

static void hear_durable(struct wal_scan *scan, uint64_t lsn)
{
	if (lsn > scan->durable_lsn)
		scan->durable_lsn = lsn;
}

static int read_durable(struct wal_scan *scan)
{
	uint8_t bytes[DURABLE_BYTES] = { 0 };
	int fd = scan->io->open(scan->io, scan->dir_fd, "durable", O_RDONLY, 0);
	ssize_t n;
	int c;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	n = io_read_most(scan->io, fd, bytes, sizeof(bytes), 0);
	c = scan->io->close(scan->io, fd);
	if (n < 0)
		return (int)n;
	hear_durable(scan, durable_decode(bytes, scan->uuid));
	for (unsigned i = 0; i < DURABLE_NOTES; i++)
		hear_durable(scan, durable_note_decode(bytes + durable_note_at(i), i, scan->uuid));
	return c;
}

/* From the first segment to the last. */
static int scan_log(struct wal_scan *scan, uint64_t again_lsn)
{
	struct reader reader = { .scan = scan, .again_lsn = again_lsn };
	int c;
	int r;

	scan->records = scan->durable_lsn = scan->last_segment = 0;
	scan->torn = scan->oversized = false;
	scan->torn_segment = scan->torn_offset = 0;
	scan->last_lsn = scan->checkpoint_lsn;
	reader.wal_fd = scan->io->open(scan->io, scan->dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
	if (reader.wal_fd < 0)
		return reader.wal_fd;
	r = list_segments(&reader);
	for (size_t i = 0; r == 0 && i < reader.count; i++) {
		if (i + 1 < reader.count)
			read_ahead(&reader, reader.numbers[i + 1]);
		r = read_segment(&reader, reader.numbers[i]);
	}
	if (r == 0)
		r = read_durable(scan);
	free(reader.numbers);
	free(reader.bytes);
	c = scan->io->close(scan->io, reader.wal_fd);
	return r ? r : c;
}

bool wal_scan_corrupt(const struct wal_scan *scan)
{
	return scan->durable_lsn > scan->last_lsn || scan->oversized;
}

int wal_scan(struct wal_scan *scan)
{
	return scan_log(scan, UINT64_MAX);
}

int wal_settle(struct wal_scan *scan, uint64_t above_lsn)
{
	scan->each = NULL;
	return scan_log(scan, above_lsn);
}
