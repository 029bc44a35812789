/*
 * unpack.h - what gzip and zstd have packed, unpacked as bytes are asked for.
 *
 * Memory is one buffer of packed bytes and what the library needs: 32 KiB for gzip, at most
 * 128 MiB for zstd, if the file was packed so. One thread.
 */
#ifndef UNPACK_H
#define UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes from the start of a file that tell by what it is packed. */
#define UNPACK_LOOK_BYTES 10u
#define UNPACK_REASON_BYTES 192

enum unpack_kind {
	UNPACK_NONE,
	UNPACK_GZIP,
	UNPACK_ZSTD,
	UNPACK_OTHER, /* packed by something that is not unpacked here */
};

struct unpack;

/* What the end of a path tells, as that of "x.npy.gz". The length of the path without it to
 * *length. */
enum unpack_kind unpack_by_name(const char *path, size_t *length);

/* What a file's first bytes tell, up to UNPACK_LOOK_BYTES of them. */
enum unpack_kind unpack_by_start(const unsigned char *at, size_t length);

/* The program that unpacks what begins so, as "xz -dc FILE", for a message; NULL where none is
 * known. */
const char *unpack_program(const unsigned char *at, size_t length);

/*
 * Begin to unpack what `more` brings: up to `length` packed bytes to `to`; their number, 0 at
 * the end, a negative errno. `cut_is_end`: packed bytes that end too early are no error, what
 * came before counts. NULL without memory.
 */
struct unpack *unpack_begin(enum unpack_kind kind, bool cut_is_end,
                            int64_t (*more)(void *arg, void *to, size_t length), void *arg);
void unpack_end(struct unpack *unpack); /* NULL: nothing to do */

/*
 * Unpack up to `length` bytes; their number, 0 at the end of all members or frames. -EINVAL with
 * a reason where what is packed is damaged, cut off, or not packed; -EINTR a signal asked to
 * stop; -ENOMEM; errors of `more`.
 */
int64_t unpack_read(struct unpack *unpack, void *to, size_t length);

/* Why the last call failed with -EINVAL; "" else. Valid until unpack_end. */
const char *unpack_reason(const struct unpack *unpack);

#endif
