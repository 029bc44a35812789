#include "memdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FDS_MAX 64
#define FD_FIRST 1000 /* no descriptor of the process is as high */

enum place {
	FREE, /* no such descriptor */
	OUTSIDE, /* the folder that the store is in */
	STORE,
	WAL,
	LOST,
	SNAPSHOTS,
	NEAREST,
	REGULAR,
};

/* The folders of a store. */
static const char *const folder_names[REGULAR] = {
	[WAL] = "wal", [LOST] = "lost+found", [SNAPSHOTS] = "snapshots", [NEAREST] = "nearest"
};

struct node {
	char name[MEMDISK_NAME_BYTES]; /* with that of its folder; "" = has none */
	unsigned opens;
	uint64_t size;
	uint64_t touched; /* all is zero from here on */
	int locked_by; /* descriptor; 0 = none */
};

struct opened {
	enum place place;
	unsigned node; /* REGULAR */
};

static struct node nodes[MEMDISK_FILES_MAX];
static struct opened fds[FDS_MAX];
static bool folder_there[REGULAR];
static uint64_t random_state;
static bool use_maps;
/* All files one after the other, so that each can be mapped. */
static int arena_fd = -1;
static uint8_t *arena;

static void die(const char *what)
{
	fprintf(stderr, "memdisk: %s\n", what);
	abort();
}

static uint8_t *bytes_of(const struct node *node)
{
	if (!arena) {
		uint64_t bytes = MEMDISK_FILES_MAX * MEMDISK_FILE_BYTES_MAX;

		arena_fd = memfd_create("memdisk", MFD_CLOEXEC);
		if (arena_fd < 0 || ftruncate(arena_fd, (off_t)bytes) != 0)
			die("no memory for the disk");
		arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, arena_fd, 0);
		if (arena == MAP_FAILED)
			die("cannot map the disk");
	}
	return arena + (uint64_t)(node - nodes) * MEMDISK_FILE_BYTES_MAX;
}

/* Zero from `from` on. */
static void wipe(struct node *node, uint64_t from)
{
	if (node->touched > from) {
		memset(bytes_of(node) + from, 0, node->touched - from);
		node->touched = from;
	}
}

static void reap(struct node *node)
{
	if (node->opens == 0 && !node->name[0]) {
		wipe(node, 0);
		node->size = 0;
	}
}

static struct opened *opened_of(int fd)
{
	if (fd < FD_FIRST || fd >= FD_FIRST + FDS_MAX || fds[fd - FD_FIRST].place == FREE)
		die("a descriptor that is not open");
	return &fds[fd - FD_FIRST];
}

static struct node *node_of(int fd)
{
	struct opened *opened = opened_of(fd);

	if (opened->place != REGULAR)
		die("a folder where a file was expected");
	return &nodes[opened->node];
}

static int new_fd(enum place place, unsigned node)
{
	for (int i = 0; i < FDS_MAX; i++)
		if (fds[i].place == FREE) {
			fds[i] = (struct opened){ place, node };
			return FD_FIRST + i;
		}
	die("too many open files");
	return -EMFILE;
}

static struct node *find(const char *name)
{
	for (unsigned i = 0; i < MEMDISK_FILES_MAX; i++)
		if (nodes[i].name[0] && strcmp(nodes[i].name, name) == 0)
			return &nodes[i];
	return NULL;
}

static struct node *make(const char *name)
{
	for (unsigned i = 0; i < MEMDISK_FILES_MAX; i++)
		if (!nodes[i].name[0] && nodes[i].opens == 0) {
			(void)snprintf(nodes[i].name, sizeof(nodes[i].name), "%s", name);
			return &nodes[i];
		}
	die("too many files");
	return NULL;
}

/* The name below the store. */
static void full_name(int dir_fd, const char *name, char full[static MEMDISK_NAME_BYTES])
{
	static const char *const prefix[] = { [STORE] = "",
		                              [WAL] = "wal/",
		                              [LOST] = "lost+found/",
		                              [SNAPSHOTS] = "snapshots/",
		                              [NEAREST] = "nearest/" };
	enum place place = opened_of(dir_fd)->place;

	if (place < STORE || place >= REGULAR ||
	    snprintf(full, MEMDISK_NAME_BYTES, "%s%s", prefix[place], name) >= MEMDISK_NAME_BYTES)
		die("a name in no folder of the store");
}

