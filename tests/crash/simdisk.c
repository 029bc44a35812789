#include "simdisk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fault.h"
#include "simdisk_disk.h"

#define LOG_SUFFIX ".wal"

static struct simdisk *disk_of(const struct quiver_io *self)
{
	/* The table is the first member. */
	return (struct simdisk *)(uintptr_t)self;
}

static void event(struct simdisk *disk, struct sim_node *written)
{
	disk->last_written = written;
	if (disk->hook)
		disk->hook(disk->hook_arg);
}

static struct sim_node *node_of(const struct simdisk *disk, int fd)
{
	return fd >= 0 && fd < SIM_FDS ? disk->by_fd[fd] : NULL;
}

static struct sim_node *new_node(struct simdisk *disk, bool folder)
{
	struct sim_node *node = sim_alloc(sizeof(*node));

	node->folder = folder;
	node->number = disk->node_count++;
	node->next = disk->nodes;
	disk->nodes = node;
	return node;
}

/* A name may have one folder before it. The folder's node, NULL where it is not ours, and in *leaf
 * the name in it. */
static struct sim_node *folder_of(const struct simdisk *disk, int dir_fd, const char *name,
                                  const char **leaf)
{
	struct sim_node *folder = node_of(disk, dir_fd);
	const char *slash = strchr(name, '/');
	char first[SIM_NAME_BYTES];

	*leaf = name;
	if (!folder || !slash)
		return folder;
	(void)snprintf(first, sizeof(first), "%.*s", (int)(slash - name), name);
	*leaf = slash + 1;
	return sim_names_find(&folder->names_now, first);
}

static void add_name(struct sim_node *folder, const char *name, struct sim_node *node)
{
	struct sim_naming naming = { .kind = SIM_ADD, .entry.node = node };

	if (strlen(name) >= SIM_NAME_BYTES)
		abort();
	(void)snprintf(naming.entry.name, SIM_NAME_BYTES, "%s", name);
	sim_node_name(folder, &naming);
}

static void drop_name(struct sim_node *folder, const char *name)
{
	struct sim_naming naming = { .kind = SIM_REMOVE };

	(void)snprintf(naming.entry.name, SIM_NAME_BYTES, "%s", name);
	sim_node_name(folder, &naming);
}

static void remember(struct simdisk *disk, int fd, struct sim_node *node)
{
	if (fd >= SIM_FDS)
		abort();
	disk->by_fd[fd] = node;
}

static int sim_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                    mode_t mode)
{
	struct simdisk *disk = disk_of(self);
	const char *leaf;
	struct sim_node *folder = folder_of(disk, dir_fd, name, &leaf);
	struct sim_node *node;
	int fd;

	if ((flags & O_DIRECT) && disk->no_direct)
		return -EINVAL;
	fd = disk->real->open(disk->real, dir_fd, name, flags & ~O_DIRECT, mode);
	if (fd < 0)
		return fd;
	if (fd < SIM_FDS)
		disk->direct_fd[fd] = flags & O_DIRECT;
	if (!folder) { /* a path: the store's folder, or its parent, which is not ours */
		remember(disk, fd, strcmp(name, disk->root) == 0 ? disk->root_node : NULL);
		return fd;
	}
	node = sim_names_find(&folder->names_now, leaf);
	if (!node) {
		node = new_node(disk, false);
		add_name(folder, leaf, node);
		remember(disk, fd, node);
		event(disk, NULL);
	} else if ((flags & O_TRUNC) && node->size_now > 0) {
		sim_node_resize(node, 0);
		remember(disk, fd, node);
		event(disk, NULL);
	}
	remember(disk, fd, node);
	return fd;
}

static int sim_close(const struct quiver_io *self, int fd)
{
	struct simdisk *disk = disk_of(self);

	if (fd < SIM_FDS)
		disk->by_fd[fd] = NULL;
	return disk->real->close(disk->real, fd);
}

static ssize_t sim_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                         uint64_t offset)
{
	struct simdisk *disk = disk_of(self);
	struct sim_node *node = node_of(disk, fd);
	ssize_t n = disk->real->pread(disk->real, fd, to, length, offset);

	if (node && n > 0 && disk->direct_fd[fd])
		sim_node_direct(node, offset, (uint64_t)n, to);
	return n;
}

