/*
 * raw.c - rows one after another and nothing else, as numpy.ndarray.tofile and np.memmap have
 * them.
 *
 * Dimension and type are those of the store: nothing in the file tells them.
 */
#include "tools/formats/formats.h"

#include <errno.h>
#include <inttypes.h>

/* Of bits, eight are in a byte. */
static void set_geometry(struct format_reader *reader)
{
	reader->type = reader->wanted.type;
	reader->dim = reader->wanted.dim;
	if (reader->type == ELEMENT_B1) {
		reader->type = ELEMENT_U1;
		reader->dim = (reader->wanted.dim + ELEMENT_BITS - 1) / ELEMENT_BITS;
	}
}

static int open_raw(struct format_reader *reader)
{
	uint64_t size = reader->stream->size, skip = reader->wanted.skip_bytes;
	size_t row_bytes;
	int64_t got;

	set_geometry(reader);
	row_bytes = element_row_bytes(reader->type, reader->dim);
	reader->rows = FORMAT_ROWS_UNKNOWN;
	reader->data_offset = skip;
	got = stream_skip(reader->stream, skip);
	if (got < 0)
		return format_stream_error(reader, got);
	if ((uint64_t)got < skip)
		return format_refuse(reader, "it has %" PRId64 " bytes, fewer than --skip-bytes",
		                     got);
	if (!reader->stream->sized)
		return 0;
	size -= skip;
	reader->rows = size / row_bytes;
	if (size % row_bytes == 0)
		return 0;
	if (reader->wanted.partial) {
		reader->missing = 1;
		return 0;
	}
	return format_refuse(
		reader,
		"%" PRIu64 " bytes are not a whole number of rows of %zu bytes (dim %" PRIu32
		", dtype %s of the store); the file has a header (--skip-bytes), is cut off "
		"(--partial), or has another type",
		size, row_bytes, reader->wanted.dim, element_name(reader->wanted.type));
}

static const struct format_calls raw_calls = {
	.open = open_raw,
	.read = format_read_plain,
	.write_row = format_write_plain,
};

const struct format format_raw = { "raw", "", .any_start = true, .has_skip = true,
	                           .calls = &raw_calls };
