/*
 * fuzz_fs.c - any sequence of filesystem requests to the handlers of fs/, as a kernel sends
 * them, compared with a model in memory: opens, writes in pieces, O_TRUNC, O_APPEND, ftruncate,
 * flush, fsync, release, renames from scratch names and between IDs, a folder of scratch files that
 * comes and goes and is forgotten, unlink with open handles, listings while all that changes, control/put
 * and control/get, compaction, remounts and kills.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/media/bytes.h"
#include "fs/base/charge.h"
#include "fs/base/errors.h"
#include "fs/base/tree.h"
#include "fs/control/control_get.h"
#include "fs/ops/ops.h"
#include "fs_model.h"
#include "fs_requests.h"
#include "fuzz.h"

#define OPS_MAX 120
#define FOLDER_ARGS 128 /* of what is refused, those from here on are about the folder */
#define TIDS 3u
#define UMASK 022u /* of requests */

struct walk {
	bool opened, begun;
	struct fuse_file_info fi;
	uint64_t offset;
	/* Was there when it began and has been since; how often it was listed. */
	bool ids_there[MODEL_IDS], ids_stayed[MODEL_IDS];
	unsigned ids_seen[MODEL_IDS];
	uint64_t inos[MODEL_SCRATCH]; /* 0: no such file then */
	bool inos_stayed[MODEL_SCRATCH];
	unsigned inos_seen[MODEL_SCRATCH];
};

static struct play {
	struct fs fs;
	struct model model;
	struct fuse_req req;
	struct fuse_file_info fis[MODEL_HANDLES]; /* of the model's handles */
	struct walk walk;
	uint64_t folder; /* number of the folder that was last made; 0: none */
	uint64_t folder_lookups; /* that the kernel has of it */
	uint32_t serial; /* of bytes written */
} play;

static const struct fuse_lowlevel_ops *ops;

#define EXPECT(want) expect((want), __LINE__)
static void expect(int want, int line)
{
	int rc = request_end(&play.req);

	if (rc != want)
		fprintf(stderr, "line %d: got %d (%s), expected %d (%s)\n", line, rc, strerror(-rc),
		        want, strerror(-want));
	FUZZ_CHECK(rc == want);
}

static struct fuse_req *begin(pid_t tid)
{
	request_begin(&play.req, &play.fs, tid);
	return &play.req;
}

static uint64_t real_id(unsigned id)
{
	return id + 1 == MODEL_IDS ? QUIVER_ID_MAX : id;
}

static uint64_t node_of(unsigned id)
{
	return tree_node_of_id(real_id(id));
}

static const char *id_name(unsigned id)
{
	static char text[2][TREE_ID_TEXT_BYTES];
	static unsigned turn;

	turn = !turn;
	(void)tree_format_id(real_id(id), text[turn]);
	return text[turn];
}

static const char *scratch_name(int name)
{
	static const char *const names[MODEL_NAMES + MODEL_FOLDER_NAMES] = { ".a", ".b", ".c", "a",
		                                                             "1" };

	return names[name];
}

#define FOLDER_NAME ".d"

static uint64_t parent_of(int name)
{
	return name < (int)MODEL_NAMES ? TREE_VECTORS : play.folder;
}

static const uint8_t *new_bytes(void)
{
	static uint8_t bytes[MODEL_BYTES];

	world_bytes(1, ++play.serial, MODEL_BYTES, bytes);
	return bytes;
}

static struct fuse_file_info *fi_of(const struct model_handle *h)
{
	return &play.fis[h - play.model.handles];
}

static uint64_t ino_of(const struct model_handle *h)
{
	return h->kind == MODEL_OF_SCRATCH ? h->file->ino : node_of(h->node);
}

/* ---- mount ---- */

static void mount_it(void)
{
	memset(&play.fs, 0, sizeof(play.fs));
	FUZZ_CHECK(errors_new(NULL, &play.fs.errors) == 0);
	play.fs.store = fuzz_open(QUIVER_FSYNC);
	play.fs.geometry = *quiver_geometry(play.fs.store);
	play.fs.store_path = MEMDISK_STORE;
	play.fs.mount_point = "/mnt";
	play.fs.max_write_bytes = 1u << 20;
	play.fs.can_rename = true;
	FUZZ_CHECK(fs_init(&play.fs) == 0);
}

static void unmount_it(void)
{
	fs_destroy(&play.fs);
	FUZZ_CHECK(play.fs.charged == 0);
	FUZZ_CHECK(quiver_close(play.fs.store) == 0);
	errors_free(play.fs.errors);
}

static uint64_t stages_of(struct fs *fs)
{
	uint64_t whole, user_max;

	charge_sums(fs, CHARGE_STAGES, &whole, &user_max);
	return whole;
}

/* ---- looking ---- */

/* By a thread of its own: one that was told ESTALE before would be answered as fs/vector/gone.h says. */
static void look(unsigned id)
{
	const struct model_vector *want = &play.model.ids[id];
	const struct fuse_req *req = begin(TIDS + 1);

	ops->lookup(&play.req, TREE_VECTORS, id_name(id));
	EXPECT(want->there ? 0 : -ENOENT);
	if (!want->there)
		return;
	FUZZ_CHECK(req->entry.ino == node_of(id) && req->entry.attr.st_size == MODEL_BYTES);
	FUZZ_CHECK((req->entry.attr.st_mode & 07777) == want->mode);
	FUZZ_CHECK((req->entry.attr_timeout > 0) == (model_writers(&play.model, id) == 0));
}

