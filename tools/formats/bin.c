/*
 * bin.c - .fbin, .u8bin and .i8bin, as the billion-scale benchmarks have them.
 *
 * The number of vectors and the dimension, each a uint32, then row after row
 * (float32, uint8, int8). All little-endian.
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

static int open_bin(struct format_reader *reader)
{
	struct header header;
	uint64_t all;
	int result;
	int64_t got = stream_read(reader->stream, &header, sizeof(header));

	if (got < 0)
		return format_stream_error(reader, got);
	if (got < (int64_t)sizeof(header))
		return format_refuse(reader, "the file ends within its header");
	reader->rows = le32toh(header.rows);
	reader->dim = le32toh(header.dim);
	reader->data_offset = sizeof(header);
	if (reader->dim == 0)
		return format_refuse(reader, "its header says that vectors have dimension 0");
	result = element_parse(reader->format->type, &reader->type);
	if (result < 0)
		return result;
	/* 66 bits: a product cut to 64 could be the size of a file */
	all = reader->rows * reader->dim; /* 32 bits each */
	if (__builtin_mul_overflow(all, element_bytes(reader->type), &all) ||
	    __builtin_add_overflow(all, sizeof(header), &all) || all > INT64_MAX)
		return format_refuse(reader,
		                     "its header tells of %" PRIu64 " rows of dimension %" PRIu32
		                     ", more than any file can hold",
		                     reader->rows, reader->dim);
	return format_check_size(reader, all);
}

static int put_header(struct format_writer *writer, uint64_t rows,
                      int (*write)(void *arg, const void *bytes, size_t length))
{
	struct header header = { htole32((uint32_t)rows), htole32(writer->dim) };

	if (rows > UINT32_MAX)
		return format_writer_refuse(writer,
		                            "%" PRIu64
		                            " vectors are more than this format's header "
		                            "can tell; export to .npy",
		                            rows);
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

const struct format format_u8bin = { "u8bin", ".u8bin", .any_start = true, .type = "u1",
	                             .calls = &bin_calls };

const struct format format_i8bin = { "i8bin", ".i8bin", .any_start = true, .type = "i1",
	                             .calls = &bin_calls };
