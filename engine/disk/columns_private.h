/*
 * columns_private.h - columns of which only vectors.npy is a file: IDs and rows are memory of this
 * process, filled by it once. For who reads a state of a store that others go on to change.
 */
#ifndef QUIVER_COLUMNS_PRIVATE_H
#define QUIVER_COLUMNS_PRIVATE_H

#include "engine/disk/columns.h"

/*
 * `rows` of them, all free; vectors.npy of the folder is opened to read, and mapped as far as it
 * reaches. To be closed with columns_close, also where it fails. 0, -ENOMEM, -errno (`error` says
 * why).
 */
int columns_open_private(struct columns *columns, const struct quiver_io *io, int dir_fd,
                         const struct quiver_geometry *geometry, uint64_t rows,
                         struct quiver_error *error);
/* Fill a row, before anybody else is there. -EUCLEAN: vectors.npy ends before its slot. */
int columns_put_private(struct columns *columns, uint64_t slot, uint64_t id,
                        const struct meta_row *row);
/* They stay as they are from now on. */
void columns_seal_private(struct columns *columns);

#endif