/* How many handles `id` has, and the last of them. */
static unsigned handles_of(unsigned id, const struct model_handle **last)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MODEL_HANDLES; i++) {
		const struct model_handle *h = &play.model.handles[i];

		if (h->used && h->kind != MODEL_OF_SCRATCH && h->node == id) {
			*last = h;
			count++;
		}
	}
	return count;
}

static void stat_it(unsigned id, pid_t tid)
{
	const struct model_vector *want = &play.model.ids[id];
	const struct model_handle *h = NULL;
	unsigned count = handles_of(id, &h);
	const struct fuse_req *req = begin(tid);
	int64_t mtime = model_mtime(&play.model, id, tid);

	ops->getattr(begin(tid), node_of(id), NULL);
	EXPECT(want->there || count > 0 ? 0 : -ESTALE);
	if (want->there) {
		FUZZ_CHECK(req->attr.st_size == MODEL_BYTES && req->attr.st_nlink == 1);
		FUZZ_CHECK((req->attr.st_mode & 07777) == want->mode);
		FUZZ_CHECK(mtime == MODEL_ANY_MTIME ||
		           req->attr.st_mtim.tv_sec * 1000000000 + req->attr.st_mtim.tv_nsec ==
		                   mtime);
		FUZZ_CHECK((req->timeout > 0) == (model_writers(&play.model, id) == 0));
	} else if (count > 0) {
		FUZZ_CHECK(req->timeout <= 0);
	}
	if (!want->there && count == 1) {
		/* A vector that has another name now is there. */
		bool there = !h->orphan && h->id != id && play.model.ids[h->id].there;

		FUZZ_CHECK(req->attr.st_nlink == (there || (h->created && !h->orphan)));
		if (h->created && h->tid == tid)
			FUZZ_CHECK(req->attr.st_size == h->size);
	}
}

/* What the view of `bytes` holds: u1 elements. */
static size_t view_of(const uint8_t *bytes, bool text, char *to, size_t room)
{
	size_t used = 0;

	if (!text) {
		used = (size_t)snprintf(to, room,
		                        "\x93NUMPY\x01%cv%c{'descr': '|u1', 'fortran_order': "
		                        "False, 'shape': (%u,), }",
		                        0, 0, (unsigned)MODEL_BYTES);
		memset(to + used, ' ', 127 - used);
		to[127] = '\n';
		memcpy(to + 128, bytes, MODEL_BYTES);
		return 128 + MODEL_BYTES;
	}
	for (unsigned i = 0; i < MODEL_BYTES; i++)
		used += (size_t)snprintf(to + used, room - used, "%u\n", bytes[i]);
	return used;
}

/* Look a view up, open it, read it in two pieces, close it, and have it forgotten. */
static void look_at_view(unsigned id, bool text)
{
	const struct model_vector *want = &play.model.ids[id];
	const struct fuse_req *req = &play.req;
	struct fuse_file_info fi = { .flags = O_RDONLY };
	char name[TREE_VIEW_NAME_BYTES], bytes[128 + 4 * MODEL_BYTES];
	size_t size = view_of(want->bytes, text, bytes, sizeof(bytes));
	uint64_t ino;

	tree_format_view(real_id(id), text ? TREE_FORM_TXT : TREE_FORM_NPY, name);
	ops->lookup(begin(TIDS + 1), TREE_VECTORS, name);
	EXPECT(want->there ? 0 : -ENOENT);
	if (!want->there)
		return;
	ino = req->entry.ino;
	FUZZ_CHECK(req->entry.attr.st_size == (off_t)size && req->entry.attr_timeout <= 0);
	FUZZ_CHECK((req->entry.attr.st_mode & 07777) == want->mode);
	ops->open(begin(TIDS + 1), ino, &fi);
	EXPECT(0);
	fi = req->opened;
	for (size_t at = 0; at <= size; at += size / 2 + 1) {
		size_t length = size - at < size / 2 + 1 ? size - at : size / 2 + 1;

		ops->read(begin(TIDS + 1), ino, size / 2 + 1, (off_t)at, &fi);
		EXPECT(0);
		FUZZ_CHECK(req->size == length && memcmp(req->data, bytes + at, length) == 0);
	}
	ops->getattr(begin(TIDS + 1), ino, NULL);
	EXPECT(0);
	FUZZ_CHECK(req->attr.st_size == (off_t)size && req->attr.st_nlink == 1);
	ops->release(begin(TIDS + 1), ino, &fi);
	EXPECT(0);
	ops->forget(begin(TIDS + 1), ino, 1);
	EXPECT(0);
	ops->getattr(begin(TIDS + 1), ino, NULL);
	EXPECT(-ESTALE);
}

static void look_at_all(void)
{
	uint8_t bytes[MODEL_BYTES];
	struct quiver_attr attr;
	unsigned count = 0;

	for (unsigned id = 0; id < MODEL_IDS; id++) {
		const struct model_vector *want = &play.model.ids[id];
		int r = quiver_get_copy(play.fs.store, real_id(id), bytes, &attr, NULL);

		look(id);
		look_at_view(id, true);
		look_at_view(id, false);
		FUZZ_CHECK(r == (want->there ? 0 : -ENOENT));
		count += want->there;
		if (r)
			continue;
		FUZZ_CHECK(memcmp(bytes, want->bytes, MODEL_BYTES) == 0);
		FUZZ_CHECK(attr.mode == want->mode);
		FUZZ_CHECK(want->mtime_ns == MODEL_ANY_MTIME || attr.mtime_ns == want->mtime_ns);
	}
	FUZZ_CHECK(quiver_count(play.fs.store) == count);
}

