/*
 * receive_mark.h - the file RECEIVING of a store that is half of a stream, as bytes; FORMAT.md.
 */
#ifndef QUIVER_RECEIVE_MARK_H
#define QUIVER_RECEIVE_MARK_H

#include "engine/media/version_stream.h"

#define RECEIVE_MARK_NAME "RECEIVING"
#define RECEIVE_MARK_BYTES (4096u + STREAM_HEADER_BYTES)

struct receive_mark {
	uint8_t store_uuid[16]; /* of the store that receives */
	bool going_back; /* what is live is being put back to the snapshot that the stream builds on */
	uint64_t position; /* so many items are in it, durably */
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1]; /* that the snapshot will have */
	struct stream_header header;
};

/* Any thread, as the next. */
void receive_mark_encode(const struct receive_mark *mark, uint8_t file[RECEIVE_MARK_BYTES]);
/* 0, -ENOTSUP a newer version, -EUCLEAN damage, or of another store. */
int receive_mark_decode(const uint8_t file[RECEIVE_MARK_BYTES], const uint8_t store_uuid[16],
                        struct receive_mark *mark);

#endif
