/*
 * stream_write.h - a stream goes out, frame by frame; FORMAT.md, A stream.
 */
#ifndef QUIVER_STREAM_WRITE_H
#define QUIVER_STREAM_WRITE_H

#include <stddef.h>

#include "engine/media/version_stream.h"

/* Of one thread. */
struct stream_writer {
	int (*write)(void *arg, const void *bytes, size_t length); /* all of it: 0 or -errno */
	void *arg;
	uint32_t vector_bytes;
	uint64_t tag;
	uint64_t sequence; /* of the next frame */
	uint64_t position; /* of the next item */
	uint64_t chain;
	uint64_t bytes; /* written so far */
};

/* Write the header. 0, or what `write` returned, as the next two. */
int stream_write_begin(struct stream_writer *writer, const struct stream_header *header,
                       int (*write)(void *arg, const void *bytes, size_t length), void *arg);
/* Write a frame of `items`, at least one and at most stream_items_max. */
int stream_write_items(struct stream_writer *writer, enum stream_frame_type type, uint32_t items,
                       const uint8_t *payload);
/* All items are written. */
int stream_write_end(struct stream_writer *writer);

#endif
