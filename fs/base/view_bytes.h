/*
 * view_bytes.h - a vector as the bytes of its views, and back. Pure functions; any thread.
 *
 * .npy: the 128 bytes of header that np.save writes for the shape (dim,), and the vector; the
 * shape (1, dim) is taken, too.
 * .txt: one number a line, in the fewest digits that are read back as the same number; taken are
 * also commas between all numbers, brackets around them, and a byte order mark before.
 * A second node of a vector: the vector.
 */
#ifndef VIEW_BYTES_H
#define VIEW_BYTES_H

#include <stddef.h>

#include "engine/quiver.h"
#include "fs/base/tree.h"

/* Why bytes are no vector. */
struct view_reason {
	char text[320];
};

/* The length of every such file of such vectors; of a text 0, each has its own. */
size_t view_fixed_bytes(const struct quiver_geometry *geometry, enum tree_form form);

/* No file that makes sense is longer. */
size_t view_bytes_max(const struct quiver_geometry *geometry, enum tree_form form);

/* Make the file of a vector in *bytes (to be freed), with room for *room. -ENOMEM. */
int view_encode(const struct quiver_geometry *geometry, enum tree_form form, const void *vector,
                char **bytes, size_t *size, size_t *room);

/* Read a file back into N bytes at `vector`. -EINVAL with a reason. */
int view_decode(const struct quiver_geometry *geometry, enum tree_form form, const char *bytes,
                size_t size, void *vector, struct view_reason *reason);

/* The header of a .npy file of so many vectors, NPY_WRITTEN_BYTES of engine/codec/npy.h. */
int view_npy_header(const struct quiver_geometry *geometry, uint64_t count, char *to);

#endif