static enum place folder_called(int dir_fd, const char *name)
{
	if (dir_fd == AT_FDCWD) {
		if (strcmp(name, MEMDISK_STORE) == 0)
			return STORE;
		if (strcmp(name, MEMDISK_STORE "/..") == 0)
			return OUTSIDE;
		die("a path out of the store");
	}
	for (enum place place = WAL; place < REGULAR; place++)
		if (opened_of(dir_fd)->place == STORE && strcmp(name, folder_names[place]) == 0)
			return place;
	return FREE;
}

static int mem_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                    mode_t mode)
{
	enum place place = folder_called(dir_fd, name);
	char full[MEMDISK_NAME_BYTES];
	struct node *node;

	(void)self;
	(void)mode;
	if (place == OUTSIDE)
		return new_fd(place, 0);
	if (place != FREE)
		return folder_there[place] ? new_fd(place, 0) : -ENOENT;
	full_name(dir_fd, name, full);
	node = find(full);
	if (node && (flags & O_EXCL))
		return -EEXIST;
	if (!node && !(flags & O_CREAT))
		return -ENOENT;
	if (!node)
		node = make(full);
	if (flags & O_TRUNC) {
		wipe(node, 0);
		node->size = 0;
	}
	node->opens++;
	return new_fd(REGULAR, (unsigned)(node - nodes));
}

static int mem_close(const struct quiver_io *self, int fd)
{
	struct opened *opened = opened_of(fd);

	(void)self;
	if (opened->place == REGULAR) {
		struct node *node = node_of(fd);

		node->opens--;
		if (node->locked_by == fd)
			node->locked_by = 0;
		reap(node);
	}
	opened->place = FREE;
	return 0;
}

static ssize_t mem_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                         uint64_t offset)
{
	struct node *node = node_of(fd);
	uint64_t n = offset < node->size ? node->size - offset : 0;

	(void)self;
	if (n > length)
		n = length;
	if (n > 0)
		memcpy(to, bytes_of(node) + offset, n);
	return (ssize_t)n;
}

static int resize(struct node *node, uint64_t size)
{
	if (size > MEMDISK_FILE_BYTES_MAX)
		return -ENOSPC;
	wipe(node, size);
	node->size = size;
	return 0;
}

static ssize_t mem_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                           int count, uint64_t offset)
{
	struct node *node = node_of(fd);
	uint8_t *bytes = bytes_of(node);
	uint64_t at = offset;

	(void)self;
	for (int i = 0; i < count; i++) {
		size_t n = parts[i].iov_len;

		if (n > MEMDISK_FILE_BYTES_MAX || at > MEMDISK_FILE_BYTES_MAX - n)
			return -ENOSPC;
		if (n > 0)
			memcpy(bytes + at, parts[i].iov_base, n);
		at += n;
	}
	if (at > node->size)
		node->size = at;
	if (at > node->touched)
		node->touched = at;
	return (ssize_t)(at - offset);
}

static int mem_sync(const struct quiver_io *self, int fd)
{
	(void)self;
	(void)opened_of(fd);
	return 0;
}

static int mem_forget(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	(void)offset;
	(void)length;
	return mem_sync(self, fd);
}

static int mem_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	(void)self;
	return resize(node_of(fd), length);
}

static int mem_allocate(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	struct node *node = node_of(fd);

	(void)self;
	if (length > MEMDISK_FILE_BYTES_MAX || offset > MEMDISK_FILE_BYTES_MAX - length)
		return -ENOSPC;
	return offset + length > node->size ? resize(node, offset + length) : 0;
}

static int mem_punch(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	struct node *node = node_of(fd);

	(void)self;
	if (length == 0)
		return -EINVAL;
	if (offset < node->touched)
		memset(bytes_of(node) + offset, 0,
		       length < node->touched - offset ? length : node->touched - offset);
	return 0;
}

static void unname(struct node *node)
{
	node->name[0] = '\0';
	reap(node);
}

static int mem_rename(const struct quiver_io *self, int dir_fd, const char *from, const char *to)
{
	char full_from[MEMDISK_NAME_BYTES], full_to[MEMDISK_NAME_BYTES];
	struct node *node, *old;

	(void)self;
	full_name(dir_fd, from, full_from);
	full_name(dir_fd, to, full_to);
	node = find(full_from);
	old = find(full_to);
	if (!node)
		return -ENOENT;
	if (old && old != node)
		unname(old);
	(void)snprintf(node->name, sizeof(node->name), "%s", full_to);
	return 0;
}

