/*
 * zip_file.h - the members of a ZIP file as streams, by way of minizip.
 *
 * It is read through a stream that is sized, so by its descriptor. One member at a time, one
 * thread. Errors are negative errnos with a reason, of at most ZIP_REASON_BYTES.
 */
#ifndef ZIP_FILE_H
#define ZIP_FILE_H

#include "tools/formats/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZIP_NAME_BYTES 256 /* with its NUL; longer names are cut */
#define ZIP_REASON_BYTES 192

struct zip_file {
	const struct stream *stream; /* the caller's */
	uint64_t position; /* of the next byte the library reads */
	void *zip; /* the library's */
	bool opened; /* a member is */
	bool at_end; /* of the member, whose checksum is right */
	char reason[ZIP_REASON_BYTES];
};

/* Open the file. -EINVAL; to be given back with zip_close then, too. */
int zip_open(const struct stream *stream, struct zip_file *file);
void zip_close(struct zip_file *file);

/* Go to the first member, or the next; its name to *name. 1, 0 behind the last, -EINVAL. */
int zip_first(struct zip_file *file, char name[ZIP_NAME_BYTES]);
int zip_next(struct zip_file *file, char name[ZIP_NAME_BYTES]);

/*
 * Open the member that was gone to as a stream of its bytes, which lives as long as `file` and
 * ends with stream_close: not sized, its checksum is compared at its end. -EINVAL it is
 * encrypted, compressed otherwise than by deflate, or damaged.
 */
int zip_open_member(struct zip_file *file, struct stream *member);
void zip_close_member(struct zip_file *file, struct stream *member);

/* The same as a part of the file, which can be read at any place, without a look at the
 * checksum. -ENOTSUP it is compressed. */
int zip_place_member(struct zip_file *file, struct stream *member);

#endif
