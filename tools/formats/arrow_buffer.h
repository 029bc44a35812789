/*
 * arrow_buffer.h - one buffer of a batch of an Arrow file, from its start to its end.
 *
 * Memory is a part of it, and what the library needs where it is compressed. One thread.
 */
#ifndef ARROW_BUFFER_H
#define ARROW_BUFFER_H

#include "tools/formats/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arrow_codec {
	ARROW_PLAIN = -1,
	ARROW_LZ4 = 0,
	ARROW_ZSTD = 1,
};

/* All zero: there is none, and nothing to be read. */
struct arrow_buffer {
	const struct stream *stream; /* the caller's */
	uint64_t offset, left; /* bytes of the file that are still to be read */
	enum arrow_codec codec;
	struct unpack *zstd;
	void *lz4;
	unsigned char *packed; /* read, of lz4 */
	size_t packed_start, packed_length;
	unsigned char *bytes; /* ready to be taken */
	size_t start, length;
	unsigned bits; /* of the last byte taken that are left, by arrow_buffer_bit */
	unsigned char byte;
	const char *reason; /* of the last error; static, or valid until the end */
};

/*
 * Begin at `offset` of a stream that is sized; `length` bytes are there. 0, to be given back with
 * arrow_buffer_end also after an error; -EINVAL with a reason, -ENOMEM, errors of reading.
 */
int arrow_buffer_begin(const struct stream *stream, uint64_t offset, uint64_t length,
                       enum arrow_codec codec, struct arrow_buffer *buffer);
void arrow_buffer_end(struct arrow_buffer *buffer);

/* Take so many bytes; NULL: pass over them. Errors as above, also where there are fewer. */
int arrow_buffer_take(struct arrow_buffer *buffer, void *to, uint64_t length);
/* Take the next bit, of bytes that are taken in no other way. As above. */
int arrow_buffer_bit(struct arrow_buffer *buffer, bool *bit);

#endif
