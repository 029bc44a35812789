/*
 * version_record.h - the bytes of the file `versions`: rows that snapshots have and the columns have
 * not; FORMAT.md, Snapshots.
 */
#ifndef QUIVER_VERSION_RECORD_H
#define QUIVER_VERSION_RECORD_H

#include <stdint.h>

#include "engine/media/meta_row.h"

#define VERSION_RECORD_BYTES 96u
#define VERSIONS_HEADER_BYTES 4096u

enum version_kind {
	VERSION_SUPERSEDED = 1, /* the slot is held for it */
	VERSION_ATTRIBUTES = 2, /* the slot went on with other attributes */
};

struct version_record {
	uint64_t slot;
	uint64_t id;
	uint64_t until; /* LSN of what ended it */
	struct meta_row row;
	enum version_kind kind;
};

/* From when on a row holds. */
static inline uint64_t version_from(const struct meta_row *row)
{
	return row->lsn > row->attr_lsn ? row->lsn : row->attr_lsn;
}

struct versions_header {
	uint8_t uuid[16]; /* of the store */
	uint64_t generation;
	uint64_t born_bytes; /* of the file, written with this header, itself included */
};

/* `offset`: of the record in its file. Any thread, as the next three. */
void version_record_encode(const struct version_record *record, uint64_t generation,
                           uint64_t offset, uint8_t to[VERSION_RECORD_BYTES]);
/* 0, -EBADMSG. */
int version_record_decode(const uint8_t from[VERSION_RECORD_BYTES], uint64_t generation,
                          uint64_t offset, struct version_record *record);
void versions_header_encode(const struct versions_header *header,
                            uint8_t page[VERSIONS_HEADER_BYTES]);
/* 0, -EINVAL no magic, -ENOTSUP a newer version, -EUCLEAN damage. */
int versions_header_decode(const uint8_t page[VERSIONS_HEADER_BYTES],
                           struct versions_header *header);

#endif