static int mem_unlink(const struct quiver_io *self, int dir_fd, const char *name)
{
	char full[MEMDISK_NAME_BYTES];
	struct node *node;

	(void)self;
	full_name(dir_fd, name, full);
	node = find(full);
	if (!node)
		return -ENOENT;
	unname(node);
	return 0;
}

static int mem_mkdir(const struct quiver_io *self, int dir_fd, const char *name, mode_t mode)
{
	enum place place = folder_called(dir_fd, name);

	(void)self;
	(void)mode;
	if (place < STORE)
		die("a folder that stores do not have");
	if (folder_there[place])
		return -EEXIST;
	folder_there[place] = true;
	return 0;
}

static int mem_stat(const struct quiver_io *self, int fd, struct stat *st)
{
	bool regular = opened_of(fd)->place == REGULAR;

	(void)self;
	memset(st, 0, sizeof(*st));
	st->st_mode = regular ? S_IFREG | 0600 : S_IFDIR | 0700;
	st->st_nlink = 1;
	st->st_size = regular ? (off_t)node_of(fd)->size : 0;
	st->st_blocks = st->st_size / 512;
	return 0;
}

static int mem_list(const struct quiver_io *self, int dir_fd, char **names, size_t *count)
{
	char prefix[MEMDISK_NAME_BYTES];
	char *at = *names = malloc((MEMDISK_FILES_MAX + 2) * MEMDISK_NAME_BYTES);
	size_t length;

	(void)self;
	if (!at)
		die("no memory");
	full_name(dir_fd, "", prefix);
	length = strlen(prefix);
	*count = 0;
	for (unsigned i = 0; i < MEMDISK_FILES_MAX; i++) {
		const char *rest = nodes[i].name + length;

		if (!nodes[i].name[0] || strncmp(nodes[i].name, prefix, length) != 0 ||
		    strchr(rest, '/'))
			continue;
		at = stpcpy(at, rest) + 1;
		(*count)++;
	}
	for (enum place place = WAL; length == 0 && place < REGULAR; place++)
		if (folder_there[place]) {
			at = stpcpy(at, folder_names[place]) + 1;
			(*count)++;
		}
	return 0;
}

static int mem_map_at(const struct quiver_io *self, int fd, void *at, size_t length,
                      uint64_t offset)
{
	struct node *node = node_of(fd);
	uint64_t begin = (uint64_t)(bytes_of(node) - arena) + offset;

	(void)self;
	if (length > MEMDISK_FILE_BYTES_MAX || offset > MEMDISK_FILE_BYTES_MAX - length)
		return -ENOMEM;
	return mmap(at, length, PROT_READ, MAP_SHARED | MAP_FIXED, arena_fd, (off_t)begin) !=
	                       MAP_FAILED
	               ? 0
	               : -errno;
}

static void *mem_map_to_store(const struct quiver_io *self, int fd, uint64_t offset, size_t length)
{
	(void)self;
	if (!use_maps || length > MEMDISK_FILE_BYTES_MAX ||
	    offset > MEMDISK_FILE_BYTES_MAX - length)
		return NULL;
	return bytes_of(node_of(fd)) + offset; /* the arena is mapped already */
}

static int mem_unmap(const struct quiver_io *self, void *map, size_t length)
{
	(void)self;
	(void)map;
	(void)length;
	return 0;
}

static int mem_store(const struct quiver_io *self, void *to, const void *from, size_t length)
{
	uint64_t at = (uint64_t)((uint8_t *)to - arena);
	struct node *node = &nodes[at / MEMDISK_FILE_BYTES_MAX];
	uint64_t end = at % MEMDISK_FILE_BYTES_MAX + length;

	(void)self;
	if (end > node->size) /* the file was cut under its map */
		return -EIO;
	memcpy(to, from, length);
	if (node->touched < end)
		node->touched = end;
	return 0;
}

/* One process has the disk, so locks of folders keep nobody out. */
static bool is_folder(int fd)
{
	return opened_of(fd)->place != REGULAR;
}

static int mem_locked(const struct quiver_io *self, int fd)
{
	(void)self;
	return !is_folder(fd) && node_of(fd)->locked_by != 0 && node_of(fd)->locked_by != fd;
}

