/* Appending to the log, syncing and cutting it. The files themselves are made in
 * wal_segment.c. */
#include "engine/log/wal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sizes.h"
#include "engine/log/wal_segment.h"
#include "engine/media/bytes.h"

#define PARTS_MAX 768 /* of one pwritev; three for a record; IOV_MAX is 1024 */
#define STREAM_RECORDS 512u /* 142 KiB; in one write */
#define WIPE_CHUNK_BYTES 65536u
#define PAGE_BYTES_MAX 65536u /* of memory, on any machine */

uint64_t wal_record_bytes(uint32_t payload_bytes)
{
	return WAL_RECORD_HEADER_BYTES + ((uint64_t)payload_bytes + 7) / 8 * 8;
}

/* The segment appended to. lock held: a cut moves it in the array. */
static struct wal_segment *active(struct wal *wal)
{
	assert(wal->count > 0);
	return &wal->segments[wal->count - 1];
}

/* What it is now; only the writer changes its end, so under the writer lock this stays true. */
static struct wal_segment active_now(struct wal *wal)
{
	struct wal_segment segment;

	pthread_mutex_lock(&wal->lock);
	segment = *active(wal);
	pthread_mutex_unlock(&wal->lock);
	return segment;
}

void wal_set_slots(struct wal *wal, uint32_t vector_bytes, int (*sync_slots)(void *arg), void *arg)
{
	wal->vector_bytes = vector_bytes;
	wal->sync_slots = sync_slots;
	wal->sync_slots_arg = arg;
}

static void note_room(struct wal *wal)
{
	atomic_store(&wal->room_bytes, active(wal)->size_bytes - active(wal)->end);
}

/* Go on in the ready segment. Writer lock; false where none is ready. */
static bool switch_segment(struct wal *wal)
{
	bool can;

	pthread_mutex_lock(&wal->lock);
	can = wal->ready.fd >= 0 && wal->count < WAL_SEGMENTS_MAX;
	if (can) {
		wal->segments[wal->count++] = wal->ready;
		wal->ready.fd = -1;
		note_room(wal);
	}
	pthread_mutex_unlock(&wal->lock);
	return can;
}

static bool ready_holds(struct wal *wal, uint64_t bytes)
{
	bool yes;

	pthread_mutex_lock(&wal->lock);
	yes = wal->ready.fd >= 0 && wal->ready.size_bytes - WAL_HEADER_BYTES >= bytes;
	pthread_mutex_unlock(&wal->lock);
	return yes;
}

/* The disk has no room for another segment. The one there is serves again if nothing in it is
 * needed any more. */
static int start_over(struct wal *wal, uint64_t bytes)
{
	struct wal_segment segment;
	bool can;
	int r = -ENOSPC;

	/* Nobody makes a segment with a lower number meanwhile. */
	pthread_mutex_lock(&wal->prepare_lock);
	pthread_mutex_lock(&wal->sync_lock);
	segment = active_now(wal);
	pthread_mutex_lock(&wal->lock);
	can = wal->count == 1 && wal->ready.fd < 0 && segment.last_lsn <= wal->cut_lsn &&
	      segment.size_bytes - WAL_HEADER_BYTES >= bytes;
	pthread_mutex_unlock(&wal->lock);
	if (can) {
		r = wal_segment_again(wal, &segment);
		pthread_mutex_lock(&wal->lock);
		*active(wal) = segment;
		note_room(wal);
		pthread_mutex_unlock(&wal->lock);
	}
	pthread_mutex_unlock(&wal->sync_lock);
	pthread_mutex_unlock(&wal->prepare_lock);
	return r;
}

int wal_make_room(struct wal *wal, uint64_t bytes, bool nowait)
{
	int r;

	/* Only the writer makes it less. */
	if (atomic_load(&wal->room_bytes) >= bytes)
		return 0;
	if (bytes > WAL_FILE_BYTES_MAX - WAL_HEADER_BYTES)
		return -E2BIG;
	if (!ready_holds(wal, bytes)) {
		if (nowait)
			return -EAGAIN;
		r = wal_segment_prepare(wal, bytes);
		if (r == -ENOSPC)
			return start_over(wal, bytes);
		if (r)
			return health_judge(wal->health, HEALTH_LOG_SEGMENT, r);
	}
	return switch_segment(wal) ? 0 : -ENOSPC;
}

/* Where a sync fails the kernel tells one of those who are in one: so there is one at a time, and
 * what it was told stays. sync_lock. */
static int sync_wiped(struct wal *wal, const struct wal_segment *segment)
{
	int r = wal->sync_error;

	if (r == 0)
		r = wal->sync_error = io_fdatasync(wal->io, segment->fd);
	return r;
}

