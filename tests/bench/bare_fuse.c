/*
 * bare_fuse.c - a FUSE filesystem with nothing behind it, the limit of what any can do: a
 * folder of files whose names are IDs and whose bytes are zero. What is written is dropped.
 *
 * usage: bare_fuse COUNT CAPACITY BYTES ro|rw io_uring|dev_fuse MOUNT_POINT
 *
 * The files 0 to COUNT - 1 are there; names up to CAPACITY - 1 can be made, and ".*ID*" beside
 * each, as rsync does. Everything that the kernel can keep it is told to keep, and with `ro` it
 * need not even ask to open. As quiverfs it answers each request in the thread that has it.
 */
#include <fuse_lowlevel.h>

#include "bench.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEPT_SECONDS 86400.0
#define THREADS 4
#define NAME_BYTES 32
#define FIRST_NODE 2u
#define SCRATCH 1u

static struct {
	uint64_t capacity;
	uint32_t bytes;
	bool read_only;
	char *zeros; /* `bytes` of them */
	_Atomic uint8_t *there; /* of each ID: bit 0 the file, bit 1 its scratch file */
	_Atomic uint16_t
		*modes; /* of each node but the folder: what rsync set it does not set again */
} fs;

static fuse_ino_t node_of(uint64_t id, unsigned scratch)
{
	return FIRST_NODE + 2 * id + scratch;
}

static uint8_t bit_of(fuse_ino_t node)
{
	return (node - FIRST_NODE) & SCRATCH ? 2 : 1;
}

static _Atomic uint8_t *there(fuse_ino_t node)
{
	return &fs.there[(node - FIRST_NODE) / 2];
}

static _Atomic uint16_t *mode_of(fuse_ino_t node)
{
	return &fs.modes[node - FIRST_NODE];
}

/* The node of a name, whether it is there or not; 0 for no name of ours. */
static fuse_ino_t node_named(const char *name)
{
	unsigned scratch = name[0] == '.' ? SCRATCH : 0;
	uint64_t id;

	name += strcspn(name, "0123456789");
	if (!isdigit((unsigned char)name[0]))
		return 0;
	id = strtoull(name, NULL, 10);
	return id < fs.capacity ? node_of(id, scratch) : 0;
}

static struct stat attr_of(fuse_ino_t node)
{
	bool is_folder = node == FUSE_ROOT_ID;

	return (struct stat){ .st_ino = node,
		              .st_mode = is_folder ? S_IFDIR | 0755
		                                   : S_IFREG | (mode_t)atomic_load(mode_of(node)),
		              .st_nlink = is_folder ? 2 : 1,
		              .st_size = is_folder ? 0 : fs.bytes,
		              .st_blocks = is_folder ? 0 : (fs.bytes + 511) / 512,
		              .st_blksize = 4096 };
}

static struct fuse_entry_param entry_of(fuse_ino_t node)
{
	return (struct fuse_entry_param){ .ino = node,
		                          .generation = 1,
		                          .attr = attr_of(node),
		                          .attr_timeout = KEPT_SECONDS,
		                          .entry_timeout = KEPT_SECONDS };
}

static void on_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	fuse_set_feature_flag(conn, FUSE_CAP_PARALLEL_DIROPS);
	fuse_set_feature_flag(conn, FUSE_CAP_READDIRPLUS);
	fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS_AUTO);
	fuse_unset_feature_flag(conn, FUSE_CAP_ATOMIC_O_TRUNC);
	fuse_unset_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_READ);
	fuse_unset_feature_flag(conn, FUSE_CAP_SPLICE_WRITE);
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t node = node_named(name);
	struct fuse_entry_param entry;

	(void)parent;
	if (node == 0 || !(atomic_load(there(node)) & bit_of(node))) {
		(void)fuse_reply_err(req, ENOENT);
		return;
	}
	entry = entry_of(node);
	(void)fuse_reply_entry(req, &entry);
}

static void on_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct stat attr = attr_of(node);

	(void)fi;
	(void)fuse_reply_attr(req, &attr, KEPT_SECONDS);
}

static void on_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
	if ((to_set & FUSE_SET_ATTR_MODE) && node >= FIRST_NODE)
		atomic_store(mode_of(node), (uint16_t)(attr->st_mode & 07777u));
	on_getattr(req, node, fi);
}

static void on_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	(void)node;
	if (fs.read_only) { /* the kernel asks no more */
		(void)fuse_reply_err(req, ENOSYS);
		return;
	}
	fi->keep_cache = 1;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
	(void)fuse_reply_open(req, fi);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
	fuse_ino_t node = node_named(name);
	struct fuse_entry_param entry;

	(void)parent;
	if (node == 0) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	atomic_store(mode_of(node), (uint16_t)(mode & 07777u));
	(void)atomic_fetch_or(there(node), bit_of(node));
	entry = entry_of(node);
	(void)fuse_reply_create(req, &entry, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
	size_t left = off < fs.bytes ? fs.bytes - (size_t)off : 0;

	(void)node;
	(void)fi;
	(void)fuse_reply_buf(req, fs.zeros, size < left ? size : left);
}

