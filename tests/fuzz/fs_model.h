/*
 * fs_model.h - what the vectors' folder of a mount should hold and show, kept in plain arrays:
 * the contracts of DESIGN.md sections 2.1 and 6. Each function does to the model what a request
 * does to the mount, and returns the answer that is due: 0 or a negative errno.
 */
#ifndef FS_MODEL_H
#define FS_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MODEL_BYTES 16u
#define MODEL_SCRATCH_BYTES 65536u /* as long as a scratch file may be */
#define MODEL_IDS 6u
#define MODEL_NAMES 3u /* scratch names: ".a", ".b", ".c" */
#define MODEL_FOLDER_NAMES 2u /* and, numbered behind those, in a folder of them: "a", "1" */
#define MODEL_HANDLES 12u
/* Behind them: of scratch files that have become vectors while they were open. */
#define MODEL_ALL_HANDLES (2 * MODEL_HANDLES)
/* Each name and each handle can keep one. */
#define MODEL_SCRATCH (MODEL_NAMES + MODEL_FOLDER_NAMES + MODEL_HANDLES + 1)
#define MODEL_ANY_MTIME INT64_MIN /* of now */
#define MODEL_MIXED UINT32_MAX

struct model_vector {
	bool there;
	uint32_t version; /* of all commits */
	uint8_t bytes[MODEL_BYTES];
	uint32_t mode;
	int64_t mtime_ns;
};

struct model_handle;

struct model_scratch {
	bool used;
	int name; /* -1: removed */
	uint64_t ino;
	uint8_t bytes[MODEL_SCRATCH_BYTES];
	uint32_t size;
	uint32_t mode;
	int64_t mtime_ns;
	unsigned opens;
	struct model_handle *heir; /* what it has become */
};

enum model_kind { MODEL_READER, MODEL_WRITER, MODEL_OF_SCRATCH };

struct model_handle {
	bool used;
	enum model_kind kind;
	struct model_scratch *file; /* MODEL_OF_SCRATCH */
	unsigned age; /* the newest has the highest */
	unsigned node; /* ID that was opened */
	unsigned id; /* that it commits to: follows a rename */
	pid_t tid; /* of an heir 0 */
	bool readable, durable, append;
	bool exclusive, created, orphan, touched;
	bool fills_cache;
	bool drops_pages; /* the kernel is to drop the node's pages, but has not got to it */

	bool pinned; /* it reads this: */
	uint8_t seen[MODEL_BYTES];
	uint32_t seen_version;

	bool active; /* something is staged */
	int failed;
	uint8_t stage[MODEL_BYTES];
	uint32_t size, filled;
	uint32_t mode;
	bool mode_set;
	int64_t mtime_ns; /* MODEL_ANY_MTIME: that of the commit */
};

struct model {
	struct model_vector ids[MODEL_IDS];
	struct model_scratch scratch[MODEL_SCRATCH];
	bool folder; /* that of the scratch files is there */
	struct model_handle handles[MODEL_ALL_HANDLES];
	struct model_vector cached[MODEL_IDS]; /* what may be read into the page cache; 0: none */
	uint32_t pages[MODEL_IDS]; /* version of what is in it, as long as the kernel may keep
	                              it; 0: nothing, MODEL_MIXED: of more than one */
	uint32_t version;
	unsigned age;
};

/* A free handle, or NULL. */
struct model_handle *model_new_handle(struct model *model);
unsigned model_writers(const struct model *model, unsigned node);
unsigned model_cache_users(const struct model *model, unsigned node);

/* A commit of whole bytes from outside of any handle (control/put). */
void model_put(struct model *model, unsigned id, const uint8_t *bytes, uint32_t mode);

/* `h` is new and zero but for what the open says; it is used from then on where 0 comes back.
 * `direct` and `keep`: it was answered so; -EINVAL where that is against the rules of caching. */
int model_open_reader(struct model *model, struct model_handle *h, bool direct, bool keep);
int model_open_writer(struct model *model, struct model_handle *h);
int model_create(struct model *model, struct model_handle *h, bool truncate, uint32_t mode);
void model_close(struct model *model, struct model_handle *h);

int model_write(struct model *model, struct model_handle *h, const uint8_t *bytes, uint32_t size,
                uint64_t offset);
int model_truncate(struct model *model, struct model_handle *h, uint64_t size);
/* *bytes and *size: what a read of it all gives. */
int model_read(struct model *model, struct model_handle *h, bool for_cache, const uint8_t **bytes,
               uint32_t *size);
int model_flush(struct model *model, struct model_handle *h);
/* The last close, with model_close. */
void model_release(struct model *model, struct model_handle *h);

/* By path: truncate(2), also that of O_TRUNC, chmod, utimensat (each by thread `tid`). */
int model_resize_path(struct model *model, unsigned id, pid_t tid, uint64_t size);
int model_chmod(struct model *model, unsigned id, pid_t tid, uint32_t mode);
int model_touch(struct model *model, unsigned id, pid_t tid, int64_t mtime_ns);
/* What stat shows of a vector that is there. */
int64_t model_mtime(const struct model *model, unsigned id, pid_t tid);

int model_unlink(struct model *model, unsigned id);
int model_rename(struct model *model, unsigned from, unsigned to, bool noreplace);

/* The folder; how many files it holds. */
int model_mkdir(struct model *model);
int model_rmdir(struct model *model);
unsigned model_folder_names(struct model *model);

/* Scratch files; NULL where there is none of that name. */
struct model_scratch *model_scratch_find(struct model *model, int name);
struct model_scratch *model_scratch_new(struct model *model, int name, uint64_t ino, uint32_t mode);
void model_scratch_reap(struct model_scratch *file);
int model_scratch_write(struct model_scratch *file, const uint8_t *bytes, uint32_t size,
                        uint64_t offset);
int model_scratch_resize(struct model_scratch *file, uint64_t size);
/* Whether there can be one of that name: 0, or -ENOENT, its folder is gone. */
int model_scratch_may(const struct model *model, int name);
int model_scratch_unlink(struct model *model, int name);
int model_scratch_rename(struct model *model, int from, int to, bool noreplace);
int model_scratch_commit(struct model *model, int from, unsigned to, bool noreplace);

/* After a remount: handles, scratch files and what was cached are gone. */
void model_remount(struct model *model);

#endif
