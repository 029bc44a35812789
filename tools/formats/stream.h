/*
 * stream.h - bytes to import, from a file, a pipe or standard input.
 *
 * Memory is one buffer, whatever the length, and what unpacking needs (unpack.h). One thread.
 */
#ifndef STREAM_H
#define STREAM_H

#include "tools/formats/unpack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line: 65,536 numbers of 32 characters and what separates them, twice over. */
#define STREAM_LINE_BYTES_MAX (4u << 20)

struct stream {
	const char *path; /* for messages; "standard input" where it is that */
	int fd;
	bool owned; /* fd is closed with it */
	bool sized; /* a regular file: its length is known, any place can be read */
	uint64_t size; /* where sized: bytes from where it began to its end */
	uint64_t base; /* where in the file it began: not 0 only for standard input */
	uint64_t offset; /* of the next byte to hand out, from where it began */
	unsigned char *buffer;
	size_t room;
	size_t start; /* of the bytes that are read but not handed out */
	size_t length; /* of them */
	/* Where bytes come from something else than the file, as from a member of it: as
	 * read(2), with a negative errno. NULL: from the file. */
	int64_t (*source)(void *arg, void *to, size_t length);
	void *source_arg;
	char reason_text[UNPACK_REASON_BYTES];
	const char *reason; /* why the last call failed, in words; NULL: strerror tells */
	/* Of what is packed, which is not sized: */
	enum unpack_kind packed;
	struct unpack *unpack; /* NULL: begun anew with the next read */
	bool packed_sized; /* a regular file */
	bool cut_is_end;
	uint64_t packed_size; /* where packed_sized */
	uint64_t packed_offset; /* of the next packed byte to read */
	unsigned char *lead; /* packed bytes that were read before it was known; NULL: none */
	size_t lead_start, lead_length;
};

/* Open `path`, or standard input for "-". Keeps `path`. 0, to be given back with
 * stream_close; -EISDIR a folder; errors of open(2) and fstat(2). */
int stream_open(const char *path, struct stream *stream);
void stream_close(struct stream *stream);

/*
 * Look whether the bytes are packed by gzip or zstd; they are handed out unpacked then, and the
 * stream is not sized. The end of the path tells (.gz, .zst) and, with `by_start`, how they
 * begin. `cut_is_end`: packed bytes that end too early are no error. Before anything is handed
 * out. 0; -EINVAL with a reason where they are not what the path tells, or are packed by
 * something else; errors as of stream_peek.
 */
int stream_unpack(struct stream *stream, bool by_start, bool cut_is_end);

/* How far a file is read, in its own bytes: false where it has no size. */
bool stream_progress(const struct stream *stream, uint64_t *done, uint64_t *size);

/*
 * Have up to `length` of the next bytes ready at *at, without handing them out;
 * valid until the next call. The number ready, fewer than `length` only at the end;
 * -EINTR a signal asked to stop; -ENOMEM; errors of read(2) and, with a reason, of
 * unpack_read.
 */
int64_t stream_peek(struct stream *stream, size_t length, const unsigned char **at);

/* Hand out `length` bytes; the number, fewer only at the end or before an error, which the next
 * stream_peek tells; errors as above. */
int64_t stream_read(struct stream *stream, void *to, size_t length);

/* Pass over `length` bytes, as stream_read. */
int64_t stream_skip(struct stream *stream, uint64_t length);

/* The byte order mark in UTF-8. */
#define STREAM_MARK "\xef\xbb\xbf"

/* Pass over a byte order mark, if one comes next. 0; errors as above. */
int stream_pass_mark(struct stream *stream);

/*
 * Hand out the next line, without its end (LF or CR LF) and ended by a NUL instead, at
 * *line; valid until the next call. 1, or 0 at the end; -E2BIG longer than
 * STREAM_LINE_BYTES_MAX; errors as above. stream->offset is then behind it.
 */
int stream_line(struct stream *stream, char **line, size_t *length);

/* What a negative errno of one of these says of the stream. */
const char *stream_strerror(const struct stream *stream, int result);

/* The same without handing it out. */
int stream_peek_line(struct stream *stream, char **line, size_t *length);

/* Read at a place, of a stream that is sized. As stream_read. */
int64_t stream_read_at(const struct stream *stream, void *to, size_t length, uint64_t offset);

/* Go back to `offset`, of a stream that is sized: what follows is read again. */
void stream_back(struct stream *stream, uint64_t offset);

/* Give the buffer back until it is needed again, where the file can be read anew. */
void stream_rest(struct stream *stream);

#endif