/* What a failed append may have left must not be read as records later. */
static int wipe(struct wal *wal, const struct wal_segment *segment, uint64_t bytes)
{
	static const uint8_t zeros[WIPE_CHUNK_BYTES];
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < bytes; done += WIPE_CHUNK_BYTES) {
		uint64_t n = bytes - done < WIPE_CHUNK_BYTES ? bytes - done : WIPE_CHUNK_BYTES;

		r = io_write_all(wal->io, segment->fd, zeros, n, segment->end + done);
	}
	if (r)
		return r;
	pthread_mutex_lock(&wal->sync_lock);
	r = sync_wiped(wal, segment);
	pthread_mutex_unlock(&wal->sync_lock);
	return r;
}

/* Fill in what the log knows, and encode the headers one after the other into `headers`.
 * `prev` is the LSN before them. Returns the bytes that all records take. */
static uint64_t encode_all(struct wal *wal, const struct wal_segment *segment, uint64_t prev,
                           struct wal_record *records, size_t count, uint8_t *headers)
{
	uint64_t durable = atomic_load(&wal->durable_lsn);
	uint64_t at = segment->end;

	for (size_t i = 0; i < count; i++) {
		records[i].length_bytes = (uint32_t)wal_record_bytes(records[i].payload_bytes);
		records[i].salt = segment->salt;
		records[i].prev_lsn = prev;
		records[i].durable_lsn = durable;
		wal_record_encode(&records[i], at, headers + i * WAL_RECORD_HEADER_BYTES);
		prev = records[i].lsn;
		at += records[i].length_bytes;
	}
	return at - segment->end;
}

/* Add bytes to the parts of a write; what follows the last part in memory makes it longer. */
static void add_part(struct iovec *parts, int *n, const void *from, size_t length)
{
	void *base = (void *)(uintptr_t)from;

	if (*n > 0 && (uint8_t *)parts[*n - 1].iov_base + parts[*n - 1].iov_len == base)
		parts[*n - 1].iov_len += length;
	else
		parts[(*n)++] = (struct iovec){ .iov_base = base, .iov_len = length };
}

static int write_all(struct wal *wal, const struct wal_segment *segment,
                     const struct wal_record *records, const void *const *payloads, size_t count,
                     uint8_t *headers, bool through_map)
{
	static const uint8_t padding[8];
	struct iovec parts[PARTS_MAX];
	uint64_t at = segment->end;
	uint64_t length = 0;
	int n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		uint32_t pad = records[i].length_bytes - WAL_RECORD_HEADER_BYTES -
		               records[i].payload_bytes;

		add_part(parts, &n, headers + i * WAL_RECORD_HEADER_BYTES, WAL_RECORD_HEADER_BYTES);
		if (records[i].payload_bytes)
			add_part(parts, &n, payloads[i], records[i].payload_bytes);
		if (pad)
			add_part(parts, &n, padding, pad);
		length += records[i].length_bytes;
		if (n > PARTS_MAX - 3 || i + 1 == count) {
			r = through_map
			            ? map_store_fill(&segment->map, wal->io, at, length, parts, n)
			            : io_writev_all(wal->io, segment->fd, parts, n, at);
			at += length;
			length = 0;
			n = 0;
		}
	}
	return r;
}

/* One record through the map. A process can be killed amid its stores, as it cannot amid a call, so
 * the salt, without which there is no record, comes last. */
static int append_in_map(struct wal *wal, const struct wal_segment *segment,
                         const struct wal_record *record, const void *const *payload,
                         uint8_t *header)
{
	uint8_t salt[sizeof(uint64_t)];
	int r;

	put_le64(salt, segment->salt);
	put_le64(header + WAL_RECORD_SALT_AT, 0);
	r = write_all(wal, segment, record, payload, 1, header, true);
	if (r == 0)
		r = map_store_words(&segment->map, wal->io, segment->end + WAL_RECORD_SALT_AT, salt,
		                    sizeof(salt));
	memcpy(header + WAL_RECORD_SALT_AT, salt, sizeof(salt));
	return r;
}

/* Bytes that are in slots and not in the log. */
static uint64_t slot_bytes(const struct wal *wal, const struct wal_record *records, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		if (records[i].type == WAL_PUTSLOT)
			bytes += wal->vector_bytes;
	return bytes;
}

/* Records on their way to the end of the active segment. */
struct appending {
	struct wal_segment segment; /* as it was before them */
	uint64_t bytes; /* of theirs; where writing failed, that may be there */
	uint64_t in_slots; /* bytes that they name */
	uint64_t last_lsn;
	bool through_map;
};