/* ---- handles ---- */

/* A handle to come, with its flags; NULL where there are enough. */
static struct model_handle *new_handle(struct fuzz_input *input, unsigned id, bool *lost)
{
	static const int accesses[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR };
	struct model_handle *h = model_new_handle(&play.model);
	uint64_t how = fuzz_take(input, 1);
	struct fuse_file_info *fi;
	int flags = accesses[how & 3];

	*lost = (how & 0xe0) == 0xe0;
	if (!h)
		return NULL;
	fi = fi_of(h);
	if (how & 4)
		flags |= O_TRUNC;
	if (how & 8)
		flags |= O_APPEND;
	if ((how & 0x50) == 0x50)
		flags |= O_DSYNC;
	memset(fi, 0, sizeof(*fi));
	fi->flags = flags;
	h->node = h->id = id;
	h->tid = (pid_t)((how >> 4) % TIDS + 1);
	h->readable = (flags & O_ACCMODE) != O_WRONLY;
	h->append = (flags & O_APPEND) != 0;
	h->durable = (flags & O_DSYNC) != 0;
	return h;
}

/* What the kernel has of an open file once it was answered. */
static void take_opened(struct fuse_file_info *fi)
{
	if (play.req.rc == 0)
		*fi = play.req.opened;
}

static void open_vector(struct fuzz_input *input, unsigned id)
{
	bool lost;
	struct model_handle *h = new_handle(input, id, &lost);
	struct fuse_file_info *fi;
	bool reads;

	if (!h)
		return;
	fi = fi_of(h);
	reads = (fi->flags & O_ACCMODE) == O_RDONLY;
	begin(h->tid)->lost = lost;
	ops->open(&play.req, node_of(id), fi);
	take_opened(fi);
	EXPECT(reads ? model_open_reader(&play.model, h, fi->direct_io, fi->keep_cache)
	             : model_open_writer(&play.model, h));
	if (!h->used)
		return;
	FUZZ_CHECK(reads || (fi->direct_io && !fi->keep_cache));
	if (lost) {
		model_close(&play.model, h);
	} else if (!reads && (fi->flags & O_TRUNC)) {
		/* The kernel does it so, without a handle. */
		struct stat attr = { .st_size = 0 };

		ops->setattr(begin(h->tid), node_of(id), &attr, FUSE_SET_ATTR_SIZE, NULL);
		EXPECT(model_resize_path(&play.model, id, h->tid, 0));
	}
}

static void create_vector(struct fuzz_input *input, unsigned id)
{
	bool lost;
	struct model_handle *h = new_handle(input, id, &lost);
	mode_t mode = (mode_t)fuzz_take(input, 1) | 0400;
	struct fuse_file_info *fi;

	if (!h || (fi_of(h)->flags & O_ACCMODE) == O_RDONLY)
		return;
	fi = fi_of(h);
	h->exclusive = (mode & 1) != 0;
	fi->flags |= O_CREAT | (h->exclusive ? O_EXCL : 0);
	begin(h->tid)->lost = lost;
	ops->create(&play.req, TREE_VECTORS, id_name(id), mode, fi);
	take_opened(fi);
	EXPECT(model_create(&play.model, h, (fi->flags & O_TRUNC) != 0, mode & ~UMASK));
	if (!h->used)
		return;
	FUZZ_CHECK(fi->direct_io && play.req.entry.ino == node_of(id));
	if (lost)
		model_close(&play.model, h);
}

static void open_scratch(struct fuzz_input *input, int name)
{
	bool lost;
	struct model_handle *h = new_handle(input, 0, &lost);
	struct model_scratch *file = model_scratch_find(&play.model, name);
	mode_t mode = (mode_t)fuzz_take(input, 1) | 0400;
	struct fuse_file_info *fi;
	bool exclusive = (mode & 1) != 0;

	if (!h)
		return;
	fi = fi_of(h);
	fi->flags |= O_CREAT | (exclusive ? O_EXCL : 0);
	begin(h->tid)->lost = lost;
	ops->create(&play.req, parent_of(name), scratch_name(name), mode, fi);
	take_opened(fi);
	EXPECT(file && exclusive ? -EEXIST : model_scratch_may(&play.model, name));
	if (play.req.rc != 0)
		return;
	if (!file)
		file = model_scratch_new(&play.model, name, play.req.entry.ino, mode & ~UMASK);
	else if ((fi->flags & O_TRUNC) && file->size > 0)
		(void)model_scratch_resize(file, 0);
	FUZZ_CHECK(file->ino == play.req.entry.ino);
	h->used = true;
	h->kind = MODEL_OF_SCRATCH;
	h->file = file;
	file->opens++;
	if (lost)
		model_close(&play.model, h);
}

static void write_it(struct model_handle *h, uint32_t offset, uint32_t size)
{
	uint8_t bytes[2 * MODEL_BYTES];

	if (h->kind == MODEL_READER)
		return; /* the kernel would not let it */
	memcpy(bytes, new_bytes(), MODEL_BYTES);
	memcpy(bytes + MODEL_BYTES, bytes, MODEL_BYTES);
	ops->write(begin(h->tid), ino_of(h), (const char *)bytes, size, offset, fi_of(h));
	EXPECT(model_write(&play.model, h, bytes, size, offset));
	FUZZ_CHECK(play.req.rc != 0 || play.req.size == size);
}

