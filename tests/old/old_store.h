/*
 * old_store.h - copies of the kept stores (old_stores.py) on a real filesystem. OLD_STORES is the
 * folder where they are unpacked, OLD_TRUTHS that of the truths.
 */
#ifndef OLD_STORE_H
#define OLD_STORE_H

#include <dirent.h>

#include "engine/disk/superblock_file.h"
#include "tests/unit/unit.h"
#include "truth.h"

#define OLD_PATH_BYTES (UNIT_PATH_BYTES + 64)

struct old_store {
	struct unit_dir dir;
	char path[OLD_PATH_BYTES];
	struct truth truth;
};

/* ---- copies ---- */

/* With its holes. */
static inline void old_copy_file(int from_dir, int to_dir, const char *name)
{
	static char buffer[1 << 16];
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
	int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t end = lseek(from, 0, SEEK_END);
	off_t at = 0;

	assert_true(from >= 0 && to >= 0 && end >= 0);
	while ((at = lseek(from, at, SEEK_DATA)) >= 0 && at < end) {
		off_t stop = lseek(from, at, SEEK_HOLE);

		assert_true(stop > at);
		while (at < stop) {
			size_t want = stop - at < (off_t)sizeof(buffer) ? (size_t)(stop - at)
			                                                : sizeof(buffer);
			ssize_t got = pread(from, buffer, want, at);

			assert_true(got > 0);
			assert_int_equal(pwrite(to, buffer, (size_t)got, at), got);
			at += got;
		}
	}
	assert_int_equal(ftruncate(to, end), 0);
	assert_int_equal(close(to), 0);
	assert_int_equal(close(from), 0);
}

static inline void old_copy_folder(const char *from, const char *to)
{
	DIR *folder = opendir(from);
	struct dirent *entry;
	int to_fd;

	assert_non_null(folder);
	assert_int_equal(mkdir(to, 0700), 0);
	to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(to_fd >= 0);
	while ((entry = readdir(folder)) != NULL) {
		char inner_from[OLD_PATH_BYTES * 2];
		char inner_to[OLD_PATH_BYTES * 2];

		if (entry->d_name[0] == '.')
			continue;
		if (strcmp(entry->d_name, "wal") != 0) {
			old_copy_file(dirfd(folder), to_fd, entry->d_name);
			continue;
		}
		assert_in_range(snprintf(inner_from, sizeof(inner_from), "%s/wal", from), 1,
		                sizeof(inner_from) - 1);
		assert_in_range(snprintf(inner_to, sizeof(inner_to), "%s/wal", to), 1,
		                sizeof(inner_to) - 1);
		old_copy_folder(inner_from, inner_to);
	}
	assert_int_equal(close(to_fd), 0);
	assert_int_equal(closedir(folder), 0);
}

/* The store as the old program left it, in the place of whatever there is. */
static inline void old_store_renew(struct old_store *s, const char *name)
{
	char from[OLD_PATH_BYTES];

	snprintf(from, sizeof(from), "%s/%s", OLD_STORES, name);
	assert_int_equal(test_remove(s->path), 0);
	old_copy_folder(from, s->path);
}

/* ---- a kept store ---- */

/* A copy of the kept store, in a folder of its own, with its truth. Given back with
 * old_store_free. */
static inline struct old_store *old_store_make(const char *name)
{
	struct old_store *s = calloc(1, sizeof(*s));
	char path[OLD_PATH_BYTES];

	assert_non_null(s);
	unit_dir_make(&s->dir);
	snprintf(s->path, sizeof(s->path), "%s/store", s->dir.path);
	snprintf(path, sizeof(path), "%s/%s.truth", OLD_TRUTHS, name);
	truth_load(&s->truth, path);
	old_store_renew(s, name);
	return s;
}

static inline void old_store_free(struct old_store *s)
{
	truth_free(&s->truth);
	unit_dir_remove(&s->dir);
	free(s);
}

/* The one that counts. */
static inline struct superblock old_store_superblock(const struct old_store *s)
{
	const struct quiver_io *io = quiver_io_posix();
	char path[OLD_PATH_BYTES * 2];
	struct superblock sb;
	int fd;

	snprintf(path, sizeof(path), "%s/superblock", s->path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(superblock_read(io, fd, &sb, NULL, NULL), 0);
	assert_int_equal(close(fd), 0);
	return sb;
}

static inline bool old_store_has(const struct old_store *s, const char *name)
{
	char path[OLD_PATH_BYTES * 2];

	snprintf(path, sizeof(path), "%s/%s", s->path, name);
	return access(path, F_OK) == 0;
}

#endif
