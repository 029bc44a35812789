/* What a scan of the log has found, once more: handed over, written and synced, its payloads. */
#include <errno.h>
#include <fcntl.h>

#include <xxhash.h>

#include "engine/log/wal_payload.h"
#include "engine/log/wal_reader.h"
#include "engine/media/meta_row.h"

/* How many records before it is handed over one is announced. */
#define SOON_RECORDS 16u
/* Written again at once. */
#define AGAIN_BYTES (UINT64_C(1) << 20)

/* Commits that were not kept, up to the end that was found. */
static int read_rest(struct wal_reader *reader)
{
	struct wal_scan *scan = reader->scan;
	const struct wal_kept *kept = scan->kept;
	const uint64_t last_lsn = scan->last_lsn;
	int r = 0;

	reader->again = true;
	reader->tail_lsn = kept->rest.prev_lsn;
	reader->chained = kept->rest.chained;
	for (size_t i = 0; r == 0 && i < kept->segment_count; i++) {
		const struct wal_kept_segment *segment = &kept->segments[i];
		uint64_t at = segment->number == kept->rest.segment ? kept->rest.offset
		                                                    : WAL_HEADER_BYTES;
		int c;

		if (segment->number < kept->rest.segment || segment->last_lsn == 0)
			continue;
		r = wal_reader_segment(reader, segment->number);
		if (r == 0)
			r = wal_reader_commits(reader, &at);
		c = wal_source_close(&reader->source);
		r = r ? r : c;
	}
	/* It was there a moment ago. */
	return r == -EBADMSG || (r == 0 && reader->tail_lsn != last_lsn) ? -EIO : r;
}

/* What is kept, in order. */
static int hand_over_kept(struct wal_scan *scan)
{
	const struct wal_kept *kept = scan->kept;
	struct wal_kept_record ahead[SOON_RECORDS] = { 0 };
	struct wal_kept_at at = { 0 };
	size_t done = 0;
	int r = 0;

	while (r == 0 && done < kept->end.count) {
		const struct wal_kept_record *now = &ahead[done % SOON_RECORDS];

		while (at.count - done < SOON_RECORDS && wal_kept_next(kept, &at)) {
			ahead[(at.count - 1) % SOON_RECORDS] = at.before;
			if (scan->soon)
				scan->soon(scan->arg, &at.before.record);
		}
		scan->segment = kept->segments[now->segment].number;
		scan->offset = now->offset;
		r = scan->each(scan->arg, &now->record, NULL);
		done++;
	}
	return r;
}

int wal_scan_again(struct wal_scan *scan)
{
	struct wal_reader reader;
	int c;
	int r = hand_over_kept(scan);

	if (r || !scan->kept->more)
		return r;
	r = wal_reader_open(&reader, scan);
	if (r)
		return r;
	r = read_rest(&reader);
	c = wal_reader_close(&reader);
	return r ? r : c;
}

/* ---- making it durable ------------------------------------------------------ */

/* Write what came through the kernel's cache to its place once more, having looked that it is still
 * what was read. */
static int write_again(struct wal_reader *reader, const struct wal_kept_segment *segment, int fd)
{
	const struct quiver_io *io = reader->scan->io;
	uint64_t from = segment->cached.offset; /* not written yet */
	uint64_t at = from;
	const uint8_t *bytes;
	uint64_t end;
	int r;

	reader->tail_lsn = segment->cached.prev_lsn;
	reader->chained = segment->cached.chained;
	while (at < segment->end) {
		r = wal_reader_commit(reader, from, at, &end);
		if (r || end == at)
			return r ? r : -EIO;
		reader->tail_lsn = reader->found_lsn;
		reader->chained = true;
		at = end;
		if (at - from < AGAIN_BYTES && at < segment->end)
			continue;
		r = wal_reader_get(reader, from, from, at - from, &bytes);
		if (r == 0)
			r = io_write_all(io, fd, bytes, at - from, from);
		if (r)
			return r;
		from = at;
	}
	return 0;
}

