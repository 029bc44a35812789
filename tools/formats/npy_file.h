/*
 * npy_file.h - the header of a .npy file.
 */
#ifndef NPY_FILE_H
#define NPY_FILE_H

#include "engine/codec/npy_array.h"

/*
 * Read the header of the file `fd` and compare the file's size with it. Does
 * not move the file's offset.
 * -EINVAL not such a file or of the wrong size; -ENOMEM; -EINTR a signal asked to stop;
 * errors of pread(2) and fstat(2). `reason` is set for each of them.
 */
int npy_read_header(int fd, struct npy_array *array, struct npy_reason *reason);

#endif