static void read_it(struct model_handle *h, uint32_t offset, uint32_t size, bool mapped)
{
	struct fuse_file_info *fi = fi_of(h);
	bool for_cache = h->kind != MODEL_OF_SCRATCH && (mapped || !fi->direct_io);
	const uint8_t *want = NULL;
	uint32_t want_size = 0;

	if (!h->readable)
		return;
	fi->lock_owner = for_cache ? 0 : 77;
	ops->read(begin(h->tid), ino_of(h), size, offset, fi);
	EXPECT(model_read(&play.model, h, for_cache, &want, &want_size));
	if (play.req.rc != 0)
		return;
	want_size = offset < want_size ? want_size - offset : 0;
	if (want_size > size)
		want_size = size;
	FUZZ_CHECK(play.req.size == want_size);
	FUZZ_CHECK(want_size == 0 || memcmp(play.req.data, want + offset, want_size) == 0);
}

static void truncate_it(struct model_handle *h, uint32_t size)
{
	struct stat attr = { .st_size = size };

	if (h->kind == MODEL_READER)
		return;
	ops->setattr(begin(h->tid), ino_of(h), &attr, FUSE_SET_ATTR_SIZE,
	             h->kind == MODEL_OF_SCRATCH ? NULL : fi_of(h));
	EXPECT(model_truncate(&play.model, h, size));
}

static void flush_it(struct model_handle *h, bool sync)
{
	if (sync)
		ops->fsync(begin(h->tid), ino_of(h), 0, fi_of(h));
	else
		ops->flush(begin(h->tid), ino_of(h), fi_of(h));
	EXPECT(model_flush(&play.model, h));
}

static void release_it(struct model_handle *h)
{
	ops->release(begin(h->tid), ino_of(h), fi_of(h));
	EXPECT(0);
	model_release(&play.model, h);
}

/* What is done with an open file. */
static void use_handle(struct fuzz_input *input, unsigned what, unsigned which)
{
	struct model_handle *h = &play.model.handles[which % MODEL_HANDLES];
	uint32_t offset = (uint32_t)fuzz_take(input, 1);
	uint32_t size = offset >> 4;

	if (!h->used)
		return;
	offset &= 15;
	switch (what) {
	case 0: /* all of it, mostly */
		write_it(h, 0, size == 3 ? MODEL_BYTES + 1 : MODEL_BYTES);
		break;
	case 1:
		write_it(h, offset, size);
		break;
	case 2:
		read_it(h, offset & 1 ? 0 : offset, size & 1 ? MODEL_BYTES : size, size == 7);
		break;
	case 3:
		truncate_it(h, size == 15 ? MODEL_BYTES + (offset & 1) : size);
		break;
	case 4:
		flush_it(h, (offset & 1) != 0);
		break;
	default: /* as close(2) does it */
		if (!fi_of(h)->noflush && (offset & 3) != 3)
			flush_it(h, false);
		release_it(h);
		break;
	}
}

/* ---- by path ---- */

static void set_path(struct fuzz_input *input, unsigned id)
{
	uint64_t value = fuzz_take(input, 1);
	pid_t tid = (pid_t)(value >> 6) % TIDS + 1;
	struct stat attr = { .st_mode = (mode_t)(value & 0777) };

	switch (value % 3) {
	case 0:
		attr.st_size = value & 8 ? 0 : MODEL_BYTES - 4 + (value & 7);
		ops->setattr(begin(tid), node_of(id), &attr, FUSE_SET_ATTR_SIZE, NULL);
		EXPECT(model_resize_path(&play.model, id, tid, (uint64_t)attr.st_size));
		break;
	case 1:
		ops->setattr(begin(tid), node_of(id), &attr, FUSE_SET_ATTR_MODE, NULL);
		EXPECT(model_chmod(&play.model, id, tid, attr.st_mode));
		break;
	default:
		attr.st_mtim.tv_sec = (time_t)value;
		ops->setattr(begin(tid), node_of(id), &attr, FUSE_SET_ATTR_MTIME, NULL);
		EXPECT(model_touch(&play.model, id, tid, (int64_t)value * 1000000000));
		break;
	}
}

static void rename_it(struct fuzz_input *input, unsigned from)
{
	uint64_t how = fuzz_take(input, 1);
	unsigned to = (unsigned)(how >> 2) % MODEL_IDS;
	bool noreplace = (how & 0x80) != 0;
	unsigned flags = noreplace ? RENAME_NOREPLACE : 0;
	int scratch_from = (int)(from % MODEL_NAMES);
	int scratch_to = (int)(to % MODEL_NAMES);

	switch (how & 3) {
	case 0:
		if (from == to)
			return; /* the kernel does nothing */
		ops->rename(begin(1), TREE_VECTORS, id_name(from), TREE_VECTORS, id_name(to),
		            flags);
		EXPECT(model_rename(&play.model, from, to, noreplace));
		break;
	case 1:
		if (scratch_from == scratch_to)
			return;
		ops->rename(begin(1), TREE_VECTORS, scratch_name(scratch_from), TREE_VECTORS,
		            scratch_name(scratch_to), flags);
		EXPECT(model_scratch_rename(&play.model, scratch_from, scratch_to, noreplace));
		break;
	default:
		ops->rename(begin(1), TREE_VECTORS, scratch_name(scratch_from), TREE_VECTORS,
		            id_name(to), flags);
		EXPECT(model_scratch_commit(&play.model, scratch_from, to, noreplace));
		break;
	}
}