static bool is_log(const struct simdisk *disk, const struct sim_node *node)
{
	struct sim_node *wal = sim_names_find(&disk->root_node->names_now, "wal");

	for (size_t i = 0; wal && i < wal->names_now.count; i++)
		if (wal->names_now.items[i].node == node)
			return true;
	return false;
}

static ssize_t sim_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                           int count, uint64_t offset)
{
	struct simdisk *disk = disk_of(self);
	struct sim_node *node = node_of(disk, fd);
	uint64_t length = 0;
	bool fails;
	uint8_t *all;
	ssize_t n;

	for (int i = 0; i < count; i++)
		length += parts[i].iov_len;
	all = sim_alloc(length);
	length = 0;
	for (int i = 0; i < count; i++) {
		memcpy(all + length, parts[i].iov_base, parts[i].iov_len);
		length += parts[i].iov_len;
	}
	fails = disk->fail_log && is_log(disk, node);
	if (fails && disk->fail_after < length)
		length = disk->fail_after;
	n = pwrite(fd, all, length, (off_t)offset);
	if (n != (ssize_t)length)
		abort();
	sim_node_write(node, offset, length, all);
	free(all);
	event(disk, node);
	if (fails) {
		disk->fail_log = false;
		disk->log_failed = true;
		return -EIO;
	}
	return n;
}

static const char *name_in(const struct sim_node *folder, const struct sim_node *node)
{
	for (size_t i = 0; i < folder->names_now.count; i++)
		if (folder->names_now.items[i].node == node)
			return folder->names_now.items[i].name;
	return NULL;
}

static void note_failed(struct simdisk *disk, struct sim_node *node)
{
	const struct sim_names *names = &disk->root_node->names_now;
	const char *name = name_in(disk->root_node, node);

	for (size_t i = 0; !name && i < names->count; i++)
		if (names->items[i].node->folder)
			name = name_in(names->items[i].node, node);
	(void)snprintf(disk->failed_sync, SIM_NAME_BYTES, "%s", name ? name : ".");
	if (!node->folder) /* what is not written of a folder stays to be written */
		sim_node_sync_failed(node, disk->failure_seed);
}

static int sim_sync(const struct quiver_io *self, int fd)
{
	struct simdisk *disk = disk_of(self);
	struct sim_node *node = node_of(disk, fd);

	if (node && disk->syncs_until_failure > 0 && --disk->syncs_until_failure == 0) {
		note_failed(disk, node);
		event(disk, NULL);
		return -EIO;
	}
	if (node) {
		sim_node_sync(node);
		event(disk, NULL);
	}
	return 0;
}

/* Its crashes end the machine, too, so there is no cache to be forgotten. */
static int sim_forget(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	(void)self;
	(void)fd;
	(void)offset;
	(void)length;
	return 0;
}

static int sim_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	struct simdisk *disk = disk_of(self);
	int r = disk->real->truncate(disk->real, fd, length);

	if (r == 0) {
		sim_node_resize(node_of(disk, fd), length);
		event(disk, NULL);
	}
	return r;
}

static int sim_allocate(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	struct simdisk *disk = disk_of(self);
	struct sim_node *node = node_of(disk, fd);
	int r = disk->real->allocate(disk->real, fd, offset, length);

	if (r == 0 && offset + length > node->size_now) {
		sim_node_resize(node, offset + length);
		event(disk, NULL);
	}
	return r;
}

static int sim_punch(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	struct simdisk *disk = disk_of(self);
	int r = disk->real->punch(disk->real, fd, offset, length);

	if (r == 0) {
		sim_node_zero(node_of(disk, fd), offset, length);
		event(disk, NULL);
	}
	return r;
}

static int sim_rename(const struct quiver_io *self, int dir_fd, const char *from, const char *to)
{
	struct simdisk *disk = disk_of(self);
	struct sim_naming naming = { .kind = SIM_RENAME };
	const char *leaf_from, *leaf_to;
	struct sim_node *folder = folder_of(disk, dir_fd, from, &leaf_from);
	int r = disk->real->rename(disk->real, dir_fd, from, to);

	if (r)
		return r;
	if (folder_of(disk, dir_fd, to, &leaf_to) != folder)
		abort(); /* the engine has no such rename on this disk */
	(void)snprintf(naming.entry.name, SIM_NAME_BYTES, "%s", leaf_from);
	(void)snprintf(naming.to, SIM_NAME_BYTES, "%s", leaf_to);
	sim_node_name(folder, &naming);
	event(disk, NULL);
	return 0;
}

