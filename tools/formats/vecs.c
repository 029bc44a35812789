/*
 * vecs.c - .fvecs, .bvecs and .ivecs, as the TEXMEX sets of vectors have them.
 *
 * Records follow one another: the dimension as an int32, then so many elements
 * (float32, uint8, int32). All little-endian; there is no header.
 */
#include "tools/formats/formats.h"

#include <byteswap.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LEAD_BYTES sizeof(int32_t)
/* More is no vector. It keeps a wrong number from being believed. */
#define DIM_MAX 1000000

/* Set the dimension from the first record; an empty file has no record, and so the
 * store's. */
static int look_at_first(struct format_reader *reader)
{
	const unsigned char *at;
	uint32_t lead;
	int64_t got = stream_peek(reader->stream, LEAD_BYTES, &at);

	if (got < 0)
		return format_stream_error(reader, got);
	reader->dim = reader->wanted.dim;
	if (got == 0)
		return 0;
	if (got < (int64_t)LEAD_BYTES)
		return format_refuse(reader, "the file ends within its first record");
	memcpy(&lead, at, sizeof(lead));
	lead = le32toh(lead);
	if (lead >= 1 && lead <= DIM_MAX) {
		reader->dim = lead;
		return 0;
	}
	/* 0.5 would be the dimension 63 */
	if (bswap_32(lead) == reader->wanted.dim)
		return format_refuse(reader,
		                     "its first record has dimension %" PRIu32
		                     " in big-endian, as Java writes it; expected little-endian",
		                     bswap_32(lead));
	return format_refuse(reader,
	                     "its first record has dimension %" PRId32
	                     ": not a file of this format; bare numbers are --format raw",
	                     (int32_t)lead);
}

static int open_vecs(struct format_reader *reader)
{
	uint64_t record_bytes, size = reader->stream->size;
	int result = look_at_first(reader);

	if (result == 0)
		result = element_parse(reader->format->type, &reader->type);
	if (result < 0)
		return result;
	reader->rows = FORMAT_ROWS_UNKNOWN;
	if (!reader->stream->sized)
		return 0;
	record_bytes = LEAD_BYTES + (uint64_t)reader->dim * element_bytes(reader->type);
	/* read to where it ends, as a pipe: what is there of its last record may be none */
	if (size % record_bytes != 0 && reader->wanted.partial)
		return 0;
	if (size % record_bytes != 0 && size / record_bytes < reader->wanted.limit)
		return format_refuse(reader,
		                     "its %" PRIu64
		                     " bytes are not a whole number of records of %" PRIu64
		                     " bytes (dimension %" PRIu32
		                     "); the file is cut off, or has another format",
		                     size, record_bytes, reader->dim);
	reader->rows = size / record_bytes;
	return 0;
}

static int read_vecs(struct format_reader *reader, struct format_batch *batch)
{
	return format_read_fixed(reader, batch, LEAD_BYTES);
}

static int write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	uint32_t lead = htole32(writer->dim);
	int result = writer->write(writer->arg, &lead, sizeof(lead));

	return result < 0 ? result : format_write_plain(writer, id, row, key);
}

static const struct format_calls vecs_calls = {
	.open = open_vecs,
	.read = read_vecs,
	.write_row = write_row,
};

const struct format format_fvecs = { "fvecs", ".fvecs", .type = "f4", .calls = &vecs_calls };

const struct format format_bvecs = { "bvecs", ".bvecs", .type = "u1", .calls = &vecs_calls };

const struct format format_ivecs = { "ivecs", ".ivecs", .type = "i4", .calls = &vecs_calls };
