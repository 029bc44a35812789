/*
 * row_fit.c - the store that fits a file.
 */
#include "tools/cli/row_fit.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>

/* The dtype that a store has for the elements of the file. Says errors. */
static int find_dtype(struct row_fit *fit, bool convert, const struct format_reader *reader)
{
	if (fit->dtype_given)
		return 0;
	if (reader->type == ELEMENT_BOOL) {
		fit->geometry.dtype = QUIVER_B1;
		return 0;
	}
	fit->is_guess = reader->is_text || reader->type >= ELEMENT_STORE_COUNT;
	if (!fit->is_guess)
		return quiver_dtype_parse(element_name(reader->type), &fit->geometry.dtype);
	if (reader->is_text || convert)
		return 0; /* f4 */
	say_error(reader->stream->path,
	          "its elements are %s, but no store has this type; --convert makes them f4, "
	          "--convert --dtype TYPE another type",
	          element_name(reader->type));
	return -EINVAL;
}

/* How many elements. Bits may be packed, eight in an u1. */
static uint32_t find_dim(const struct row_fit *fit, const struct format_reader *reader)
{
	uint32_t dim = reader->dim;

	if (fit->geometry.dim > 0)
		return fit->geometry.dim;
	if (fit->geometry.dtype == QUIVER_B1 && reader->type == ELEMENT_U1 && !reader->is_text &&
	    dim <= QUIVER_DIM_MAX)
		dim *= ELEMENT_BITS;
	return dim;
}

int row_fit_take(struct row_fit *fit, bool convert, struct format_reader *reader,
                 enum element *type)
{
	struct quiver_geometry *geometry = &fit->geometry;
	uint32_t dim;
	int result;

	if (geometry->vector_bytes > 0)
		return 0;
	result = find_dtype(fit, convert, reader);
	if (result < 0)
		return result;
	dim = find_dim(fit, reader);
	if (dim == 0 && reader->rows == 0) {
		say_error(reader->stream->path,
		          "it holds no rows, so the right store is not known; no store was made");
		return -EINVAL;
	}
	if (dim == 0) {
		say_error(reader->stream->path, "it has no first vector, so the number of elements "
		                                "is not known; give --dim D");
		return -EINVAL;
	}
	geometry->vector_bytes = quiver_vector_bytes(dim, geometry->dtype);
	if (geometry->vector_bytes == 0) {
		say_error(reader->stream->path,
		          "its vectors have %" PRIu32 " elements of %s; a store takes 1 to %u%s",
		          dim, quiver_dtype_name(geometry->dtype), QUIVER_DIM_MAX,
		          geometry->dtype == QUIVER_B1 ? ", of b1 a multiple of 8" : "");
		return -EINVAL;
	}
	geometry->dim = dim;
	reader->wanted.dim = dim;
	result = element_parse(quiver_dtype_name(geometry->dtype), type);
	reader->wanted.type = *type;
	return result;
}