static int mem_share(const struct quiver_io *self, int fd)
{
	return mem_locked(self, fd) ? -EWOULDBLOCK : 0;
}

static int mem_lock(const struct quiver_io *self, int fd)
{
	struct node *node;

	(void)self;
	if (is_folder(fd))
		return 0;
	node = node_of(fd);
	if (node->locked_by != 0 && node->locked_by != fd)
		return -EWOULDBLOCK;
	node->locked_by = fd;
	return 0;
}

static int mem_space(const struct quiver_io *self, int fd, uint64_t *total, uint64_t *free_bytes,
                     uint64_t *available)
{
	(void)self;
	(void)opened_of(fd);
	*total = *free_bytes = *available = MEMDISK_FILES_MAX * MEMDISK_FILE_BYTES_MAX;
	return 0;
}

const struct quiver_io *quiver_io_posix(void)
{
	static const struct quiver_io table = {
		.open = mem_open,
		.close = mem_close,
		.pread = mem_pread,
		.pwritev = mem_pwritev,
		.fdatasync = mem_sync,
		.fsync = mem_sync,
		.forget = mem_forget,
		.hint = io_hint_nothing,
		.write_out = io_write_out_nothing,
		.truncate = mem_truncate,
		.allocate = mem_allocate,
		.punch = mem_punch,
		.rename = mem_rename,
		.unlink = mem_unlink,
		.mkdir = mem_mkdir,
		.stat = mem_stat,
		.list = mem_list,
		.map_at = mem_map_at,
		.map_to_store = mem_map_to_store,
		.unmap = mem_unmap,
		.store = mem_store,
		.lock = mem_lock,
		.share = mem_share,
		.locked = mem_locked,
		.space = mem_space,
	};

	return &table;
}

void memdisk_save(struct memdisk_image *image)
{
	image->count = 0;
	for (unsigned i = 0; i < MEMDISK_FILES_MAX; i++) {
		struct memdisk_file *file = &image->files[image->count];
		struct node *node = &nodes[i];

		if (!node->name[0])
			continue;
		memcpy(file->name, node->name, sizeof(file->name));
		file->size = node->size;
		file->kept = node->touched;
		file->bytes = malloc(file->kept + 1);
		if (!file->bytes)
			die("no memory");
		memcpy(file->bytes, bytes_of(node), file->kept);
		image->count++;
	}
}

void memdisk_free(struct memdisk_image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->files[i].bytes);
	image->count = 0;
}

void memdisk_use_maps(bool on)
{
	use_maps = on;
}

unsigned memdisk_opens(void)
{
	unsigned opens = 0;

	for (int i = 0; i < FDS_MAX; i++)
		opens += fds[i].place != FREE;
	return opens;
}

void memdisk_clear(void)
{
	if (memdisk_opens() > 0)
		die("files are open that should be closed");
	for (unsigned i = 0; i < MEMDISK_FILES_MAX; i++)
		unname(&nodes[i]);
	memset(folder_there, 0, sizeof(folder_there));
	random_state = 0;
}

void memdisk_load(const struct memdisk_image *image)
{
	memdisk_clear();
	folder_there[STORE] = folder_there[WAL] = true;
	for (size_t i = 0; i < image->count; i++) {
		const struct memdisk_file *file = &image->files[i];
		struct node *node = make(file->name);

		memcpy(bytes_of(node), file->bytes, file->kept);
		node->touched = file->kept;
		node->size = file->size;
		if (strncmp(file->name, "snapshots/", 10) == 0)
			folder_there[SNAPSHOTS] = true;
		if (strncmp(file->name, "nearest/", 8) == 0)
			folder_there[NEAREST] = true;
	}
	random_state = 1;
}

struct memdisk_file *memdisk_find(struct memdisk_image *image, const char *name)
{
	for (size_t i = 0; i < image->count; i++)
		if (strcmp(image->files[i].name, name) == 0)
			return &image->files[i];
	return NULL;
}

ssize_t memdisk_random(void *to, size_t length, unsigned flags)
{
	uint8_t *bytes = to;

	(void)flags;
	for (size_t i = 0; i < length; i++) {
		random_state = random_state * UINT64_C(6364136223846793005) +
		               UINT64_C(1442695040888963407);
		bytes[i] = (uint8_t)(random_state >> 56);
	}
	return (ssize_t)length;
}