/* They are with the kernel, where `r` is 0. As wal_append. */
static int end_append(struct wal *wal, const struct appending *done, int r)
{
	if (r) {
		int wiped = health_judge(wal->health, HEALTH_LOG_WIPE,
		                         wipe(wal, &done->segment, done->bytes));

		return wiped ? wiped : health_judge(wal->health, HEALTH_LOG_RECORD, r);
	}
	wal->last_lsn = done->last_lsn;
	pthread_mutex_lock(&wal->lock);
	if (done->through_map && active(wal)->mapped_from == 0)
		active(wal)->mapped_from = done->segment.end;
	active(wal)->end += done->bytes;
	active(wal)->last_lsn = wal->last_lsn;
	active(wal)->dirty = true;
	wal->appended_lsn = wal->last_lsn;
	wal->slots_dirty |= done->in_slots > 0;
	note_room(wal);
	pthread_mutex_unlock(&wal->lock);
	atomic_fetch_add(&wal->appended_bytes, done->bytes + done->in_slots);
	return 0;
}

int wal_append(struct wal *wal, struct wal_record *records, const void *const *payloads,
               size_t count, bool sync_next)
{
	struct appending now = { .segment = active_now(wal) };
	uint8_t few[8 * WAL_RECORD_HEADER_BYTES];
	uint8_t *headers = few;
	int r;

	if (count > sizeof(few) / WAL_RECORD_HEADER_BYTES) {
		headers = malloc(count * WAL_RECORD_HEADER_BYTES);
		if (!headers)
			return -ENOMEM;
	}
	now.in_slots = slot_bytes(wal, records, count);
	now.last_lsn = records[count - 1].lsn;
	now.through_map = now.segment.map.map && count == 1 && !sync_next;
	now.bytes = encode_all(wal, &now.segment, wal->last_lsn, records, count, headers);
	assert(now.segment.end + now.bytes <= now.segment.size_bytes);
	r = now.through_map ? append_in_map(wal, &now.segment, records, payloads, headers) : -EIO;
	if (r) /* a page of the map cannot be had: this says why */
		r = write_all(wal, &now.segment, records, payloads, count, headers, false);
	if (headers != few)
		free(headers);
	return end_append(wal, &now, r);
}

/* What a stream has in memory at once. */
struct stream_part {
	struct wal_record records[STREAM_RECORDS];
	uint8_t headers[STREAM_RECORDS * WAL_RECORD_HEADER_BYTES];
};

int wal_append_stream(struct wal *wal,
                      size_t (*next)(void *arg, struct wal_record *records, size_t room), void *arg)
{
	struct appending now = { .segment = active_now(wal), .last_lsn = wal->last_lsn };
	struct stream_part *part = malloc(sizeof(*part));
	size_t n;
	int r = 0;

	if (!part)
		return -ENOMEM;
	while (r == 0 && (n = next(arg, part->records, STREAM_RECORDS)) > 0) {
		struct wal_segment segment = now.segment;
		uint64_t bytes;

		segment.end += now.bytes;
		bytes = encode_all(wal, &segment, now.last_lsn, part->records, n, part->headers);
		assert(bytes == n * WAL_RECORD_HEADER_BYTES);
		assert(segment.end + bytes <= segment.size_bytes);
		r = io_write_all(wal->io, segment.fd, part->headers, bytes, segment.end);
		now.bytes += bytes;
		now.last_lsn = part->records[n - 1].lsn;
	}
	free(part);
	return end_append(wal, &now, r);
}

/* 0; -EAGAIN it is not mapped, -EIO nothing can be stored there. */
static int store_note(struct wal *wal, uint64_t lsn)
{
	uint8_t words[DURABLE_NOTE_BYTES];
	unsigned note = wal->next_note++ % DURABLE_NOTES;

	durable_note_encode(lsn, note, wal->uuid, words);
	return map_store_words(&wal->durable, wal->io, durable_note_at(note), words, sizeof(words));
}

/* Tell the file `durable` what the sync has achieved, without a call where that can be. It is a
 * witness against corruption, not something that recovery needs, so it is not synced itself.
 * sync_lock. */
static int note_durable(struct wal *wal, uint64_t lsn)
{
	uint8_t page[WAL_HEADER_BYTES];
	int r = store_note(wal, lsn);

	if (r == 0)
		return 0;
	if (r == -EIO) /* and would the next time */
		(void)map_store_close(&wal->durable, wal->io);
	durable_encode(lsn, wal->uuid, page);
	return io_write_all(wal->io, wal->durable_fd, page, sizeof(page), 0);
}

static void unmap_pages(const struct wal_segment *segment)
{
	uint64_t from = segment->mapped_from / PAGE_BYTES_MAX * PAGE_BYTES_MAX;

	if (segment->mapped_from > 0)
		map_store_drop(&segment->map, from, segment->end - from);
}

/* Sync the slots that records name, then every dirty segment, oldest first. sync_lock, which
 * keeps the segments from being let go. */
