#include "engine/disk/superblock_file.h"

#include <errno.h>
#include <string.h>

#include "engine/base/error.h"

int superblock_read(const struct quiver_io *io, int fd, struct superblock *sb, int *copies_bad,
                    struct quiver_error *error)
{
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	struct superblock copies[2];
	int results[2];
	int chosen;

	for (unsigned i = 0; i < 2; i++) {
		int r = io_read_all(io, fd, page, sizeof(page), i * SUPERBLOCK_COPY_BYTES);

		if (r == -ENODATA) { /* the file ends before */
			results[i] = -EINVAL;
			continue;
		}
		/* The copy that cannot be read may be the newer one. */
		if (r < 0) {
			error_set(error, "superblock: %s", quiver_strerror(r));
			return r;
		}
		results[i] = superblock_decode(page, i, &copies[i]);
	}
	if (results[0] == -ENOTSUP || results[1] == -ENOTSUP) {
		error_set(
			error,
			"superblock: written by a newer version of quiverfs, or with features that "
			"are not known here; this version knows format %d; use the newer version",
			QUIVER_FORMAT_VERSION);
		return -ENOTSUP;
	}
	chosen = superblock_choose(copies, results, error);
	if (chosen < 0)
		return chosen;
	*sb = copies[chosen];
	if (copies_bad)
		*copies_bad = (results[0] != 0) + (results[1] != 0);
	return 0;
}

int superblock_write(const struct quiver_io *io, int fd, struct superblock *sb)
{
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	int r;

	sb->sequence++;
	superblock_encode(sb, page);
	r = io_write_all(io, fd, page, sizeof(page), sb->sequence % 2 * SUPERBLOCK_COPY_BYTES);
	if (r == 0)
		r = io_fdatasync(io, fd);
	if (r < 0)
		sb->sequence++; /* a retry goes to this copy again, not to the good one */
	return r;
}

int superblock_describe(const struct quiver_io *io, int fd, struct superblock *sb,
                        const struct quiver_description *description)
{
	struct superblock next = *sb;
	int r;

	next.description = *description;
	r = superblock_write(io, fd, &next);
	sb->sequence = next.sequence;
	if (r < 0)
		return r;
	sb->description = *description;
	return superblock_write(io, fd, sb);
}

int superblock_again(const struct quiver_io *io, int fd, const struct superblock *sb)
{
	uint8_t page[SUPERBLOCK_COPY_BYTES];
	int r;

	superblock_encode(sb, page);
	r = io_write_all(io, fd, page, sizeof(page), sb->sequence % 2 * SUPERBLOCK_COPY_BYTES);
	return r < 0 ? r : io_fdatasync(io, fd);
}

int superblock_torn(const struct quiver_io *io, int fd, const struct superblock *next)
{
	struct superblock sb = *next;
	uint8_t is[SUPERBLOCK_COPY_BYTES];
	uint8_t whole[SUPERBLOCK_COPY_BYTES];
	const size_t last = SUPERBLOCK_COPY_BYTES - SUPERBLOCK_SECTOR_BYTES;
	int r;

	sb.sequence++;
	superblock_encode(&sb, whole);
	r = io_read_all(io, fd, is, sizeof(is), sb.sequence % 2 * SUPERBLOCK_COPY_BYTES);
	if (r < 0)
		return r;
	/* All that changes between two writes lies in the first sector and in the last: one of them
	 * is new, the other what it was. A new label is written to both copies. */
	return memcmp(is + SUPERBLOCK_SECTOR_BYTES, whole + SUPERBLOCK_SECTOR_BYTES,
	              last - SUPERBLOCK_SECTOR_BYTES) == 0 &&
	       (memcmp(is, whole, SUPERBLOCK_SECTOR_BYTES) == 0 ||
	        memcmp(is + last, whole + last, SUPERBLOCK_SECTOR_BYTES) == 0);
}

int superblock_format(const struct quiver_io *io, int fd, struct superblock *sb)
{
	uint8_t file[SUPERBLOCK_FILE_BYTES];
	int r;

	sb->sequence = 0;
	superblock_encode(sb, file);
	sb->sequence = 1;
	superblock_encode(sb, file + SUPERBLOCK_COPY_BYTES);
	r = io_write_all(io, fd, file, sizeof(file), 0);
	return r < 0 ? r : io_fsync(io, fd);
}
