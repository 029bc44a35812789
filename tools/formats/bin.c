/*
 * bin.c - .fbin, .f16bin, .dbin, .u8bin, .i8bin and .ibin, as the billion-scale benchmarks and
 * cuVS have them.
 *
 * The number of vectors and the dimension, each a uint32, then row after row (float32, float16,
 * float64, uint8, int8, int32). All little-endian. For more than 2^32 vectors both are uint64;
 * only the size of the file tells which it is.
 */
#include "tools/formats/formats.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct header {
	uint32_t rows;
	uint32_t dim;
};

struct wide_header {
	uint64_t rows;
	uint64_t dim;
};

/* What the bytes say, read as either. */
struct claim {
	uint64_t rows, dim;
	uint64_t header_bytes;
	uint64_t all; /* bytes of the file; 0 where no file can have them */
};

static void add_up(const struct format_reader *reader, struct claim *claim)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(claim->rows, claim->dim, &bytes) ||
	    __builtin_mul_overflow(bytes, element_bytes(reader->type), &bytes) ||
	    __builtin_add_overflow(bytes, claim->header_bytes, &bytes) || bytes > INT64_MAX)
		bytes = 0;
	claim->all = bytes;
}

/* Look at what the file begins with as one header and as the other. The bytes that are there, or
 * an error. */
static int64_t read_claims(struct format_reader *reader, struct claim *narrow, struct claim *wide)
{
	struct wide_header header = { 0 };
	struct header half;
	const unsigned char *at = NULL;
	int64_t got = stream_peek(reader->stream, sizeof(header), &at);

	if (got < (int64_t)sizeof(half))
		return got < 0 ? format_stream_error(reader, got) : got;
	memcpy(&half, at, sizeof(half));
	memcpy(&header, at, (size_t)got);
	*narrow = (struct claim){ le32toh(half.rows), le32toh(half.dim), sizeof(half), 0 };
	*wide = (struct claim){ le64toh(header.rows), le64toh(header.dim), sizeof(header), 0 };
	add_up(reader, narrow);
	add_up(reader, wide);
	return got;
}

/* Whether the header is of uint64. The dimension 0, which no file has, is the upper half of a
 * count; else the size tells, which a pipe has not. */
static bool is_wide(const struct format_reader *reader, int64_t got, const struct claim *narrow,
                    const struct claim *wide)
{
	if (got < (int64_t)sizeof(struct wide_header) || wide->all == 0 || wide->dim == 0 ||
	    wide->dim > UINT32_MAX)
		return false;
	if (narrow->dim == 0)
		return true;
	return reader->stream->sized && narrow->all != reader->stream->size &&
	       wide->all == reader->stream->size;
}

static int open_bin(struct format_reader *reader)
{
	struct claim narrow = { 0 }, wide = { 0 };
	const struct claim *claim = &narrow;
	int result = element_parse(reader->format->type, &reader->type);
	int64_t got = result < 0 ? result : read_claims(reader, &narrow, &wide);

	if (got < 0)
		return (int)got;
	if (got < (int64_t)sizeof(struct header))
		return format_refuse(reader, "the file ends within its header");
	if (is_wide(reader, got, &narrow, &wide))
		claim = &wide;
	if (claim->dim == 0)
		return format_refuse(reader, "its header says that vectors have dimension 0");
	if (claim->all == 0 || claim->rows == FORMAT_ROWS_UNKNOWN)
		return format_refuse(reader,
		                     "its header promises %" PRIu64 " rows of dimension %" PRIu64
		                     ", more than any file can hold",
		                     claim->rows, claim->dim);
	reader->rows = claim->rows;
	reader->dim = (uint32_t)claim->dim;
	reader->data_offset = claim->header_bytes;
	got = stream_skip(reader->stream, claim->header_bytes);
	return got < 0 ? format_stream_error(reader, got) : format_check_size(reader, claim->all);
}

static int put_header(struct format_writer *writer, uint64_t rows,
                      int (*write)(void *arg, const void *bytes, size_t length))
{
	struct header header = { htole32((uint32_t)rows), htole32(writer->dim) };
	struct wide_header wide = { htole64(rows), htole64(writer->dim) };

	/* the same as at first: what follows stays where it is */
	if (writer->expected > UINT32_MAX)
		return write(writer->arg, &wide, sizeof(wide));
	return write(writer->arg, &header, sizeof(header));
}

static const struct format_calls bin_calls = {
	.open = open_bin,
	.read = format_read_plain,
	.write_header = format_write_header,
	.put_header = put_header,
	.write_row = format_write_plain,
	.finish = format_finish,
};

const struct format format_fbin = { "fbin", ".fbin", .any_start = true, .type = "f4",
	                            .calls = &bin_calls };

const struct format format_f16bin = { "f16bin", ".f16bin", .any_start = true, .type = "f2",
	                              .calls = &bin_calls };

const struct format format_dbin = { "dbin", ".dbin", .any_start = true, .type = "f8",
	                            .calls = &bin_calls };

const struct format format_u8bin = { "u8bin", ".u8bin", .any_start = true, .type = "u1",
	                             .calls = &bin_calls };

const struct format format_i8bin = { "i8bin", ".i8bin", .any_start = true, .type = "i1",
	                             .calls = &bin_calls };

const struct format format_ibin = { "ibin", ".ibin", .any_start = true, .type = "i4",
	                            .calls = &bin_calls };
