#include "engine/log/wal_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/base/culprit.h"
#include "engine/log/wal_reader.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"

/* Of a segment that the kernel is told about ahead: all of the usual ones. */
#define AHEAD_BYTES_MAX (UINT64_C(32) << 20)
/* Words compared with a salt in one go, without a branch. */
#define SALT_WORDS 64u

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int list_segments(struct wal_reader *reader)
{
	const struct quiver_io *io = reader->scan->io;
	char *names = NULL;
	const char *name;
	size_t count = 0;
	int r = io->list(io, reader->source.wal_fd, &names, &count);

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

/* Have the kernel write what is dirty of a segment, which it must before the disk can be read, or
 * read it, while the one before it is looked at. */
static void prepare(const struct wal_reader *reader, uint64_t number)
{
	const struct quiver_io *io = reader->scan->io;
	char name[64];
	int fd;

	wal_segment_name(number, name);
	fd = io->open(io, reader->source.wal_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return; /* reading it will tell */
	io->hint(io, fd, 0, AHEAD_BYTES_MAX,
	         reader->source.only_cached ? IO_WILL_READ : IO_WRITE_SOON);
	(void)io->close(io, fd); /* it was only read */
}

int wal_reader_get(struct wal_reader *reader, uint64_t keep, uint64_t at, uint64_t length,
                   const uint8_t **bytes)
{
	int r = wal_source_get(&reader->source, keep, at, length, bytes);

	if (r == 0 || r == -ENOMEM || reader->source.cached)
		return r;
	if (r == -EINVAL)
		reader->source.only_cached = true;
	r = wal_source_turn(&reader->source, true);
	return r ? r : wal_source_get(&reader->source, keep, at, length, bytes);
}

int wal_reader_segment(struct wal_reader *reader, uint64_t number)
{
	struct wal_source *source = &reader->source;
	struct wal_segment_header header;
	const uint8_t *page;
	int r = wal_source_open(source, number);

	if (r)
		return r;
	if (source->size_bytes < WAL_HEADER_BYTES)
		return -EBADMSG;
	r = wal_reader_get(reader, 0, 0, WAL_HEADER_BYTES, &page);
	if (r)
		return r == -ENODATA ? -EBADMSG : r;
	if (!wal_segment_decode(&header, page) || header.number != number ||
	    memcmp(header.uuid, reader->scan->uuid, sizeof(header.uuid)) != 0)
		return -EBADMSG;
	if (header.size_bytes > WAL_FILE_BYTES_MAX)
		return -EFBIG;
	/* What is behind is not of the segment. */
	if (header.size_bytes < source->size_bytes)
		source->size_bytes = header.size_bytes;
	reader->salt = header.salt;
	return 0;
}

static bool fields_valid(const struct wal_scan *scan, const struct wal_record *record)
{
	if (record->type < WAL_PUT || record->type > WAL_PUTSLOT)
		return false;
	if (record->type != WAL_PUT && record->payload_bytes != 0)
		return false;
	if (record->type == WAL_PUTSLOT)
		return record->slot <= SLOT_MAX && record->lsn != scan->bad_slot_lsn;
	return record->type != WAL_PUT ||
	       (record->payload_bytes == scan->vector_bytes && record->slot <= SLOT_MAX);
}

static bool payload_valid(const struct wal_scan *scan, const struct wal_record *record,
                          const uint8_t *payload)
{
	return vector_sum(record->id, record->lsn, XXH3_64bits(payload, scan->vector_bytes)) ==
	       record->sum;
}

/* Whether there is a record at `at` that is whole and follows the one before; the first one has to
 * follow the checkpoint, or what came before it is missing. 1, 0 or -errno. The bytes from `keep`
 * on stay in memory with it. */
static int record_at(struct wal_reader *reader, uint64_t keep, uint64_t at, uint64_t prev,
                     bool chained, struct wal_record *record)
{
	const struct wal_scan *scan = reader->scan;
	const uint64_t size = reader->source.size_bytes;
	const uint8_t *bytes;
	int r;

	if (at + WAL_RECORD_HEADER_BYTES > size)
		return 0;
	r = wal_reader_get(reader, keep, at, WAL_RECORD_HEADER_BYTES, &bytes);
	if (r)
		return r;
	if (!wal_record_decode(record, bytes, size - at, at, reader->salt) ||
	    !(chained ? record->prev_lsn == prev : record->prev_lsn <= scan->checkpoint_lsn) ||
	    record->lsn < record->prev_lsn || !fields_valid(scan, record))
		return 0;
	if (record->type != WAL_PUT)
		return 1;
	r = wal_reader_get(reader, keep, at, WAL_RECORD_HEADER_BYTES + scan->vector_bytes, &bytes);
	return r ? r : payload_valid(scan, record, bytes + WAL_RECORD_HEADER_BYTES);
}

int wal_reader_commit(struct wal_reader *reader, uint64_t keep, uint64_t at, uint64_t *end)
{
	struct wal_record record = { 0 };
	uint64_t prev = reader->tail_lsn;
	bool chained = reader->chained;
	uint64_t to = at;
	int r;

	*end = at;
	while ((r = record_at(reader, keep, to, prev, chained, &record)) > 0) {
		if (to == at)
			reader->first = record;
		to += record.length_bytes;
		prev = record.lsn;
		chained = true;
		if (!record.more) {
			reader->found_lsn = prev;
			*end = to;
			return 0;
		}
	}
	return r;
}

/* The same, and where the disk has no whole commit, look whether the kernel does: it failed to
 * write it then. From there on its cache is read. */
static int find_commit(struct wal_reader *reader, uint64_t at, uint64_t *end)
{
	struct wal_source disk;
	struct wal_source *cache = &reader->source;
	int c;
	int r = wal_reader_commit(reader, at, at, end);

	if (r || *end > at || reader->source.cached)
		return r;
	disk = reader->source;
	*cache = (struct wal_source){ .io = disk.io,
		                      .wal_fd = disk.wal_fd,
		                      .number = disk.number,
		                      .size_bytes = disk.size_bytes,
		                      .fd = -1 };
	r = wal_source_turn(cache, true);
	if (r == 0)
		r = wal_reader_commit(reader, at, at, end);
	if (r == 0 && *end > at) {
		c = wal_source_close(&disk);
		wal_source_free(&disk);
		return c;
	}
	c = wal_source_close(cache);
	wal_source_free(cache);
	*cache = disk;
	return r ? r : c;
}

static struct wal_place place_at(const struct wal_reader *reader, uint64_t at)
{
	return (struct wal_place){ .segment = reader->source.number,
		                   .offset = at,
		                   .prev_lsn = reader->tail_lsn,
		                   .chained = reader->chained };
}

/* Hand a record over, whose bytes are in memory. */
static int hand_over(struct wal_reader *reader, const struct wal_record *record, uint64_t keep,
                     uint64_t at)
{
	struct wal_scan *scan = reader->scan;
	const uint8_t *bytes;
	int r;

	scan->segment = reader->source.number;
	scan->offset = at;
	if (!scan->each)
		return 0;
	r = wal_reader_get(reader, keep, at, WAL_RECORD_HEADER_BYTES + record->payload_bytes,
	                   &bytes);
	return r ? r : scan->each(scan->arg, record, bytes + WAL_RECORD_HEADER_BYTES);
}

/* Keep a record of the commit that begins at `place`, before which what is kept ended at `before`: all
 * of a commit is kept or nothing. */
static void keep(struct wal_reader *reader, const struct wal_record *record, uint64_t at,
                 const struct wal_place *place, const struct wal_kept_at *before)
{
	struct wal_kept *kept = reader->scan->kept;

	if (kept->more || wal_kept_add(kept, record, at))
		return;
	kept->end = *before;
	kept->more = true;
	kept->rest = *place;
}

/* The records of a commit that is whole. */
static int deliver(struct wal_reader *reader, uint64_t from, uint64_t to)
{
	struct wal_scan *scan = reader->scan;
	const struct wal_place place = place_at(reader, from);
	struct wal_record record = reader->first;
	struct wal_kept_at before;
	int r = 0;

	if (scan->kept)
		before = scan->kept->end;
	if (reader->source.cached && reader->now.cached.offset == 0)
		reader->now.cached = place;
	for (uint64_t at = from; r == 0 && at < to; at += record.length_bytes) {
		if (at > from)
			r = record_at(reader, from, at, reader->tail_lsn, true, &record);
		if (at > from && r <= 0)
			return r ? r : -EBADMSG; /* it was whole a moment ago */
		r = 0;
		if (record.lsn > scan->checkpoint_lsn) {
			r = hand_over(reader, &record, from, at);
			if (r)
				break;
			if (!reader->again) {
				scan->records++;
				if (scan->kept)
					keep(reader, &record, at, &place, &before);
			}
		}
		if (record.durable_lsn > scan->durable_lsn)
			scan->durable_lsn = record.durable_lsn;
		reader->tail_lsn = record.lsn;
		reader->chained = true;
	}
	reader->now.last_lsn = reader->tail_lsn;
	reader->now.end = to;
	if (reader->tail_lsn > scan->last_lsn)
		scan->last_lsn = reader->tail_lsn;
	return r;
}

int wal_reader_commits(struct wal_reader *reader, uint64_t *at)
{
	uint64_t end;
	int r;

	while ((r = find_commit(reader, *at, &end)) == 0 && end > *at) {
		r = deliver(reader, *at, end);
		if (r)
			return r;
		*at = end;
	}
	return r;
}

/* Whether any of SALT_WORDS words is the salt. */
static bool has_salt(const uint8_t *bytes, uint64_t salt)
{
	uint64_t found = 0;

	for (unsigned i = 0; i < SALT_WORDS; i++)
		found |= get_le64(bytes + i * sizeof(uint64_t)) == salt;
	return found != 0;
}

/* Look at the bytes from `at` to `end`, which are in memory: a record may begin at each of them
 * that has room for its header before `end`. True where one does. */
static bool look_at(struct wal_reader *reader, const uint8_t *bytes, uint64_t at, uint64_t end)
{
	const uint64_t most = SALT_WORDS * sizeof(uint64_t);
	struct wal_scan *scan = reader->scan;
	struct wal_record record;
	bool found = false;

	for (uint64_t p = at; p + WAL_RECORD_HEADER_BYTES <= end; p += 8, bytes += 8) {
		if ((p - at) % most == 0 && p + WAL_RECORD_SALT_AT + most <= end &&
		    !has_salt(bytes + WAL_RECORD_SALT_AT, reader->salt)) {
			p += most - 8;
			bytes += most - 8;
			continue;
		}
		if (get_le64(bytes + WAL_RECORD_SALT_AT) != reader->salt ||
		    !wal_record_decode(&record, bytes, reader->source.size_bytes - p, p,
		                       reader->salt))
			continue;
		found = true;
		if (record.durable_lsn > scan->durable_lsn)
			scan->durable_lsn = record.durable_lsn;
	}
	return found;
}

/* What lies behind the end: does any record there tell of a later durable LSN? */
static int look_behind(struct wal_reader *reader, uint64_t at)
{
	struct wal_scan *scan = reader->scan;
	const uint64_t size = reader->source.size_bytes;
	const uint8_t *bytes;
	bool remains = false;
	uint64_t p = at;
	uint64_t end;

	while (p + WAL_RECORD_HEADER_BYTES <= size) {
		int r = wal_reader_get(reader, p, p, WAL_RECORD_HEADER_BYTES, &bytes);

		if (r)
			return r;
		if (p == at)
			remains = get_le64(bytes + WAL_RECORD_SALT_AT) == reader->salt;
		end = reader->source.end < size ? reader->source.end : size;
		remains = look_at(reader, bytes, p, end) || remains;
		p = end - WAL_RECORD_HEADER_BYTES + 8;
	}
	if (remains && !scan->torn) {
		scan->torn = true;
		scan->torn_segment = reader->source.number;
		scan->torn_offset = at;
	}
	return 0;
}

/* The records of a segment, and what is behind them. */
static int read_records(struct wal_reader *reader)
{
	struct wal_scan *scan = reader->scan;
	uint64_t at = WAL_HEADER_BYTES;
	int r;

	if (!scan->torn) {
		r = wal_reader_commits(reader, &at);
		if (r)
			return r;
		if (at > WAL_HEADER_BYTES || scan->torn_segment == 0) {
			scan->torn_offset = at;
			scan->torn_segment = reader->source.number;
		}
	}
	return look_behind(reader, at);
}

static int read_segment(struct wal_reader *reader, uint64_t number)
{
	struct wal_scan *scan = reader->scan;
	int r = wal_reader_segment(reader, number);
	int c;

	reader->now = (struct wal_kept_segment){ .number = number };
	scan->segment = number;
	if (r == 0)
		r = read_records(reader);
	else if (r == -EBADMSG)
		r = 0; /* made, but never used; or damage, which durable_lsn tells */
	else if (r == -EFBIG) {
		r = 0;
		scan->oversized = true;
		if (!scan->torn) {
			scan->torn = true;
			scan->torn_segment = number;
			scan->torn_offset = 0;
		}
	}
	c = wal_source_close(&reader->source);
	if (r == 0 && scan->kept)
		r = wal_kept_add_segment(scan->kept, &reader->now);
	return r ? r : c;
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

int wal_reader_open(struct wal_reader *reader, struct wal_scan *scan)
{
	*reader = (struct wal_reader){ .scan = scan, .source = { .io = scan->io, .fd = -1 } };
	reader->source.wal_fd =
		scan->io->open(scan->io, scan->dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
	if (reader->source.wal_fd == -ENOENT)
		culprit_note("wal", -ENOENT,
		             "the folder of the log is missing, and the store was not closed, so "
		             "commits after its last checkpoint are lost; copy the folder from "
		             "where the store comes from, or make an empty one and run "
		             "`quiverfs check --repair`");
	return reader->source.wal_fd < 0 ? reader->source.wal_fd : 0;
}

int wal_reader_close(struct wal_reader *reader)
{
	int c = wal_source_close(&reader->source);
	int d = reader->scan->io->close(reader->scan->io, reader->source.wal_fd);

	wal_source_free(&reader->source);
	free(reader->numbers);
	return c ? c : d;
}

bool wal_scan_corrupt(const struct wal_scan *scan)
{
	return scan->durable_lsn > scan->last_lsn || scan->oversized;
}

int wal_scan(struct wal_scan *scan)
{
	struct wal_reader reader;
	int c;
	int r = wal_reader_open(&reader, scan);

	if (r)
		return r;
	if (scan->kept)
		wal_kept_clear(scan->kept);
	scan->records = scan->durable_lsn = scan->last_segment = 0;
	scan->torn = scan->oversized = false;
	scan->torn_segment = scan->torn_offset = 0;
	scan->last_lsn = scan->checkpoint_lsn;
	r = list_segments(&reader);
	for (size_t i = 0; r == 0 && i < reader.count; i++) {
		if (i + 1 < reader.count)
			prepare(&reader, reader.numbers[i + 1]);
		r = read_segment(&reader, reader.numbers[i]);
	}
	if (r == 0)
		r = read_durable(scan);
	c = wal_reader_close(&reader);
	return r ? r : c;
}