static int sync_dirty(struct wal *wal, uint64_t *reached)
{
	struct wal_segment dirty[WAL_SEGMENTS_MAX];
	bool slots;
	size_t n = 0;
	int r = 0;

	pthread_mutex_lock(&wal->lock);
	*reached = wal->appended_lsn;
	slots = wal->slots_dirty;
	wal->slots_dirty = false;
	for (size_t i = 0; i < wal->count; i++)
		if (wal->segments[i].dirty) {
			dirty[n++] = wal->segments[i];
			wal->segments[i].dirty = false;
			wal->segments[i].mapped_from = 0;
		}
	pthread_mutex_unlock(&wal->lock);
	if (slots)
		r = wal->sync_slots(wal->sync_slots_arg);
	for (size_t i = 0; r == 0 && i < n; i++) {
		unmap_pages(&dirty[i]);
		r = io_fdatasync(wal->io, dirty[i].fd);
	}
	return r;
}

int wal_sync(struct wal *wal, uint64_t lsn)
{
	uint64_t reached;
	uint64_t began;
	int r;

	pthread_mutex_lock(&wal->sync_lock);
	began = clock_monotonic_ns();
	/* A second sync would claim success for pages that the kernel has dropped. */
	r = wal->sync_error;
	if (r == 0 && atomic_load(&wal->durable_lsn) < lsn) {
		r = sync_dirty(wal, &reached);
		if (r == 0)
			r = note_durable(wal, reached);
		r = health_judge(wal->health, HEALTH_LOG_SYNC, r);
		wal->sync_error = r;
		if (r == 0) {
			atomic_store(&wal->durable_lsn, reached);
			atomic_fetch_add(&wal->syncs, 1);
			atomic_store(&wal->sync_ns, clock_monotonic_ns() - began);
		}
	}
	pthread_mutex_unlock(&wal->sync_lock);
	return r;
}

int wal_prepare(struct wal *wal)
{
	return health_judge(wal->health, HEALTH_LOG_SEGMENT_AHEAD, wal_segment_prepare(wal, 0));
}

bool wal_wants_prepare(struct wal *wal)
{
	bool wants;

	pthread_mutex_lock(&wal->lock);
	/* Not before the active one is a quarter full: a quiet store needs one segment. */
	wants = wal->ready.fd < 0 && wal->count > 0 &&
	        active(wal)->end > active(wal)->size_bytes / 4;
	pthread_mutex_unlock(&wal->lock);
	return wants;
}

int wal_cut(struct wal *wal, uint64_t lsn)
{
	struct wal_segment gone[WAL_SEGMENTS_MAX];
	size_t n = 0;
	size_t kept = 0;
	int r = 0;

	pthread_mutex_lock(&wal->sync_lock);
	pthread_mutex_lock(&wal->lock);
	for (size_t i = 0; i < wal->count; i++) {
		if (i + 1 < wal->count && wal->segments[i].last_lsn <= lsn)
			gone[n++] = wal->segments[i];
		else
			wal->segments[kept++] = wal->segments[i];
	}
	wal->count = kept;
	wal->cut_lsn = lsn;
	if (n > 0 && wal->spare.fd < 0 && gone[n - 1].size_bytes >= WAL_SEGMENT_MAX_BYTES / 8 &&
	    gone[n - 1].size_bytes <= WAL_SEGMENT_MAX_BYTES)
		wal->spare = gone[--n];
	pthread_mutex_unlock(&wal->lock);
	pthread_mutex_unlock(&wal->sync_lock);
	for (size_t i = 0; i < n; i++) {
		int e = wal_segment_remove(wal, &gone[i]);

		r = r ? r : e;
	}
	return r;
}

uint64_t wal_first_above(struct wal *wal, uint64_t lsn)
{
	uint64_t number = 0;

	pthread_mutex_lock(&wal->lock);
	for (size_t i = 0; i < wal->count; i++)
		if (wal->segments[i].last_lsn > lsn || i + 1 == wal->count) {
			number = wal->segments[i].number;
			break;
		}
	pthread_mutex_unlock(&wal->lock);
	return number;
}

void wal_rotate(struct wal *wal)
{
	struct wal_segment segment = active_now(wal);

	if (segment.end > segment.size_bytes / 2)
		(void)switch_segment(wal); /* false: none is ready, so it stays */
}

void wal_usage(struct wal *wal, uint64_t *segments, uint64_t *file_bytes)
{
	pthread_mutex_lock(&wal->lock);
	*segments = wal->count;
	*file_bytes = 0;
	for (size_t i = 0; i < wal->count; i++)
		*file_bytes += wal->segments[i].size_bytes;
	if (wal->ready.fd >= 0)
		*file_bytes += wal->ready.size_bytes;
	if (wal->spare.fd >= 0)
		*file_bytes += wal->spare.size_bytes;
	pthread_mutex_unlock(&wal->lock);
}