static void on_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
	(void)node;
	(void)data;
	(void)off;
	(void)fi;
	(void)fuse_reply_write(req, size);
}

static void on_close(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	(void)node;
	(void)fi;
	(void)fuse_reply_err(req, 0);
}

static void on_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	(void)node;
	(void)fi;
	(void)fuse_reply_err(req, fs.read_only ? ENOSYS : 0); /* likewise */
}

static void on_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	fuse_ino_t node = node_named(name);

	(void)parent;
	if (node != 0)
		(void)atomic_fetch_and(there(node), (uint8_t)~bit_of(node));
	(void)fuse_reply_err(req, node != 0 ? 0 : ENOENT);
}

static void on_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                      const char *to_name, unsigned flags)
{
	fuse_ino_t from = node_named(name), to = node_named(to_name);

	(void)parent;
	(void)to_parent;
	(void)flags;
	if (from == 0 || to == 0) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	atomic_store(mode_of(to), atomic_load(mode_of(from)));
	(void)atomic_fetch_and(there(from), (uint8_t)~bit_of(from));
	(void)atomic_fetch_or(there(to), bit_of(to));
	(void)fuse_reply_err(req, 0);
}

/* ---- listing ------------------------------------------------------------ */

/* One name; 0 where there is no room for it. */
static size_t add_name(fuse_req_t req, char *to, size_t room, uint64_t id, bool plus)
{
	struct fuse_entry_param entry = entry_of(node_of(id, 0));
	char name[NAME_BYTES];
	size_t size;

	(void)snprintf(name, sizeof(name), "%" PRIu64, id);
	size = plus ? fuse_add_direntry_plus(req, to, room, name, &entry, (off_t)id + 1)
	            : fuse_add_direntry(req, to, room, name, &entry.attr, (off_t)id + 1);
	return size <= room ? size : 0;
}

static void list(fuse_req_t req, size_t size, off_t off, bool plus)
{
	char *names = bench_alloc(size);
	size_t used = 0;

	for (uint64_t id = (uint64_t)off; id < fs.capacity; id++) {
		size_t some;

		if (!(atomic_load(&fs.there[id]) & 1))
			continue;
		some = add_name(req, names + used, size - used, id, plus);
		if (some == 0)
			break;
		used += some;
	}
	(void)fuse_reply_buf(req, names, used);
	free(names);
}

static void on_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
	(void)node;
	(void)fi;
	list(req, size, off, false);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
	(void)node;
	(void)fi;
	list(req, size, off, true);
}

static const struct fuse_lowlevel_ops ops = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.open = on_open,
	.create = on_create,
	.read = on_read,
	.write = on_write,
	.flush = on_flush,
	.release = on_close,
	.unlink = on_unlink,
	.rename = on_rename,
	.readdir = on_readdir,
	.readdirplus = on_readdirplus,
};

static void serve(char *program, char *options, const char *mount_point)
{
	char flag[] = "-o";
	char *words[] = { program, flag, options };
	struct fuse_args args = FUSE_ARGS_INIT(3, words);
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	if (!session || !config || fuse_set_signal_handlers(session) != 0 ||
	    fuse_session_mount(session, mount_point) != 0)
		bench_die("%s: cannot be mounted", mount_point);
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, THREADS);
	if (fuse_session_loop_mt(session, config) < 0)
		bench_die("%s: the session ended", mount_point);
	fuse_loop_cfg_destroy(config);
	fuse_session_unmount(session);
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	fuse_opt_free_args(&args);
}

int main(int argc, char **argv)
{
	char options[128];
	uint64_t count;

	if (argc != 7)
		bench_die("usage: bare_fuse COUNT CAPACITY BYTES ro|rw io_uring|dev_fuse "
		          "MOUNT_POINT");
	count = strtoull(argv[1], NULL, 10);
	fs.capacity = strtoull(argv[2], NULL, 10);
	fs.bytes = (uint32_t)strtoul(argv[3], NULL, 10);
	fs.read_only = strcmp(argv[4], "ro") == 0;
	if (fs.bytes == 0 || fs.capacity < count || fs.capacity == 0)
		bench_die("no bytes, or less room than files");
	fs.zeros = calloc(1, fs.bytes);
	fs.there = calloc(fs.capacity, 1);
	fs.modes = calloc(2 * fs.capacity, sizeof(*fs.modes));
	if (!fs.zeros || !fs.there || !fs.modes)
		bench_die("no memory");
	for (uint64_t id = 0; id < count; id++)
		atomic_init(mode_of(node_of(id, 0)), 0644);
	memset((void *)(uintptr_t)fs.there, 1, count);
	(void)snprintf(options, sizeof(options), "fsname=bare_fuse,default_permissions%s%s",
	               fs.read_only ? ",ro" : "",
	               strcmp(argv[5], "io_uring") == 0 ? ",io_uring" : "");
	serve(argv[0], options, argv[6]);
	free((void *)(uintptr_t)fs.there);
	free(fs.zeros);
	return 0;
}