/* What must be refused, whatever there is. */
static void refuse(unsigned what, unsigned id)
{
	struct fuse_file_info fi = { .flags = O_WRONLY | O_CREAT };

	begin(1);
	switch (what % 6) {
	case 0:
		ops->mkdir(&play.req, TREE_VECTORS, id_name(id), 0777);
		EXPECT(-EPERM);
		break;
	case 1:
		ops->symlink(&play.req, "x", TREE_VECTORS, id_name(id));
		EXPECT(-EPERM);
		break;
	case 2:
		ops->link(&play.req, node_of(id), TREE_VECTORS, id_name(id));
		EXPECT(-EPERM);
		break;
	case 3:
		ops->create(&play.req, TREE_VECTORS, "007", 0666, &fi);
		EXPECT(-EINVAL);
		break;
	case 4:
		ops->rename(&play.req, TREE_VECTORS, id_name(id), TREE_VECTORS, ".a", 0);
		EXPECT(-EPERM);
		break;
	default:
		ops->rename(&play.req, TREE_VECTORS, id_name(id), TREE_VECTORS, id_name(0),
		            RENAME_EXCHANGE);
		EXPECT(-EINVAL);
		break;
	}
}

/* control/put: whole records, or one that is cut. */
static void put(unsigned first, unsigned count, bool cut)
{
	struct fuse_file_info fi = { .flags = O_WRONLY };
	char bytes[4 * (8 + MODEL_BYTES)];
	size_t size = 0;

	for (unsigned i = 0; i < count; i++, size += 8 + MODEL_BYTES) {
		put_le64((uint8_t *)bytes + size, real_id((first + i) % MODEL_IDS));
		memcpy(bytes + size + 8, new_bytes(), MODEL_BYTES);
		if (!cut)
			model_put(&play.model, (first + i) % MODEL_IDS, (uint8_t *)bytes + size + 8,
			          0666 & ~UMASK);
	}
	ops->open(begin(1), TREE_PUT, &fi);
	EXPECT(0);
	take_opened(&fi);
	ops->write(begin(1), TREE_PUT, bytes, size - cut, 0, &fi);
	EXPECT(cut ? -EINVAL : 0);
	ops->release(begin(1), TREE_PUT, &fi);
	EXPECT(0);
}

/* What control/get has to say of a vector, which all belong to who asks: he needs to be let to read. */
static char there_is(const struct model_vector *want)
{
	if (!want->there)
		return GET_MISSING;
	return want->mode & S_IRUSR ? GET_FOUND : GET_DENIED;
}

/* control/get: all IDs, written and read in two pieces, perhaps one too short. */
static void get(unsigned first, bool cut)
{
	static const uint8_t zeros[MODEL_BYTES];
	struct fuse_file_info fi = { .flags = O_RDWR };
	uint8_t asked[MODEL_IDS * 8], got[MODEL_IDS * (MODEL_BYTES + 1)];
	size_t sizes[] = { sizeof(got) / 3, sizeof(got) }, used = 0;

	for (unsigned i = 0; i < MODEL_IDS; i++)
		put_le64(asked + (size_t)i * 8, real_id((first + i) % MODEL_IDS));
	ops->open(begin(1), TREE_GET, &fi);
	EXPECT(0);
	take_opened(&fi);
	ops->write(begin(1), TREE_GET, (char *)asked, 13, 0, &fi);
	EXPECT(0);
	ops->write(begin(1), TREE_GET, (char *)asked + 13, sizeof(asked) - 13 - cut, 100, &fi);
	EXPECT(0);
	for (unsigned i = 0; i < 2 && !cut; i++) {
		ops->read(begin(1), TREE_GET, sizes[i], 0, &fi);
		EXPECT(0);
		FUZZ_CHECK(used + play.req.size <= sizeof(got));
		memcpy(got + used, play.req.data, play.req.size);
		used += play.req.size;
	}
	ops->read(begin(1), TREE_GET, 100, 0, &fi);
	EXPECT(cut ? -EINVAL : 0);
	FUZZ_CHECK(cut || (used == sizeof(got) && play.req.size == 0));
	for (unsigned i = 0; i < MODEL_IDS && !cut; i++) {
		const struct model_vector *want = &play.model.ids[(first + i) % MODEL_IDS];
		char there = there_is(want);

		FUZZ_CHECK((char)got[(size_t)MODEL_IDS * MODEL_BYTES + i] == there);
		FUZZ_CHECK(memcmp(got + (size_t)i * MODEL_BYTES,
		                  there == GET_FOUND ? want->bytes : zeros, MODEL_BYTES) == 0);
	}
	ops->release(begin(1), TREE_GET, &fi);
	EXPECT(0);
}

/* ---- listings ---- */

static bool is_in_vectors(const struct model_scratch *file)
{
	return file->used && file->name >= 0 && file->name < (int)MODEL_NAMES;
}

static void walk_begins(void)
{
	struct walk *walk = &play.walk;

	walk->begun = true;
	for (unsigned i = 0; i < MODEL_IDS; i++)
		walk->ids_there[i] = walk->ids_stayed[i] = play.model.ids[i].there;
	for (unsigned i = 0; i < MODEL_SCRATCH; i++) {
		const struct model_scratch *file = &play.model.scratch[i];

		walk->inos[i] = is_in_vectors(file) ? file->ino : 0;
		walk->inos_stayed[i] = walk->inos[i] != 0;
	}
}

