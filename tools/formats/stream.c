/*
 * stream.c - bytes to import, from a file, a pipe or standard input.
 */
#include "tools/formats/stream.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read at once: large enough that the calls cost nothing beside the copying. */
#define BUFFER_BYTES (256u << 10)
/* How often a wait for a pipe looks whether it shall go on. */
#define POLL_MS 100

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

/* One read of what follows the buffer, by place where there are places. */
static int64_t read_some(const struct stream *stream, void *to, size_t length)
{
	int result = stream->sized ? 0 : wait_for_bytes(stream->fd);
	ssize_t got;

	if (result < 0)
		return result;
	do {
		if (stream->sized)
			got = pread(stream->fd, to, length,
			            (off_t)(stream->base + stream->offset + stream->length));
		else
			got = read(stream->fd, to, length);
	} while (got < 0 && errno == EINTR && !interrupted());
	return got < 0 ? -errno : got;
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

		if (got < 0)
			return got;
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

void stream_rest(struct stream *stream)
{
	if (!stream->sized)
		return;
	free(stream->buffer);
	stream->buffer = NULL;
	stream->room = stream->start = stream->length = 0;
}
