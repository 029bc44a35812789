/*
 * arrow_buffer.c - one buffer of a batch of an Arrow file, from its start to its end.
 */
#include "tools/formats/arrow_buffer.h"
#include "tools/formats/unpack.h"

#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

/* Read or unpacked at once. */
#define PART_BYTES (256u << 10)
/* Before what is compressed: how long it was, or that it is not. */
#define LENGTH_BYTES 8u
#define NOT_COMPRESSED (-1)

static int fail(struct arrow_buffer *buffer, int result, const char *reason)
{
	buffer->reason = reason;
	return result;
}

/* Read the next bytes of the file; their number. */
static int64_t read_file(void *arg, void *to, size_t length)
{
	struct arrow_buffer *buffer = arg;
	size_t wanted = length < buffer->left ? length : (size_t)buffer->left;
	int64_t got = stream_read_at(buffer->stream, to, wanted, buffer->offset);

	if (got < 0)
		return got;
	if ((size_t)got < wanted)
		return -EIO;
	buffer->offset += (uint64_t)got;
	buffer->left -= (uint64_t)got;
	return got;
}

int arrow_buffer_begin(const struct stream *stream, uint64_t offset, uint64_t length,
                       enum arrow_codec codec, struct arrow_buffer *buffer)
{
	LZ4F_dctx *lz4 = NULL;
	int64_t unpacked, got;

	memset(buffer, 0, sizeof(*buffer));
	buffer->stream = stream;
	buffer->offset = offset;
	buffer->left = length;
	buffer->codec = ARROW_PLAIN;
	if (length == 0)
		return 0;
	buffer->bytes = malloc(PART_BYTES);
	if (buffer->bytes == NULL)
		return fail(buffer, -ENOMEM, strerror(ENOMEM));
	if (codec == ARROW_PLAIN)
		return 0;
	if (length < LENGTH_BYTES)
		return fail(buffer, -EINVAL, "a compressed buffer is damaged");
	got = read_file(buffer, &unpacked, sizeof(unpacked));
	if (got < 0)
		return fail(buffer, (int)got, strerror((int)-got));
	if (unpacked == NOT_COMPRESSED)
		return 0;
	buffer->codec = codec;
	if (codec == ARROW_ZSTD) {
		buffer->zstd = unpack_begin(UNPACK_ZSTD, false, read_file, buffer);
		return buffer->zstd != NULL ? 0 : fail(buffer, -ENOMEM, strerror(ENOMEM));
	}
	buffer->packed = malloc(PART_BYTES);
	if (buffer->packed == NULL ||
	    LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)))
		return fail(buffer, -ENOMEM, strerror(ENOMEM));
	buffer->lz4 = lz4;
	return 0;
}

void arrow_buffer_end(struct arrow_buffer *buffer)
{
	unpack_end(buffer->zstd);
	if (buffer->lz4 != NULL)
		(void)LZ4F_freeDecompressionContext(buffer->lz4); /* tells what it had left to do */
	free(buffer->packed);
	free(buffer->bytes);
	memset(buffer, 0, sizeof(*buffer));
}

/* Unpack more; the number of bytes, 0 at the end. */
static int64_t unpack_lz4(struct arrow_buffer *buffer, void *to, size_t length)
{
	size_t made = 0;

	while (made == 0) {
		size_t used, state;
		int64_t got;

		if (buffer->packed_length == 0) {
			got = read_file(buffer, buffer->packed, PART_BYTES);
			if (got < 0)
				return got;
			buffer->packed_start = 0;
			buffer->packed_length = (size_t)got;
		}
		used = buffer->packed_length;
		made = length;
		state = LZ4F_decompress(buffer->lz4, to, &made,
		                        buffer->packed + buffer->packed_start, &used, NULL);
		if (LZ4F_isError(state))
			return -EINVAL;
		buffer->packed_start += used;
		buffer->packed_length -= used;
		if (made == 0 && used == 0)
			return 0;
	}
	return (int64_t)made;
}

/* Have more bytes ready. Where nothing is, that is damage: who asks knows what there must be. */
static int refill(struct arrow_buffer *buffer)
{
	int64_t got = 0;

	if (buffer->bytes == NULL)
		return fail(buffer, -EINVAL, "a buffer ends before its rows do");
	if (buffer->zstd != NULL)
		got = unpack_read(buffer->zstd, buffer->bytes, PART_BYTES);
	else if (buffer->lz4 != NULL)
		got = unpack_lz4(buffer, buffer->bytes, PART_BYTES);
	else
		got = read_file(buffer, buffer->bytes, PART_BYTES);
	if (got == -EINVAL)
		return fail(buffer, -EINVAL, "a compressed buffer is damaged");
	if (got < 0)
		return fail(buffer, (int)got, strerror((int)-got));
	if (got == 0)
		return fail(buffer, -EINVAL, "a buffer ends before its rows do");
	buffer->start = 0;
	buffer->length = (size_t)got;
	return 0;
}

int arrow_buffer_take(struct arrow_buffer *buffer, void *to, uint64_t length)
{
	unsigned char *at = to;

	if (at == NULL && buffer->length < length && buffer->codec == ARROW_PLAIN) {
		length -= buffer->length;
		buffer->length = 0;
		if (length > buffer->left)
			return fail(buffer, -EINVAL, "a buffer ends before its rows do");
		buffer->offset += length;
		buffer->left -= length;
		return 0;
	}
	while (length > 0) {
		size_t part;

		if (buffer->length == 0) {
			int result = refill(buffer);

			if (result < 0)
				return result;
		}
		part = buffer->length < length ? buffer->length : (size_t)length;
		if (at != NULL) {
			memcpy(at, buffer->bytes + buffer->start, part);
			at += part;
		}
		buffer->start += part;
		buffer->length -= part;
		length -= part;
	}
	return 0;
}

int arrow_buffer_bit(struct arrow_buffer *buffer, bool *bit)
{
	if (buffer->bits == 0) {
		int result = arrow_buffer_take(buffer, &buffer->byte, 1);

		if (result < 0)
			return result;
		buffer->bits = 8;
	}
	*bit = buffer->byte & 1;
	buffer->byte >>= 1;
	buffer->bits--;
	return 0;
}