/* After each step: what has gone in between need not be listed. */
static void walk_goes_on(void)
{
	struct walk *walk = &play.walk;

	for (unsigned i = 0; walk->begun && i < MODEL_IDS; i++)
		walk->ids_stayed[i] = walk->ids_stayed[i] && play.model.ids[i].there;
	for (unsigned i = 0; walk->begun && i < MODEL_SCRATCH; i++) {
		const struct model_scratch *file = &play.model.scratch[i];

		walk->inos_stayed[i] = walk->inos_stayed[i] && is_in_vectors(file) &&
		                       file->ino == walk->inos[i];
	}
}

static void walk_met(const struct request_name *name)
{
	struct walk *walk = &play.walk;
	bool known = name->name[0] == '.' && (name->name[1] == '\0' || name->name[1] == '.');

	if (strcmp(name->name, FOLDER_NAME) == 0) {
		known = true;
		FUZZ_CHECK(play.model.folder && name->ino == play.folder);
	}
	for (unsigned i = 0; i < MODEL_IDS; i++)
		if (strcmp(name->name, id_name(i)) == 0) {
			known = true;
			FUZZ_CHECK(walk->ids_there[i] && play.model.ids[i].there);
			FUZZ_CHECK(++walk->ids_seen[i] == 1 && name->ino == node_of(i));
		}
	for (unsigned i = 0; i < MODEL_SCRATCH; i++) {
		const struct model_scratch *file = &play.model.scratch[i];

		if (walk->inos[i] == 0 || walk->inos[i] != name->ino)
			continue;
		known = true;
		FUZZ_CHECK(file->ino == name->ino && is_in_vectors(file) &&
		           strcmp(scratch_name(file->name), name->name) == 0);
		FUZZ_CHECK(++walk->inos_seen[i] == 1);
	}
	FUZZ_CHECK(known);
}

static void close_walk(void)
{
	if (!play.walk.opened)
		return;
	ops->releasedir(begin(1), TREE_VECTORS, &play.walk.fi);
	EXPECT(0);
	memset(&play.walk, 0, sizeof(play.walk));
}

static void walk_ends(void)
{
	struct walk *walk = &play.walk;

	for (unsigned i = 0; i < MODEL_IDS; i++)
		FUZZ_CHECK(!walk->ids_stayed[i] || walk->ids_seen[i] == 1);
	for (unsigned i = 0; i < MODEL_SCRATCH; i++)
		FUZZ_CHECK(!walk->inos_stayed[i] || walk->inos_seen[i] == 1);
	close_walk();
}

/* One READDIR of a few names. */
static void list_some(unsigned how)
{
	struct walk *walk = &play.walk;
	struct request_name name;
	size_t at = 0;

	if (!walk->opened) {
		ops->opendir(begin(1), TREE_VECTORS, &walk->fi);
		EXPECT(0);
		walk->opened = true;
		return;
	}
	if (!walk->begun)
		walk_begins();
	(how & 1 ? ops->readdirplus : ops->readdir)(begin(1), TREE_VECTORS, 40 + how % 128,
	                                            (off_t)walk->offset, &walk->fi);
	EXPECT(0);
	while (request_next_name(&play.req, &at, &name)) {
		walk_met(&name);
		walk->offset = name.next;
	}
	if (at == 0)
		walk_ends();
}

/* ---- the folder of scratch files ---- */

/* Its attributes, by its number, as long as the kernel may ask for them. */
static void look_at_folder(void)
{
	bool known = play.model.folder || play.folder_lookups > 0;

	ops->getattr(begin(1), TREE_VECTORS, NULL);
	EXPECT(0);
	FUZZ_CHECK(play.req.attr.st_nlink == 2u + (unsigned)play.model.folder);
	ops->lookup(begin(1), TREE_VECTORS, FOLDER_NAME);
	EXPECT(play.model.folder ? 0 : -ENOENT);
	play.folder_lookups += play.model.folder;
	if (play.folder == 0)
		return;
	ops->getattr(begin(1), play.folder, NULL);
	EXPECT(known ? 0 : -ESTALE);
	if (known)
		FUZZ_CHECK(S_ISDIR(play.req.attr.st_mode) &&
		           play.req.attr.st_nlink == (play.model.folder ? 2 : 0));
}

/* Listed in pieces, as the walk through vectors/ is; what is in it has not changed meanwhile. */
static void list_folder(unsigned how)
{
	struct fuse_file_info fi = { .flags = O_RDONLY };
	unsigned seen[MODEL_FOLDER_NAMES] = { 0 };
	struct request_name name;
	uint64_t offset = 0;
	size_t at;

	if (play.folder == 0 || (!play.model.folder && play.folder_lookups == 0))
		return;
	ops->opendir(begin(1), play.folder, &fi);
	EXPECT(0);
	do {
		at = 0;
		(how & 1 ? ops->readdirplus : ops->readdir)(begin(1), play.folder, 40 + how % 64,
		                                            (off_t)offset, &fi);
		EXPECT(0);
		while (request_next_name(&play.req, &at, &name)) {
			offset = name.next;
			for (unsigned i = 0; i < MODEL_FOLDER_NAMES; i++)
				seen[i] += strcmp(name.name,
				                  scratch_name((int)(MODEL_NAMES + i))) == 0;
		}
	} while (at > 0);
	ops->releasedir(begin(1), play.folder, &fi);
	EXPECT(0);
	for (unsigned i = 0; i < MODEL_FOLDER_NAMES; i++)
		FUZZ_CHECK(seen[i] ==
		           (model_scratch_find(&play.model, (int)(MODEL_NAMES + i)) != NULL));
}

