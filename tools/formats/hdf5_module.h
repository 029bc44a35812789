/*
 * hdf5_module.h - what the program calls in the module that links the HDF5 library.
 *
 * The module is loaded when an HDF5 file is met: the library brings some twenty others
 * along, which a daemon that serves vectors should not carry. One file at a time, one
 * thread.
 */
#ifndef HDF5_MODULE_H
#define HDF5_MODULE_H

#include <stddef.h>
#include <stdint.h>

#define HDF5_REASON_BYTES 384
/* Names of the module's file and of the one symbol in it. */
#define HDF5_MODULE_FILE "quiverfs_hdf5.so"
#define HDF5_MODULE_SYMBOL "quiverfs_hdf5"

/* A dataset of two dimensions. */
struct hdf5_array {
	uint64_t rows;
	uint32_t dim;
	char type[8]; /* "f4" and the like: as rows are read and written, little-endian */
	void *state; /* the module's own */
	char reason[HDF5_REASON_BYTES];
};

struct hdf5_calls {
	/* Open dataset `name` of the file `path` for reading and set rows, dim and type.
	 * -EINVAL with a reason; to be closed then, too. */
	int (*open)(const char *path, const char *name, struct hdf5_array *array);
	/* Make a file with a dataset of the rows, dim and type of *array. As open. */
	int (*create)(const char *path, const char *name, struct hdf5_array *array);
	/* Give it an attribute of UTF-8. -EIO with a reason. */
	int (*note)(struct hdf5_array *array, const char *name, const char *text);
	/* Read or write rows first ... first + count - 1. -EIO with a reason. */
	int (*read)(struct hdf5_array *array, uint64_t first, uint64_t count, void *rows);
	int (*write)(struct hdf5_array *array, uint64_t first, uint64_t count, const void *rows);
	/* Fewer rows than it was made with. -EIO with a reason. */
	int (*cut)(struct hdf5_array *array, uint64_t rows);
	/* -EIO with a reason where what was written may not all be in the file. */
	int (*close)(struct hdf5_array *array);
};

#endif
