/* Creating a store. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/description.h"
#include "engine/base/error.h"
#include "engine/base/latency.h"
#include "engine/base/sized.h"
#include "engine/base/uuid.h"
#include "engine/disk/columns.h"
#include "engine/disk/superblock_file.h"
#include "engine/quiver.h"
#include "engine/store/elsewhere.h"

static int check_geometry(const struct quiver_geometry *geometry, struct quiver_error *error)
{
	if (geometry->dim < 1 || geometry->dim > QUIVER_DIM_MAX) {
		error_set(error, "dim %" PRIu32 ": expected 1 to %u", geometry->dim,
		          QUIVER_DIM_MAX);
		return -EINVAL;
	}
	if (geometry->dtype < QUIVER_F4 || geometry->dtype > QUIVER_B1) {
		error_set(error, "dtype: expected f4, f2, f8, i1, u1, bf2 or b1");
		return -EINVAL;
	}
	if (quiver_vector_bytes(geometry->dim, geometry->dtype) == 0) {
		error_set(error,
		          "dim %" PRIu32 ": with b1 it counts bits; expected a multiple of 8",
		          geometry->dim);
		return -EINVAL;
	}
	return 0;
}

static int check_description(const struct quiver_geometry *geometry,
                             const struct quiver_description *description,
                             struct quiver_error *error)
{
	size_t length = strnlen(description->label, sizeof(description->label));

	if (length > QUIVER_LABEL_BYTES_MAX ||
	    !description_label_is_valid(description->label, length)) {
		error_set(error,
		          "label: expected at most %u bytes of UTF-8 without control "
		          "characters",
		          QUIVER_LABEL_BYTES_MAX);
		return -EINVAL;
	}
	if (!description_fits_metric(geometry->dtype, description->metric)) {
		error_set(error,
		          "metric: expected l2, cosine or ip, or hamming if the dtype is b1 or u1");
		return -EINVAL;
	}
	return 0;
}

static int create_file(const struct quiver_io *io, int dir_fd, const char *name)
{
	int fd = io->open(io, dir_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);

	return fd < 0 ? fd : io->close(io, fd);
}

static int create_superblock(const struct quiver_io *io, int dir_fd,
                             const struct quiver_geometry *geometry,
                             const struct quiver_description *description)
{
	mode_t mask = umask(0);
	int64_t now_ns = clock_realtime_ns();
	struct superblock sb = {
		.version = QUIVER_FORMAT_VERSION,
		.geometry = *geometry,
		.description = *description,
		.lsn_ceiling = 1,
		.wal_first = 1,
		.ctime_max_ns = now_ns,
		.dir = { .mtime_ns = now_ns,
		         .ctime_ns = now_ns,
		         .uid = geteuid(),
		         .gid = getegid(),
		         .mode = (uint16_t)(0777 & ~mask) },
	};
	struct stat in;
	int fd;
	int c;
	int r = io->stat(io, dir_fd, &in);

	(void)umask(mask);
	if (r)
		return r;
	if (in.st_uid != sb.dir.uid) { /* a folder of somebody else's, so his store */
		sb.dir.uid = in.st_uid;
		sb.dir.gid = in.st_gid;
	}
	fd = io->open(io, dir_fd, "superblock.new", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	r = superblock_format(io, fd, &sb);
	if (r == 0)
		r = io_fsync(io, fd);
	c = io->close(io, fd);
	r = r ? r : c;
	/* Whole under its name or not there: half of one would look like damage. */
	return r ? r : io->rename(io, dir_fd, "superblock.new", "superblock");
}

/* Everything but the superblock first, so that a crash leaves no store. */
static int create_in(const struct quiver_io *io, int dir_fd, const struct quiver_geometry *geometry,
                     const struct quiver_description *description)
{
	int r = columns_create(io, dir_fd, geometry);

	if (r == 0)
		r = io->mkdir(io, dir_fd, "wal", 0700);
	if (r == 0)
		r = create_file(io, dir_fd, "LOCK");
	if (r == 0)
		r = io_fsync(io, dir_fd);
	if (r == 0)
		r = create_superblock(io, dir_fd, geometry, description);
	if (r == 0)
		r = io_fsync(io, dir_fd);
	return r;
}

static void remove_created(const struct quiver_io *io, int dir_fd)
{
	static const char *const names[] = { "superblock", "superblock.new", "vectors.npy",
		                             "ids.npy",    "meta.npy",       "LOCK" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)io->unlink(io, dir_fd, names[i]); /* may not have been made yet */
	(void)unlinkat(dir_fd, "wal", AT_REMOVEDIR);
}