/* By their numbers, as for a file handle: the folder, and what it and a file are in. */
static void look_up_around(void)
{
	const struct model_scratch *file = NULL;

	for (unsigned i = 0; file == NULL && i < MODEL_FOLDER_NAMES; i++)
		file = model_scratch_find(&play.model, (int)(MODEL_NAMES + i));
	if (file == NULL)
		return;
	ops->lookup(begin(1), file->ino, "..");
	EXPECT(0);
	FUZZ_CHECK(play.req.entry.ino == play.folder);
	ops->lookup(begin(1), play.folder, ".");
	EXPECT(0);
	FUZZ_CHECK(play.req.entry.ino == play.folder);
	play.folder_lookups += 2;
	begin(1)->lost = true;
	ops->lookup(&play.req, play.folder, ".");
	EXPECT(0);
	ops->lookup(begin(1), play.folder, "..");
	EXPECT(0);
	FUZZ_CHECK(play.req.entry.ino == TREE_VECTORS);
}

/* The kernel lets go of it; one without a name is gone then. */
static void forget_folder(void)
{
	if (play.folder_lookups == 0)
		return;
	ops->forget(begin(1), play.folder, play.folder_lookups);
	EXPECT(0);
	play.folder_lookups = 0;
	look_at_folder();
}

static void make_folder(bool lost)
{
	int want;

	if (!play.model.folder)
		forget_folder(); /* only the last is looked at */
	want = model_mkdir(&play.model);
	begin(1)->lost = lost;
	ops->mkdir(&play.req, TREE_VECTORS, FOLDER_NAME, 0777);
	EXPECT(want);
	if (want != 0)
		return;
	play.folder = play.req.entry.ino;
	play.folder_lookups = !lost;
	FUZZ_CHECK((play.req.entry.attr.st_mode & 07777) == (0777 & ~UMASK));
	ops->mkdir(begin(1), play.folder, ".x", 0777);
	EXPECT(-EPERM);
}

/* A rename from or to a name in it. */
static void rename_in_folder(int inside, unsigned how)
{
	int other = (int)(how >> 3) % (int)MODEL_NAMES;
	unsigned id = (how >> 3) % MODEL_IDS;
	bool noreplace = (how & 0x80) != 0;
	unsigned flags = noreplace ? RENAME_NOREPLACE : 0;

	switch (how & 3) {
	case 0:
		ops->rename(begin(1), TREE_VECTORS, scratch_name(other), play.folder,
		            scratch_name(inside), flags);
		EXPECT(model_scratch_rename(&play.model, other, inside, noreplace));
		break;
	case 1:
		ops->rename(begin(1), play.folder, scratch_name(inside), TREE_VECTORS,
		            scratch_name(other), flags);
		EXPECT(model_scratch_rename(&play.model, inside, other, noreplace));
		break;
	case 2:
		ops->rename(begin(1), play.folder, scratch_name(inside), TREE_VECTORS, id_name(id),
		            flags);
		EXPECT(model_scratch_commit(&play.model, inside, id, noreplace));
		break;
	default: /* a vector stays out of it */
		ops->rename(begin(1), TREE_VECTORS, id_name(id), play.folder, scratch_name(inside),
		            flags);
		EXPECT(-EPERM);
		break;
	}
}

static void use_folder(struct fuzz_input *input, unsigned what)
{
	unsigned how = (unsigned)fuzz_take(input, 1);
	int inside = (int)MODEL_NAMES + (int)(how >> 2 & 1);

	if (what == 0) {
		make_folder((how & 0x1f) == 0x1f);
	} else if (what == 1) {
		ops->rmdir(begin(1), TREE_VECTORS, FOLDER_NAME);
		EXPECT(model_rmdir(&play.model));
	} else if (what == 2) {
		look_at_folder();
		list_folder(how);
		look_up_around();
	} else if (what == 3) {
		forget_folder();
	} else if (play.folder == 0 || (!play.model.folder && play.folder_lookups == 0)) {
		return; /* the kernel knows no number to say */
	} else if (what == 4) {
		open_scratch(input, inside);
	} else if (what == 5) {
		ops->unlink(begin(1), play.folder, scratch_name(inside));
		EXPECT(model_scratch_unlink(&play.model, inside));
	} else {
		rename_in_folder(inside, how);
	}
}

/* ---- the store's own work, and ends ---- */

static void in_background(unsigned what)
{
	struct quiver *store = play.fs.store;
	int r;

	switch (what % 4) {
	case 0:
		r = manual_background_keep_house(store);
		break;
	case 1:
		r = manual_background_sync(store);
		break;
	case 2:
		r = quiver_checkpoint(store);
		break;
	default:
		r = manual_background_compact(store);
		break;
	}
	FUZZ_CHECK(r == 0);
}

/* Nobody closes anything before; killed, what the kernel has is what there is. */
static void remount(bool killed)
{
	static struct memdisk_image image;

	close_walk();
	if (killed)
		memdisk_save(&image);
	unmount_it();
	if (killed) {
		memdisk_load(&image);
		memdisk_free(&image);
	}
	model_remount(&play.model);
	play.folder = play.folder_lookups = 0;
	mount_it();
	look_at_all();
}