static int settle_segment(struct wal_reader *reader, const struct wal_kept_segment *segment)
{
	const struct quiver_io *io = reader->scan->io;
	const bool writes = segment->cached.offset > 0;
	char name[64];
	int fd;
	int c;
	int r;

	wal_segment_name(segment->number, name);
	fd = io->open(io, reader->source.wal_fd, name, O_RDWR, 0);
	if (fd < 0)
		return fd;
	r = writes ? wal_reader_segment(reader, segment->number) : 0;
	if (r == 0 && writes && !reader->source.cached)
		r = wal_source_turn(&reader->source, true);
	if (r == 0 && writes)
		r = write_again(reader, segment, fd);
	if (r == 0)
		r = io_fdatasync(io, fd);
	c = wal_source_close(&reader->source);
	r = r ? r : c;
	c = io->close(io, fd);
	return r ? r : c;
}

int wal_settle(struct wal_scan *scan, uint64_t above_lsn)
{
	const struct wal_kept *kept = scan->kept;
	struct wal_reader reader;
	int c;
	int r = wal_reader_open(&reader, scan);

	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < kept->segment_count; i++)
		if (kept->segments[i].last_lsn > above_lsn)
			r = settle_segment(&reader, &kept->segments[i]);
	c = wal_reader_close(&reader);
	return r == -EBADMSG ? -EIO : r ? r : c;
}

/* ---- payloads ------------------------------------------------------------- */

/* The payload at the place of scan->segment and scan->offset, if it is what the sum says. */
static int read_payload(struct wal_source *source, const struct wal_scan *scan,
                        const struct wal_record *record, const void **payload)
{
	const uint64_t length = WAL_RECORD_HEADER_BYTES + (uint64_t)record->payload_bytes;
	const uint8_t *bytes;
	int r;

	if (scan->offset + length > source->size_bytes)
		return -EBADMSG;
	r = wal_source_get(source, scan->offset, scan->offset, length, &bytes);
	if (r)
		return r;
	*payload = bytes + WAL_RECORD_HEADER_BYTES;
	return vector_sum(record->id, record->lsn, XXH3_64bits(*payload, record->payload_bytes)) ==
	                       record->sum
	               ? 0
	               : -EBADMSG;
}

static int turn_to(struct wal_payloads *payloads, const struct wal_scan *scan)
{
	struct wal_source *source = &payloads->source;
	int c;

	if (!payloads->open) {
		*source = (struct wal_source){ .io = scan->io, .fd = -1 };
		source->wal_fd =
			scan->io->open(scan->io, scan->dir_fd, "wal", O_RDONLY | O_DIRECTORY, 0);
		if (source->wal_fd < 0)
			return source->wal_fd;
		payloads->open = true;
	} else if (source->fd >= 0 && source->number == scan->segment) {
		return 0;
	}
	c = wal_source_close(source);
	return c ? c : wal_source_open(source, scan->segment);
}

int wal_payload(struct wal_payloads *payloads, const struct wal_scan *scan,
                const struct wal_record *record, const void **payload)
{
	struct wal_source *source = &payloads->source;
	int r = turn_to(payloads, scan);

	if (r)
		return r;
	r = read_payload(source, scan, record, payload);
	if (r && r != -ENOMEM && !source->cached) {
		source->only_cached = source->only_cached || r == -EINVAL;
		r = wal_source_turn(source, true);
		if (r == 0)
			r = read_payload(source, scan, record, payload);
	}
	return r == -EBADMSG || r == -ENODATA ? -EIO : r;
}

int wal_payloads_end(struct wal_payloads *payloads)
{
	struct wal_source *source = &payloads->source;
	int c;
	int d;

	if (!payloads->open)
		return 0;
	payloads->open = false;
	c = wal_source_close(source);
	d = source->io->close(source->io, source->wal_fd);
	wal_source_free(source);
	return c ? c : d;
}