static int sim_unlink(const struct quiver_io *self, int dir_fd, const char *name)
{
	struct simdisk *disk = disk_of(self);
	const char *leaf;
	struct sim_node *folder = folder_of(disk, dir_fd, name, &leaf);
	int r = disk->real->unlink(disk->real, dir_fd, name);

	if (r == 0) {
		drop_name(folder, leaf);
		event(disk, NULL);
	}
	return r;
}

static int sim_mkdir(const struct quiver_io *self, int dir_fd, const char *name, mode_t mode)
{
	struct simdisk *disk = disk_of(self);
	struct sim_node *folder = node_of(disk, dir_fd);
	int r = disk->real->mkdir(disk->real, dir_fd, name, mode);

	if (r == 0 && folder) {
		add_name(folder, name, new_node(disk, true));
		event(disk, NULL);
	}
	return r;
}

static int sim_stat(const struct quiver_io *self, int fd, struct stat *st)
{
	return disk_of(self)->real->stat(disk_of(self)->real, fd, st);
}

static int sim_list(const struct quiver_io *self, int dir_fd, char **names, size_t *count)
{
	return disk_of(self)->real->list(disk_of(self)->real, dir_fd, names, count);
}

static int sim_map_at(const struct quiver_io *self, int fd, void *at, size_t length,
                      uint64_t offset)
{
	return disk_of(self)->real->map_at(disk_of(self)->real, fd, at, length, offset);
}

static void *sim_map_to_store(const struct quiver_io *self, int fd, uint64_t offset, size_t length)
{
	struct simdisk *disk = disk_of(self);
	void *at;

	if (!disk->use_maps)
		return NULL;
	at = disk->real->map_to_store(disk->real, fd, offset, length);
	if (!at)
		return NULL;
	disk->maps = sim_grow(disk->maps, &disk->map_room, disk->map_count, sizeof(*disk->maps));
	disk->maps[disk->map_count++] = (struct sim_map){
		.at = at, .length = length, .offset = offset, .node = node_of(disk, fd)
	};
	return at;
}

static int sim_unmap(const struct quiver_io *self, void *map, size_t length)
{
	struct simdisk *disk = disk_of(self);

	for (size_t i = 0; i < disk->map_count; i++)
		if (disk->maps[i].at == map && disk->maps[i].length == length) {
			disk->maps[i] = disk->maps[--disk->map_count];
			return disk->real->unmap(disk->real, map, length);
		}
	abort();
}

static const struct sim_map *map_at(const struct simdisk *disk, const void *to)
{
	const uint8_t *at = to;

	for (size_t i = 0; i < disk->map_count; i++)
		if (at >= disk->maps[i].at && at < disk->maps[i].at + disk->maps[i].length)
			return &disk->maps[i];
	abort();
}

static int sim_store(const struct quiver_io *self, void *to, const void *from, size_t length)
{
	struct simdisk *disk = disk_of(self);
	const struct sim_map *map = map_at(disk, to);
	uint64_t at = map->offset + (uint64_t)((uint8_t *)to - map->at);
	bool fails = disk->fail_log && is_log(disk, map->node);
	int r;

	if (fails && disk->fail_after < length)
		length = disk->fail_after;
	r = fault_fill(to, from, length);
	if (r)
		return r; /* the file was cut */
	sim_node_store(map->node, at, length, from);
	event(disk, map->node);
	return fails ? -EIO : 0;
}

static int sim_lock(const struct quiver_io *self, int fd)
{
	return disk_of(self)->real->lock(disk_of(self)->real, fd);
}

static int sim_share(const struct quiver_io *self, int fd)
{
	return disk_of(self)->real->share(disk_of(self)->real, fd);
}

static int sim_locked(const struct quiver_io *self, int fd)
{
	return disk_of(self)->real->locked(disk_of(self)->real, fd);
}

static int sim_space(const struct quiver_io *self, int fd, uint64_t *total, uint64_t *free_bytes,
                     uint64_t *available)
{
	int r = disk_of(self)->real->space(disk_of(self)->real, fd, total, free_bytes, available);

	if (disk_of(self)->is_tight)
		*free_bytes = *available = 0;
	return r;
}

