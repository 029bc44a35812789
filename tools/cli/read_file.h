/*
 * read_file.h - the bytes of a file that is open.
 */
#ifndef READ_FILE_H
#define READ_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Read up to `length` bytes from where `fd` is; how many there were, fewer only at the end, or a
 * negative errno of read(2). Any thread. */
ssize_t read_file(int fd, void *to, size_t length);

#endif
