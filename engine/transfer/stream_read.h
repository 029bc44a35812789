/*
 * stream_read.h - a stream comes in: nothing of it is believed before it was compared; FORMAT.md, A
 * stream.
 */
#ifndef QUIVER_STREAM_READ_H
#define QUIVER_STREAM_READ_H

#include <stddef.h>

#include "engine/media/version_stream.h"

/* What is not an error. */
#define STREAM_READ_NOTHING 1 /* no byte came where a stream could begin */
#define STREAM_READ_END 2 /* all of it was read */

/* Of one thread. */
struct stream_reader {
	/* Bytes read, fewer than asked for if so many are there, 0 at the end, or -errno. */
	int64_t (*read)(void *arg, void *to, size_t length);
	void *arg;
	uint64_t bytes; /* read so far */
	const char *wrong; /* after -EUCLEAN, -EINVAL: what, in words */

	struct stream_header header;
	uint64_t tag;
	uint64_t sequence; /* of the next frame */
	uint64_t position; /* of the next item */
	uint64_t chain;

	struct stream_frame frame; /* of the last stream_read_frame */
	uint8_t *payload; /* the same; owned, STREAM_PAYLOAD_BYTES_MAX */
};

/* Nothing is read yet. 0, -ENOMEM. To be given back with stream_read_close. */
int stream_read_open(struct stream_reader *reader,
                     int64_t (*read)(void *arg, void *to, size_t length), void *arg);
void stream_read_close(struct stream_reader *reader);
/* Read a header; may be called again behind an end. 0; STREAM_READ_NOTHING; -ENODATA it ends early;
 * -EINVAL not a stream; -ENOTSUP of a newer version; -EUCLEAN damage; what `read` returned. */
int stream_read_header(struct stream_reader *reader);
/* Read a frame of items, whose place, number and checksums fit, into frame and payload. 0,
 * STREAM_READ_END; errors as above. */
int stream_read_frame(struct stream_reader *reader);
/* The items of that frame, 0 ... items - 1. 0, -EUCLEAN. */
int stream_read_removal(struct stream_reader *reader, uint32_t item, uint64_t *id);
/* Of attributes, or of vectors. */
int stream_read_row(struct stream_reader *reader, uint32_t item, struct stream_row *row);
/* Its N bytes. */
const uint8_t *stream_read_vector(const struct stream_reader *reader, uint32_t item);

#endif
