/*
 * version_stream.h - the bytes of a stream, which carries a snapshot, or what makes it of an older one,
 * from one store to another; FORMAT.md, A stream.
 */
#ifndef QUIVER_VERSION_STREAM_H
#define QUIVER_VERSION_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

#define STREAM_HEADER_BYTES 4096u
#define STREAM_FRAME_BYTES 48u /* before the payload */
#define STREAM_ROW_BYTES 32u
#define STREAM_END_BYTES 16u
/* Of one frame: what a reader has in memory, and commits at once. One vector always fits. */
#define STREAM_PAYLOAD_BYTES_MAX (1u << 20)

/* A snapshot, as a stream tells of it. */
struct stream_version {
	uint8_t uuid[16];
	uint64_t lsn;
	uint64_t count; /* vectors */
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1];
};

struct stream_header {
	uint8_t store_uuid[16]; /* where it comes from */
	struct quiver_geometry geometry; /* uuid: zeros */
	struct stream_version new_one;
	bool has_old;
	struct stream_version old_one; /* zeros where there is none */
	uint64_t removals, attributes, vectors; /* items of each kind, in this order */
	uint64_t position; /* of the first item that follows */
	int64_t created_ns; /* of the new one */
	struct quiver_attr dir;
	struct quiver_description description;
};

enum stream_frame_type {
	STREAM_REMOVALS = 1,
	STREAM_ATTRIBUTES = 2,
	STREAM_VECTORS = 3,
	STREAM_END = 4,
};

struct stream_frame {
	enum stream_frame_type type;
	uint32_t items;
	uint32_t payload_bytes;
	uint64_t sequence;
	uint64_t position;
	uint64_t payload_sum;
	uint64_t sum; /* of the frame's header, by which the end tells of it */
};

struct stream_row {
	uint64_t id;
	struct quiver_attr attr; /* ctime_ns: 0 */
};

/* All items of a stream from its beginning on. */
static inline uint64_t stream_items(const struct stream_header *header)
{
	return header->removals + header->attributes + header->vectors;
}

/* Any thread, as all here. */
void stream_header_encode(const struct stream_header *header, uint8_t page[STREAM_HEADER_BYTES]);
/* 0; -EINVAL not a stream, -ENOTSUP a newer version or a feature that is not known here, -EUCLEAN
 * damage, or what no program writes. */
int stream_header_decode(const uint8_t page[STREAM_HEADER_BYTES], struct stream_header *header);
/* T of FORMAT.md, which all that is sent of the same two snapshots has. */
uint64_t stream_tag(const struct stream_header *header);

/* How many bytes of payload so many items of a type have; UINT64_MAX for no type. */
uint64_t stream_payload_bytes(uint32_t type, uint64_t items, uint32_t vector_bytes);
/* How many items of a type fit into one frame: at least one. */
uint32_t stream_items_max(enum stream_frame_type type, uint32_t vector_bytes);

/* Gives frame->sum. */
void stream_frame_encode(struct stream_frame *frame, uint64_t tag, uint8_t to[STREAM_FRAME_BYTES]);
/* 0; -EUCLEAN damage, or of another stream; a length that does not follow from type and number. */
int stream_frame_decode(const uint8_t from[STREAM_FRAME_BYTES], uint64_t tag, uint32_t vector_bytes,
                        struct stream_frame *frame);
/* C of FORMAT.md after one more frame. */
uint64_t stream_chain(uint64_t chain, uint64_t frame_sum);
/* H of bytes. */
uint64_t stream_sum(const void *bytes, uint64_t length);

void stream_row_encode(const struct stream_row *row, uint8_t to[STREAM_ROW_BYTES]);
/* 0, -EUCLEAN. */
int stream_row_decode(const uint8_t from[STREAM_ROW_BYTES], struct stream_row *row);
void stream_removal_encode(uint64_t id, uint8_t to[8]);
int stream_removal_decode(const uint8_t from[8], uint64_t *id);
void stream_end_encode(uint64_t bytes, uint64_t chain, uint8_t to[STREAM_END_BYTES]);
/* -EUCLEAN where it tells of others. */
int stream_end_check(const uint8_t from[STREAM_END_BYTES], uint64_t bytes, uint64_t chain);

#endif