static void step(struct fuzz_input *input)
{
	unsigned what = (unsigned)fuzz_take(input, 1) % 24;
	unsigned arg = (unsigned)fuzz_take(input, 1);
	unsigned id = arg % MODEL_IDS;
	int name = (int)(arg % MODEL_NAMES);

	if (what < 6) {
		use_handle(input, what, arg);
		return;
	}
	switch (what) {
	case 6:
	case 7:
		open_vector(input, id);
		break;
	case 8:
	case 9:
		create_vector(input, id);
		break;
	case 10:
		open_scratch(input, name);
		break;
	case 11:
		ops->unlink(begin(1), TREE_VECTORS, id_name(id));
		EXPECT(model_unlink(&play.model, id));
		break;
	case 12:
		ops->unlink(begin(1), TREE_VECTORS, scratch_name(name));
		EXPECT(model_scratch_unlink(&play.model, name));
		break;
	case 13:
	case 14:
		rename_it(input, id);
		break;
	case 15:
	case 16:
		set_path(input, id);
		break;
	case 17:
		stat_it(id, (pid_t)(arg / MODEL_IDS) % TIDS + 1);
		look_at_view(id, arg % 2);
		get(id, arg % 8 == 0);
		break;
	case 18:
		put(id, arg % 4 + 1, arg >= 240);
		break;
	case 19:
	case 20:
		list_some(arg);
		break;
	case 21:
		in_background(arg);
		break;
	case 22:
		remount(arg % 2);
		break;
	default:
		if (arg >= FOLDER_ARGS)
			use_folder(input, arg % 8);
		else
			refuse(arg, id);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memdisk_image empty;
	struct fuzz_input input = { data, size };

	memset(&play.model, 0, sizeof(play.model));
	memset(&play.walk, 0, sizeof(play.walk));
	play.folder = play.folder_lookups = 0;
	play.serial = 0;
	ops = fs_ops();
	if (empty.count == 0) {
		fuzz_create(MODEL_BYTES, QUIVER_U1);
		memdisk_save(&empty);
	}
	memdisk_use_maps(size % 2); /* half of the inputs */
	memdisk_load(&empty);
	mount_it();
	for (int i = 0; i < OPS_MAX && input.size > 0; i++) {
		step(&input);
		walk_goes_on();
	}
	for (unsigned i = 0; i < MODEL_HANDLES; i++)
		if (play.model.handles[i].used)
			release_it(&play.model.handles[i]);
	FUZZ_CHECK(stages_of(&play.fs) == 0);
	look_at_all();
	close_walk();
	unmount_it();
	FUZZ_CHECK(memdisk_opens() == 0);
	return 0;
}

/* What tools do, one after the other: cp, dd, rsync, mv, rm, tar, ls, and what is in between. */
static const uint8_t seeds[][48] = {
	{ 9, 0, 1, 0x80, 0, 0, 0, 5, 0, 0, 17, 0, 6, 0, 0, 2, 0, 0x10, 5, 0, 3 },
	{ 9, 1, 1, 0x80, 1, 0, 0x40, 1, 0, 0x44, 1, 0, 0x48, 1, 0, 0x4c, 4, 0, 0, 5, 0, 3 },
	{ 18, 3, 6, 0, 2, 1, 0, 0x35, 2, 0, 0x10, 4, 0, 1, 5, 0, 0, 11, 0 },
	{ 18, 3, 7, 1, 6, 1, 0, 0x80, 1, 0, 0x88, 5, 0, 0, 6, 1, 0, 2, 0, 0x10 },
	{ 10, 0, 1, 0x80, 0, 0, 0, 5, 0, 3, 13, 0, 2, 10, 1, 1, 0, 0, 0, 0, 13, 1, 0x86 },
	{ 10, 0, 1, 0x80, 1, 0, 0x30, 13, 0, 2, 13, 0, 5, 12, 1, 12, 0, 5, 0, 3 },
	{ 18, 2, 7, 0, 2, 13, 0, 4, 1, 0, 0x44, 5, 0, 0, 14, 1, 0x80, 11, 1 },
	{ 18, 3, 6, 0, 0, 7, 0, 2, 0, 1, 0, 6, 0, 0, 2, 0, 0x10, 2, 2, 0x10, 11, 0, 2, 0, 0x10 },
	{ 18, 3, 19, 0, 19, 1, 11, 1, 18, 2, 19, 0, 13, 2, 0x10, 19, 0, 20, 1, 20, 0, 20, 0 },
	{ 18, 3, 22, 1, 21, 3, 18, 0, 22, 0, 11, 1, 21, 2, 21, 3, 22, 1, 15, 0, 64, 16, 1, 65 },
	{ 9, 0, 0x52, 0x80, 1, 0, 0x80, 1, 0, 0x88, 22, 1, 6, 0, 0, 23, 3, 23, 4 },
	{ 9, 0, 1, 0x81, 9, 0, 1, 0x81, 0, 0, 0, 0, 1, 0, 4, 1, 0, 5, 1, 3, 5, 0, 3 },
	{ 23, 128, 0, 23, 132, 1, 1, 0x80, 0, 0, 0, 23, 134, 2, 5, 0, 3, 23, 130, 0, 23, 129, 0 },
	{ 10, 0,  1,   0x80, 0,  0,   0, 23, 128, 0, 23, 134, 0,  23, 130, 9, 23, 135,
	  14, 23, 129, 0,    23, 131, 0, 23, 128, 0, 19, 0,   19, 1,  20,  0, 22, 1 },
	{ 9, 0, 2, 0x80, 3, 0, 0xf0, 15, 0, 8, 16, 0, 2, 17, 0, 4, 0, 0, 2, 0, 0x10, 5, 0, 0 },
};

size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	if (number >= sizeof(seeds) / sizeof(seeds[0]))
		return FUZZ_NO_SEED;
	FUZZ_CHECK(room >= sizeof(seeds[0]));
	memcpy(to, seeds[number], sizeof(seeds[0]));
	return sizeof(seeds[0]);
}
