/*
 * stream.c - bytes to import, from a file, a pipe or standard input.
 */
#include "tools/formats/stream.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read at once: large enough that the calls cost nothing beside the copying. */
#define BUFFER_BYTES (256u << 10)
/* How often a wait for a pipe looks whether it shall go on. */
#define POLL_MS 100
/* Unpacked once more only to be passed over, at once. */
#define SCRAP_BYTES (16u << 10)

/* What kind of file it is. */
static int look(struct stream *stream)
{
	struct stat status;
	off_t base = 0;

	if (fstat(stream->fd, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!S_ISREG(status.st_mode))
		return 0;
	if (!stream->owned) {
		base = lseek(stream->fd, 0, SEEK_CUR);
		if (base < 0)
			return -errno;
	}
	stream->sized = true;
	stream->base = (uint64_t)base;
	stream->size = status.st_size > base ? (uint64_t)(status.st_size - base) : 0;
	/* a hint: reading is right without it */
	(void)posix_fadvise(stream->fd, base, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

int stream_open(const char *path, struct stream *stream)
{
	int flags, result;

	memset(stream, 0, sizeof(*stream));
	stream->path = path;
	stream->fd = STDIN_FILENO;
	if (strcmp(path, "-") == 0) {
		stream->path = "standard input";
	} else {
		/* not waiting for the writer of a FIFO that has none */
		stream->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (stream->fd < 0)
			return -errno;
		stream->owned = true;
		flags = fcntl(stream->fd, F_GETFL);
		if (flags < 0 || fcntl(stream->fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
			result = -errno;
			stream_close(stream);
			return result;
		}
	}
	result = look(stream);
	if (result < 0)
		stream_close(stream);
	return result;
}

void stream_close(struct stream *stream)
{
	if (stream->owned)
		(void)close(stream->fd); /* it was only read */
	unpack_end(stream->unpack);
	free(stream->lead);
	free(stream->buffer);
	memset(stream, 0, sizeof(*stream));
	stream->fd = -1;
}

/* Wait until there is something to read in a pipe, or a signal asked to stop: it may have
 * come to another thread, which interrupts nothing here. */
static int wait_for_bytes(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLIN };
	int ready = 0;

	while (ready == 0) {
		if (interrupted())
			return -EINTR;
		ready = poll(&wanted, 1, POLL_MS);
		if (ready < 0 && errno == EINTR)
			ready = 0;
	}
	return ready < 0 ? -errno : 0;
}

/* One read of the file, of what is at `offset` where there are places. */
static int64_t read_file(const struct stream *stream, bool sized, uint64_t offset, void *to,
                         size_t length)
{
	int result = sized ? 0 : wait_for_bytes(stream->fd);
	ssize_t got;

	if (result < 0)
		return result;
	do {
		if (sized)
			got = pread(stream->fd, to, length, (off_t)(stream->base + offset));
		else
			got = read(stream->fd, to, length);
	} while (got < 0 && errno == EINTR && !interrupted());
	return got < 0 ? -errno : got;
}

/* Packed bytes, for unpack_read. */
static int64_t read_packed(void *arg, void *to, size_t length)
{
	struct stream *stream = arg;
	int64_t got;

	if (stream->lead_length > 0) {
		got = (int64_t)(length < stream->lead_length ? length : stream->lead_length);
		memcpy(to, stream->lead + stream->lead_start, (size_t)got);
		stream->lead_start += (size_t)got;
		stream->lead_length -= (size_t)got;
	} else {
		free(stream->lead);
		stream->lead = NULL;
		got = read_file(stream, stream->packed_sized, stream->packed_offset, to, length);
	}
	if (got > 0)
		stream->packed_offset += (uint64_t)got;
	return got;
}

/* Begin to unpack, and pass over what was handed out before a rest. */
static int begin_unpacking(struct stream *stream)
{
	unsigned char passed[SCRAP_BYTES];
	uint64_t left = stream->offset;
	int64_t got = 1;

	stream->packed_offset = 0;
	stream->unpack = unpack_begin(stream->packed, stream->cut_is_end, read_packed, stream);
	if (stream->unpack == NULL)
		return -ENOMEM;
	while (left > 0 && got > 0) {
		got = unpack_read(stream->unpack, passed,
		                  left < sizeof(passed) ? (size_t)left : sizeof(passed));
		if (got > 0)
			left -= (uint64_t)got;
	}
	return got < 0 ? (int)got : 0;
}

static int64_t read_unpacked(struct stream *stream, void *to, size_t length)
{
	int64_t got = stream->unpack == NULL ? begin_unpacking(stream) : 0;

	if (got == 0)
		got = unpack_read(stream->unpack, to, length);
	stream->reason = NULL;
	if (got < 0 && stream->unpack != NULL && unpack_reason(stream->unpack)[0] != '\0')
		stream->reason = unpack_reason(stream->unpack);
	return got;
}

/* One read of what follows the buffer. */
static int64_t read_some(struct stream *stream, void *to, size_t length)
{
	if (stream->source != NULL)
		return stream->source(stream->source_arg, to, length);
	if (stream->packed != UNPACK_NONE)
		return read_unpacked(stream, to, length);
	return read_file(stream, stream->sized, stream->offset + stream->length, to, length);
}

/* Have room for `length` bytes from the start of what is buffered. */
static int make_room(struct stream *stream, size_t length)
{
	size_t room = stream->room > 0 ? stream->room : BUFFER_BYTES;
	unsigned char *buffer;

	if (stream->start > 0 && stream->room - stream->start < length) {
		memmove(stream->buffer, stream->buffer + stream->start, stream->length);
		stream->start = 0;
	}
	while (room < length)
		room *= 2;
	if (room == stream->room)
		return 0;
	buffer = realloc(stream->buffer, room);
	if (buffer == NULL)
		return -ENOMEM;
	stream->buffer = buffer;
	stream->room = room;
	return 0;
}

/* Read more into the buffer, as much as fits; the number of bytes, 0 at the end. One
 * byte stays free for a NUL. */
static int64_t fill(struct stream *stream, size_t wanted)
{
	size_t end;
	int64_t got;
	int result = make_room(stream, wanted + 1);

	if (result < 0)
		return result;
	end = stream->start + stream->length;
	got = read_some(stream, stream->buffer + end, stream->room - 1 - end);
	if (got > 0)
		stream->length += (size_t)got;
	return got;
}

int64_t stream_peek(struct stream *stream, size_t length, const unsigned char **at)
{
	while (stream->length < length) {
		int64_t got = fill(stream, length);

		if (got < 0)
			return got;
		if (got == 0)
			break;
	}
	*at = stream->buffer + stream->start;
	return (int64_t)(stream->length < length ? stream->length : length);
}

/* Say what is wrong with packed bytes that cannot be unpacked here. */
static int refuse_packed(struct stream *stream, const unsigned char *at, size_t length)
{
	const char *program = unpack_program(at, length);

	(void)snprintf(stream->reason_text, sizeof(stream->reason_text),
	               "it is compressed, but not with gzip or zstd, the only ones known here; use "
	               "'%s | quiverfs import STORE - --format NAME'",
	               program);
	stream->reason = stream->reason_text;
	return -EINVAL;
}

/* By what the bytes are packed, UNPACK_NONE for not at all, or an error. */
static int find_packing(struct stream *stream, bool by_start)
{
	const unsigned char *at = NULL;
	size_t unused;
	enum unpack_kind named = unpack_by_name(stream->path, &unused);
	enum unpack_kind begun;
	int64_t got;

	if (named == UNPACK_NONE && !by_start)
		return UNPACK_NONE;
	got = stream_peek(stream, UNPACK_LOOK_BYTES, &at);
	if (got <= 0)
		return (int)got; /* what is empty is packed by nobody */
	begun = unpack_by_start(at, (size_t)got);
	if (begun == UNPACK_OTHER)
		return refuse_packed(stream, at, (size_t)got);
	if (named == UNPACK_NONE || begun != UNPACK_NONE)
		return (int)begun;
	stream->reason = "its name says that it is compressed, but its content is not gzip or "
			 "zstd; rename the file";
	return -EINVAL;
}

int stream_unpack(struct stream *stream, bool by_start, bool cut_is_end)
{
	int kind = find_packing(stream, by_start);

	if (kind <= 0)
		return kind;
	stream->packed = (enum unpack_kind)kind;
	stream->cut_is_end = cut_is_end;
	stream->packed_sized = stream->sized;
	stream->packed_size = stream->size;
	stream->sized = false;
	stream->size = 0;
	if (!stream->packed_sized) {
		stream->lead = stream->buffer;
		stream->lead_start = stream->start;
		stream->lead_length = stream->length;
		stream->buffer = NULL;
	}
	free(stream->buffer);
	stream->buffer = NULL;
	stream->room = stream->start = stream->length = 0;
	return 0;
}

bool stream_progress(const struct stream *stream, uint64_t *done, uint64_t *size)
{
	*done = stream->packed_sized ? stream->packed_offset : stream->offset;
	*size = stream->packed_sized ? stream->packed_size : stream->size;
	return stream->packed_sized || stream->sized;
}

/* `length` bytes of the buffer are handed out. */
static void take(struct stream *stream, size_t length)
{
	stream->start += length;
	stream->length -= length;
	stream->offset += length;
	if (stream->length == 0)
		stream->start = 0;
}

int64_t stream_read(struct stream *stream, void *to, size_t length)
{
	size_t done = stream->length < length ? stream->length : length;

	if (done > 0) {
		memcpy(to, stream->buffer + stream->start, done);
		take(stream, done);
	}
	/* The buffer is empty now; the rest goes straight to its place. */
	while (done < length) {
		int64_t got = read_some(stream, (char *)to + done, length - done);

		/* what came before an error goes ahead of it: it comes again */
		if (got < 0 && (done == 0 || got == -EINTR))
			return got;
		if (got < 0)
			break;
		if (got == 0)
			break;
		done += (size_t)got;
		stream->offset += (uint64_t)got;
	}
	return (int64_t)done;
}

int64_t stream_skip(struct stream *stream, uint64_t length)
{
	uint64_t done = 0;

	while (done < length) {
		uint64_t left = length - done;
		const unsigned char *at;
		int64_t got = stream_peek(
			stream, left < BUFFER_BYTES / 2 ? (size_t)left : BUFFER_BYTES / 2, &at);

		if (got < 0)
			return got;
		if (got == 0)
			break;
		take(stream, (size_t)got);
		done += (uint64_t)got;
	}
	return (int64_t)done;
}

int stream_pass_mark(struct stream *stream)
{
	size_t length = strlen(STREAM_MARK);
	const unsigned char *at = NULL;
	int64_t got = stream_peek(stream, length, &at);

	if (got == (int64_t)length && memcmp(at, STREAM_MARK, length) == 0)
		got = stream_skip(stream, length);
	return got < 0 ? (int)got : 0;
}

/* Find the next line: its length with its end to *whole. 1, 0 at the end, or an error. */
static int find_line(struct stream *stream, size_t *whole)
{
	size_t looked = 0;

	for (;;) {
		const unsigned char *from = stream->buffer + stream->start;
		const unsigned char *found =
			stream->length > looked
				? memchr(from + looked, '\n', stream->length - looked)
				: NULL;
		int64_t got;

		if (found != NULL) {
			*whole = (size_t)(found - from) + 1;
			return 1;
		}
		looked = stream->length;
		if (looked > STREAM_LINE_BYTES_MAX)
			return -E2BIG;
		got = fill(stream, looked + 1);
		if (got < 0)
			return (int)got;
		if (got == 0) {
			*whole = looked;
			return looked > 0 ? 1 : 0;
		}
	}
}

/* Find the next line, and end it with a NUL, if not `keep`. */
static int next_line(struct stream *stream, bool keep, char **line, size_t *length)
{
	size_t whole = 0, text;
	char *at;
	int result = find_line(stream, &whole);

	if (result <= 0)
		return result;
	at = (char *)stream->buffer + stream->start;
	text = at[whole - 1] == '\n' ? whole - 1 : whole;
	if (text > 0 && text < whole && at[text - 1] == '\r')
		text--;
	*line = at;
	*length = text;
	if (!keep) {
		at[text] = '\0';
		take(stream, whole);
	}
	return 1;
}

const char *stream_strerror(const struct stream *stream, int result)
{
	if (result == -E2BIG)
		return "the line is longer than 4 MiB";
	return stream->reason != NULL ? stream->reason : strerror(-result);
}

int stream_line(struct stream *stream, char **line, size_t *length)
{
	return next_line(stream, false, line, length);
}

int stream_peek_line(struct stream *stream, char **line, size_t *length)
{
	return next_line(stream, true, line, length);
}

int64_t stream_read_at(const struct stream *stream, void *to, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got = pread(stream->fd, (char *)to + done, length - done,
		                    (off_t)(stream->base + offset + done));

		if (got < 0 && errno == EINTR && !interrupted())
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (int64_t)done;
}

void stream_back(struct stream *stream, uint64_t offset)
{
	stream->offset = offset;
	stream->start = stream->length = 0;
}

void stream_rest(struct stream *stream)
{
	if (!stream->sized && !stream->packed_sized)
		return;
	unpack_end(stream->unpack);
	stream->unpack = NULL;
	stream->reason = NULL;
	free(stream->buffer);
	stream->buffer = NULL;
	stream->room = stream->start = stream->length = 0;
}
