/*
 * row_fit.h - the store that fits a file.
 */
#ifndef ROW_FIT_H
#define ROW_FIT_H

#include "engine/quiver.h"
#include "tools/formats/format.h"

#include <stdbool.h>

/* The geometry of a store that does not exist yet: what was given of it, and from the first file the
 * rest. */
struct row_fit {
	struct quiver_geometry
		geometry; /* dim 0: the file tells; vector_bytes 0: no file was looked at */
	bool dtype_given; /* else that of the file, or f4 of text */
	bool is_guess; /* set: nothing told that type */
};

/*
 * Take from a file that is open what is not given of the geometry of the store that is to be made for it,
 * unless a file before has told that. The type of its elements to *type, too, and both to what the reader
 * is asked for. 0, or -EINVAL after having said why no store fits.
 */
int row_fit_take(struct row_fit *fit, bool convert, struct format_reader *reader,
                 enum element *type);

#endif
