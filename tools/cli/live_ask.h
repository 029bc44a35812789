/*
 * live_ask.h - files of a live mount that are asked: what is written is a question, what is read the
 * answer. Numbers are little-endian.
 */
#ifndef LIVE_ASK_H
#define LIVE_ASK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Write all the parts, which are changed. 0, or the errors of live_error. */
int live_ask(int fd, struct iovec *parts, int count);

/* Read exactly so many bytes of the answer. 0; -EPROTO it is shorter; the errors of live_error. */
int live_answer(int fd, void *to, size_t length);

/* Little-endian copies of numbers; where they are so already, they themselves and *made NULL, which else is to
 * be freed. NULL without memory. */
const uint64_t *live_little(const uint64_t *numbers, size_t count, uint64_t **made);

/* control/get: many vectors at once. The descriptor, to be closed by the caller, or a negative errno: -ENOENT
 * there is none. */
int live_get_open(int mount_fd);

/* Ask it for vectors, of `vector_bytes` each: as vectors_read, but after an error the descriptor is of no use
 * any more. */
int live_get(int fd, const uint64_t *ids, size_t count, size_t vector_bytes, void *to,
             int *results);

#endif