/* A file that is there already. */
static struct sim_node *load_file(struct simdisk *disk, int dir_fd, const char *name)
{
	struct sim_node *node = new_node(disk, false);
	struct stat st;
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		abort();
	node->size = node->size_now = (uint64_t)st.st_size;
	node->bytes = sim_alloc(node->size);
	if (pread(fd, node->bytes, node->size, 0) != st.st_size || close(fd) != 0)
		abort();
	return node;
}

static struct sim_node *load_folder(struct simdisk *disk, int dir_fd)
{
	struct sim_node *node = new_node(disk, true);
	struct sim_naming naming = { .kind = SIM_ADD };
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;

	if (!dir)
		abort();
	while ((entry = readdir(dir)) != NULL) {
		int fd;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(naming.entry.name, SIM_NAME_BYTES, "%.*s", SIM_NAME_BYTES - 1,
		               entry->d_name);
		fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		naming.entry.node = fd >= 0 ? load_folder(disk, fd)
		                            : load_file(disk, dir_fd, entry->d_name);
		sim_node_name(node, &naming);
	}
	sim_node_sync(node);
	if (closedir(dir) != 0)
		abort();
	return node;
}

struct simdisk *sim_new(const char *root)
{
	static const struct quiver_io table = {
		.open = sim_open,
		.close = sim_close,
		.pread = sim_pread,
		.pwritev = sim_pwritev,
		.fdatasync = sim_sync,
		.fsync = sim_sync,
		.forget = sim_forget,
		.hint = io_hint_nothing,
		.write_out = io_write_out_nothing,
		.truncate = sim_truncate,
		.allocate = sim_allocate,
		.punch = sim_punch,
		.rename = sim_rename,
		.unlink = sim_unlink,
		.mkdir = sim_mkdir,
		.stat = sim_stat,
		.list = sim_list,
		.map_at = sim_map_at,
		.map_to_store = sim_map_to_store,
		.unmap = sim_unmap,
		.store = sim_store,
		.lock = sim_lock,
		.share = sim_share,
		.locked = sim_locked,
		.space = sim_space,
	};
	struct simdisk *disk = sim_alloc(sizeof(*disk));
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	disk->table = table;
	disk->real = quiver_io_posix();
	(void)snprintf(disk->root, sizeof(disk->root), "%s", root);
	disk->root_node = fd >= 0 ? load_folder(disk, fd) : new_node(disk, true);
	return disk;
}

void sim_free(struct simdisk *disk)
{
	while (disk->nodes) {
		struct sim_node *node = disk->nodes;

		disk->nodes = node->next;
		sim_node_free(node);
	}
	free(disk->maps);
	free(disk);
}

const struct quiver_io *sim_io(const struct simdisk *disk)
{
	return &disk->table;
}

void sim_on_event(struct simdisk *disk, void (*hook)(void *arg), void *arg)
{
	disk->hook = hook;
	disk->hook_arg = arg;
}

void sim_no_direct(struct simdisk *disk)
{
	disk->no_direct = true;
}

void sim_use_maps(struct simdisk *disk)
{
	disk->use_maps = true;
}

void sim_be_tight(struct simdisk *disk)
{
	disk->is_tight = true;
}

void sim_fail_log_write(struct simdisk *disk, uint64_t bytes)
{
	disk->fail_log = true;
	disk->log_failed = false;
	disk->fail_after = bytes;
}

void sim_fail_no_log_write(struct simdisk *disk)
{
	disk->fail_log = false;
}

void sim_fail_sync(struct simdisk *disk, unsigned after, uint64_t seed)
{
	disk->failure_seed = seed;
	disk->syncs_until_failure = after + 1;
	disk->failed_sync[0] = '\0';
}

void sim_fail_no_sync(struct simdisk *disk)
{
	disk->syncs_until_failure = 0;
	disk->failed_sync[0] = '\0';
}

const char *sim_failed_sync(const struct simdisk *disk)
{
	return disk->failed_sync[0] ? disk->failed_sync : NULL;
}

bool sim_failed_log_write(const struct simdisk *disk)
{
	return disk->log_failed;
}