/* -ENOTEMPTY with a message where the folder holds anything. */
static int check_empty(const struct quiver_io *io, int dir_fd, const char *path,
                       struct quiver_error *error)
{
	char *names = NULL;
	size_t count = 0;
	int r = io->list(io, dir_fd, &names, &count);

	if (r == 0 && count > 0) {
		error_set(error,
		          "%s: the folder is not empty (it holds %s); give a new or empty one",
		          path, names);
		r = -ENOTEMPTY;
	}
	free(names);
	return r;
}

/* A new folder's own entry must survive a crash, too. */
static int sync_parent(const struct quiver_io *io, const char *path)
{
	char parent[PATH_MAX];
	int c;
	int fd;
	int r;

	if (snprintf(parent, sizeof(parent), "%s/..", path) >= (int)sizeof(parent))
		return -ENAMETOOLONG;
	fd = io->open(io, AT_FDCWD, parent, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd == -EACCES ? 0 : fd; /* not ours to open, so not ours to sync */
	r = io_fsync(io, fd);
	c = io->close(io, fd);
	return r ? r : c;
}

/* In a folder; all that is given has been looked at. */
static int create_folder(const char *path, const struct quiver_geometry *made,
                         const struct quiver_description *description, const struct quiver_io *io,
                         struct quiver_error *error)
{
	int dir_fd = -1;
	int r = io->mkdir(io, AT_FDCWD, path, 0700);
	bool made_dir = r == 0;

	if (r == 0 || r == -EEXIST) {
		/* One that somebody has put in the place of the new folder is not followed. */
		dir_fd = io->open(io, AT_FDCWD, path,
		                  O_RDONLY | O_DIRECTORY | (made_dir ? O_NOFOLLOW : 0), 0);
		r = dir_fd < 0 ? dir_fd : check_empty(io, dir_fd, path, error);
		if (r == -ENOTEMPTY)
			goto out;
	}
	if (r == 0 && !made_dir && fchmod(dir_fd, 0700) != 0)
		r = -errno;
	if (r == 0) {
		r = create_in(io, dir_fd, made, description);
		if (r == 0)
			r = sync_parent(io, path);
		if (r)
			remove_created(io, dir_fd);
	}
	if (r && made_dir)
		(void)rmdir(path); /* what failed first is the reason */
	if (r)
		error_set(error, "%s: cannot create a store: %s", path, quiver_strerror(r));
out:
	if (dir_fd >= 0)
		(void)io->close(io, dir_fd); /* only read, and all in it is synced */
	return r;
}

/* The struct as it was when it got its size. */
#define OPTIONS_LEAST_BYTES (offsetof(struct quiver_create_options, sparse) + sizeof(bool))

int quiver_create_with(const char *path, const struct quiver_geometry *geometry,
                       const struct quiver_description *description,
                       const struct quiver_create_options *options, struct quiver_error *error)
{
	static const struct quiver_description none = { .metric = QUIVER_L2 };
	const struct quiver_module *module;
	struct quiver_geometry made = *geometry;
	struct quiver_create_options known;
	int r = sized_take(&known, sizeof(known), options, options->size, OPTIONS_LEAST_BYTES);

	if (r) {
		error_set(error,
		          "quiver_create_options: the size is %zu, or there are fields after byte "
		          "%zu that this library does not know",
		          options->size, sizeof(known));
		return r;
	}
	description = description ? description : &none;
	r = check_geometry(geometry, error);
	if (r == 0)
		r = check_description(geometry, description, error);
	if (r)
		return r;
	made.vector_bytes = quiver_vector_bytes(made.dim, made.dtype);
	r = uuid_random(made.uuid);
	if (r)
		return r;
	module = elsewhere_module(path, &r, error);
	if (module)
		return module->create(path, &made, description, &known, error);
	if (r == 0)
		r = elsewhere_refuse(path, known.access, error);
	return r ? r
	         : create_folder(path, &made, description, known.io ? known.io : quiver_io_posix(),
	                         error);
}

int quiver_create(const char *path, const struct quiver_geometry *geometry,
                  const struct quiver_description *description, const struct quiver_io *io,
                  struct quiver_error *error)
{
	struct quiver_create_options options = { .size = sizeof(options), .io = io };

	return quiver_create_with(path, geometry, description, &options, error);
}
