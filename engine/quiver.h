/*
 * quiver.h - a crash-safe store of fixed-size vectors.
 *
 * The public interface of the engine. It knows nothing of FUSE: fs/ and
 * tools/ use it, and so can any other C program.
 *
 * A store maps IDs to vectors of `dim` elements of one `dtype`, that is N
 * bytes; it never looks inside a vector. Every change is one commit: a whole
 * vector, or its removal, takes effect at once for whoever looks from then on.
 *
 * Conventions
 *   - Functions that can fail return 0 or a negative errno.
 *   - Unless said otherwise a function may be called by any thread at any
 *     time between quiver_open and quiver_close; readers take no lock.
 *   - The caller owns every buffer and struct it passes in; what the store
 *     hands out says in its comment how it is given back.
 *   - Sizes are in bytes, times in nanoseconds since 1970 unless the name
 *     says another unit.
 *
 * Errors that every changing call can return:
 *   -EROFS   the store is open read-only, or a failed sync or a failed write
 *            of the log has made it read-only until it is reopened
 *   -ENOSPC  no room for a slot or for the log; nothing has changed
 *   -EIO     the disk failed; the change is not visible, see quiver_errors
 *   -ENOMEM  no memory; nothing has changed
 *   -EAGAIN  only with QUIVER_NOWAIT: the call would have had to wait for
 *            storage; nothing has changed, call again without the flag
 *
 * A store need not be a local folder: the path "rados:POOL[/NAMESPACE]/COLLECTION"
 * names a collection in Ceph RADOS, which any number of machines use at once. What
 * not every store can do is told by quiver_capabilities; those calls return
 * -EOPNOTSUPP where it cannot. One that lies elsewhere returns errors of its own
 * besides: -ETIMEDOUT, and -EINTR where quiver_set_interrupt says so; then it is
 * not known whether a change has happened. Calls that take flags may wait there
 * without QUIVER_NOWAIT and never do with it; those that take none and do not
 * say that they wait do not.
 */
#ifndef QUIVER_H
#define QUIVER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the stores that this library makes. It reads those of version 1 too, and makes them
 * stores of this one when they are opened for writing. */
#define QUIVER_FORMAT_VERSION 2

/* Largest ID. The 2^32 values above it are reserved: node numbers of scratch
 * files and views come from there, and QUIVER_ID_NONE marks a free row. */
#define QUIVER_ID_MAX (UINT64_MAX - (UINT64_C(1) << 32))
#define QUIVER_ID_NONE UINT64_MAX

#define QUIVER_DIM_MAX 65536u
/* Of a label, without its NUL. */
#define QUIVER_LABEL_BYTES_MAX 1024u
/* dim 65,536 of 8-byte elements. */
#define QUIVER_VECTOR_BYTES_MAX (QUIVER_DIM_MAX * 8u)
/* One atomic batch is kept in the log's write path at once, and read back so after a crash; these
 * bound it: the bytes of its vectors, and how many they are. */
#define QUIVER_BATCH_BYTES_MAX (64u << 20)
#define QUIVER_BATCH_VECTORS_MAX (1u << 20)

struct quiver; /* an open store */
struct quiver_io; /* the table of I/O functions, engine/disk/io.h */

enum quiver_dtype {
	QUIVER_F4, /* float32, the default */
	QUIVER_F2, /* float16 */
	QUIVER_F8, /* float64 */
	QUIVER_I1, /* int8 */
	QUIVER_U1, /* uint8 */
	QUIVER_BF2, /* bfloat16: the upper half of a float32 */
	QUIVER_B1, /* bits, eight to a byte: bit i is bit 7 - i % 8 of byte i / 8, which is the
	              order of numpy.packbits; dim counts bits and is a multiple of 8 */
};

/* How vectors are to be compared. The store keeps it for those who do. */
enum quiver_metric {
	QUIVER_L2, /* the default */
	QUIVER_COSINE,
	QUIVER_IP, /* inner product */
	QUIVER_HAMMING, /* of b1 and u1 */
};

/* What people should know of a store; it does not depend on it. */
struct quiver_description {
	enum quiver_metric metric;
	/* Which model made the vectors, and how. UTF-8 without control characters, "" for none. */
	char label[QUIVER_LABEL_BYTES_MAX + 1];
};

/* When a commit returns, and what survives what: DESIGN.md section 5. */
enum quiver_durability {
	QUIVER_FSYNC, /* default: record with the kernel; quiver_flush makes durable */
	QUIVER_ALWAYS, /* record on stable storage (group commit) */
	QUIVER_FLUSH, /* as QUIVER_FSYNC, but quiver_flush does not sync either */
	QUIVER_NONE, /* no log; a crash goes back to the last checkpoint */
};

struct quiver_geometry {
	uint32_t dim;
	enum quiver_dtype dtype;
	uint32_t vector_bytes; /* N: quiver_vector_bytes; ignored by quiver_create */
	uint8_t uuid[16]; /* ignored by quiver_create */
};

/* What a filesystem keeps for each vector, durable with it. */
struct quiver_attr {
	int64_t mtime_ns;
	int64_t ctime_ns; /* of the last commit or change of attributes; told, never taken */
	uint32_t uid;
	uint32_t gid;
	uint16_t mode; /* permission bits 07777 only */
};

/* Which members of a quiver_attr a call means. Members that a put does not
 * mean are inherited from the vector that it replaces; where it replaces none
 * they are taken from the struct all the same. */
enum {
	QUIVER_ATTR_MTIME = 1,
	QUIVER_ATTR_MODE = 2,
	QUIVER_ATTR_UID = 4,
	QUIVER_ATTR_GID = 8,
	QUIVER_ATTR_ALL = 15,
	/* Besides: a mode that is inherited loses its set-user-ID and set-group-ID bits, as by a
	 * change of somebody who has no right to them. */
	QUIVER_ATTR_DROP_SETID = 16,
};

/* Flags. All but QUIVER_NOWAIT are for changing calls. */
enum {
	QUIVER_NOREPLACE = 1, /* -EEXIST where the target ID exists */
	QUIVER_SYNC = 2, /* return only when the commit is on stable storage,
	                    whatever the durability mode (in mode none: between
	                    two checkpoints) */
	QUIVER_NOWAIT = 4, /* -EAGAIN instead of waiting for storage: growth, a
	                      sync, a log segment, a checkpoint, another machine.
	                      Of pages that have to be read from the disk it is a
	                      best effort: whether they are in memory is looked at,
	                      and they may go after that. For threads that must
	                      answer others meanwhile */
	QUIVER_WRITE_SOON = 8, /* the bytes of batches begin to go to the
	                          device as soon as they are some megabytes: for
	                          who writes much and then flushes. A matter of speed alone; as RocksDB's
	                          bytes_per_sync */
};

/* Room for one message that a person understands. */
struct quiver_error {
	char text[768];
};

/* ---- words for values -------------------------------------------------- */

/* "f4", "f2", "f8", "i1", "u1", "bf2", "b1". Static strings. */
const char *quiver_dtype_name(enum quiver_dtype dtype);
/* 0, or -EINVAL for another word. */
int quiver_dtype_parse(const char *name, enum quiver_dtype *dtype);
/* Bytes of one element; 0 of b1, which has eight in a byte. */
uint32_t quiver_dtype_bytes(enum quiver_dtype dtype);
/* N, the bytes of one vector; 0 where no store has such vectors: another dtype, a dim that is 0 or
 * above QUIVER_DIM_MAX, or of b1 no multiple of 8. */
uint32_t quiver_vector_bytes(uint32_t dim, enum quiver_dtype dtype);
/* "l2", "cosine", "ip", "hamming". Static strings. */
const char *quiver_metric_name(enum quiver_metric metric);
/* 0, or -EINVAL for another word. */
int quiver_metric_parse(const char *name, enum quiver_metric *metric);
/* "always", "fsync", "flush", "none". Static strings. */
const char *quiver_durability_name(enum quiver_durability mode);
/* 0, or -EINVAL for another word. */
int quiver_durability_parse(const char *name, enum quiver_durability *mode);
/* What strerror(3) says to a negative errno and, where the process itself has a limit that may be
 * the reason, which one. Valid until the thread's next call of it. */
const char *quiver_strerror(int error);

/* ---- life of a store --------------------------------------------------- */

/*
 * Make an empty store in the folder `path`, which must not exist or be empty.
 * The folder becomes 0700, its files 0600, the vectors' directory 0777 less
 * umask and owned by the caller. All of it is on stable storage on return.
 * `io` may be NULL for the real one. `error` may be NULL.
 * `description`, which may be NULL for l2 and no label, is in it from the first moment.
 * -EINVAL dim or dtype out of range, or a description that quiver_set_label or
 * quiver_set_metric would refuse; -EEXIST/-ENOTEMPTY the folder holds
 * something; errors of the filesystem. What it made is removed on failure.
 */
int quiver_create(const char *path, const struct quiver_geometry *geometry,
                  const struct quiver_description *description, const struct quiver_io *io,
                  struct quiver_error *error);

struct quiver_create_options {
	size_t size; /* sizeof(struct quiver_create_options), as of quiver_options */
	const struct quiver_io *io; /* NULL: the real one; of a local folder alone */
	const char *access; /* as in quiver_options */
	bool sparse; /* the IDs will be far apart, as random ones are: each vector is an object
	                of its own. Nothing to a local folder */
};
/*
 * The same with options, for a store elsewhere, too. A collection is made by whoever is first:
 * others get -EEXIST. -EINVAL also options without their size, a name that cannot be one, an
 * access that is not understood; -E2BIG they have something that this library does not know;
 * -EOPNOTSUPP the module of that kind of store, or its library, is not there (error names the
 * package), or the pool is of a kind that cannot hold one; -EACCES, -EPERM no leave; -ENOENT no
 * such pool, keyring or configuration; -ETIMEDOUT, -EINTR.
 */
int quiver_create_with(const char *path, const struct quiver_geometry *geometry,
                       const struct quiver_description *description,
                       const struct quiver_create_options *options, struct quiver_error *error);

/* Whether the path names a folder of this machine: false where it begins as a store elsewhere
 * does, "rados:". A folder of such a name is "./rados:...". */
bool quiver_is_folder(const char *path);

/* What can grow begins with its size: sizeof of the struct, set by the caller. A later
 * library knows by it what the caller does. */
struct quiver_options {
	size_t size; /* sizeof(struct quiver_options) */
	bool read_only; /* changing calls answer -EROFS. Along with others that do the
	                   same, and nothing is written, not even LOCK; but a store that
	                   was not closed is recovered and closed first, which needs it
	                   for that time alone */
	enum quiver_durability durability;
	uint32_t commit_interval_ms; /* mode fsync: sync the log at least this
	                                often; 0 = 5000 */
	uint32_t autocompact_percent; /* 0 = never */
	uint32_t lock_wait_ms; /* how long to wait for holders that are stopping */
	const char *mount_point; /* recorded in LOCK, unless read_only; NULL where not mounted */
	const struct quiver_io *io; /* NULL: the real one; outlives the store */
	/* Called for every line that goes to quiver_errors, by any thread. Locks
	 * of the store may be held: it must not call the store. May be NULL. */
	void (*on_report)(void *arg, const char *line);
	void *on_report_arg;
	/* The same of what is no fault but takes a while or changes much: the upgrade of a store of
	 * an earlier format, said before, meanwhile and after. Such lines do not go to
	 * quiver_errors. Gets on_report_arg. May be NULL. */
	void (*on_note)(void *arg, const char *line);
	/* How a store elsewhere is reached, "id=NAME,conf=FILE,keyring=FILE,op_timeout=SECONDS",
	 * each of which may be left out: who one is, where the cluster's configuration and the key
	 * are, and how long a request may take (60). "\\" in one is a backslash. NULL or "": as
	 * CEPH_CONF and CEPH_ARGS say.
	 * -EINVAL another word, or any of a local folder. */
	const char *access;
};

/*
 * Open the store at `path`, take its lock, recover it if it was not closed
 * cleanly, and start its background threads (so: after any fork). On success
 * *out is to be given back with quiver_close. `error`, if not NULL, gets the
 * reason on failure.
 * -EINVAL options without their size; -E2BIG they have something that this library does
 * not know; -ENOENT no store there; -EBUSY another process has it open to write, or, where this
 * one would, to read (error names processes and, of who writes, where it is mounted; who would
 * write has no right of way before those who come to read); -EINVAL not a store, or files that do not
 * belong together; -EUCLEAN damage: error says which file, where, and what
 * `quiverfs check` would do; -EINPROGRESS a stream is being received into it: quiver_receive goes on
 * with it, or quiver_receive_undo goes back, while snapshots of it can be opened; -ENOTSUP a newer
 * format; -EMFILE this process has 256 stores open; errors of the filesystem.
 * A store elsewhere has no lock: whoever may open it does, -EBUSY never comes. Its errors are those
 * of quiver_create_with, -ENOENT also where there is no such collection, -EPERM one may only read
 * it and does not say read_only.
 */
int quiver_open(const char *path, const struct quiver_options *options, struct quiver **out,
                struct quiver_error *error);

/*
 * Stop the background threads, write a checkpoint and the index snapshot, trim
 * the files and free everything. No other call may be running, and every ref,
 * list and column must have been given back. Frees the store also where it
 * returns an error of the final checkpoint (the store is then recovered at the
 * next open).
 */
int quiver_close(struct quiver *store);

/* The geometry, fixed for the life of the store; owned by the store. */
const struct quiver_geometry *quiver_geometry(const struct quiver *store);

/* Its metric and label. Any thread; never waits for storage. */
void quiver_describe(struct quiver *store, struct quiver_description *description);
/* Give it a label: `length` bytes, which need no NUL behind them. On return it is on stable
 * storage; a crash leaves this one or the one before. Waits for the disk, and for a
 * checkpoint under way. -EINVAL more than QUIVER_LABEL_BYTES_MAX, not UTF-8, or a control
 * character in it; -EOPNOTSUPP a store that keeps none; -EROFS, -EIO of the common errors:
 * after -EIO the store is read-only, and either of the two may be found when it is opened
 * again. */
int quiver_set_label(struct quiver *store, const char *text, size_t length);
/* The same for the metric. -EINVAL none of them, or QUIVER_HAMMING of another dtype than b1 and
 * u1; else as quiver_set_label. */
int quiver_set_metric(struct quiver *store, enum quiver_metric metric);

/* What an open store is and can do. A store in a local folder is exclusive and
 * ordered and has all of the calls. */
enum {
	QUIVER_EXCLUSIVE = 1, /* nobody else changes it while it is open here: what
	                         was read may be remembered until it is changed here */
	QUIVER_ORDERED = 2, /* versions (LSNs) are one sequence; else two of one
	                       vector are only equal or not */
	QUIVER_IMMUTABLE = 4, /* a frozen state: nothing changes, by anybody */
	QUIVER_HAS_RENAME = 8, /* quiver_rename */
	QUIVER_HAS_ATOMIC_BATCH = 16, /* quiver_put_batch is one commit; else each
	                                 record is one by itself, in their order */
	QUIVER_HAS_COLUMNS = 32, /* quiver_column_* */
	QUIVER_HAS_CHECKPOINT = 64, /* quiver_checkpoint, quiver_set_durability */
	QUIVER_HAS_RESERVE = 128, /* quiver_reserve */
	QUIVER_HAS_JOBS = 256, /* quiver_job_*, quiver_set_autocompact */
	QUIVER_HAS_VERIFY = 512, /* quiver_job_* of QUIVER_VERIFY, also without the one above */
	QUIVER_HAS_SNAPSHOTS = 1024, /* quiver_snapshot_* */
	QUIVER_HAS_NEAREST_INDEX = 2048, /* quiver_nearest_index_* */
};
/* The flags above that hold, fixed for the life of the store. */
unsigned quiver_capabilities(const struct quiver *store);

/*
 * For calls of this thread that wait for another machine: while one waits it asks `interrupted`,
 * with `arg`, about every 50 ms, and returns -EINTR where that says true. What it has sent may still
 * happen. NULL: nobody is asked, as in a new thread. A local folder asks nobody.
 */
void quiver_set_interrupt(bool (*interrupted)(void *arg), void *arg);

/* The collections in the place "rados:POOL[/NAMESPACE]": each one's name is one call of `found`, in
 * no order. `access` as in quiver_options. Waits; errors of quiver_open. */
int quiver_stores(const char *place, const char *access, void (*found)(void *arg, const char *name),
                  void *arg, struct quiver_error *error);

/*
 * Remove the store elsewhere that `path` names, with all that is in it, also what a call that did
 * not come to its end has left of it. Who has it open gets -EIO from then on. Waits. -EINVAL a
 * local folder, which rm(1) removes; errors of quiver_open.
 */
int quiver_destroy(const char *path, const char *access, struct quiver_error *error);

/* Who has the store at `path` open to write to it. Of a store elsewhere nobody knows: pid 0. */
struct quiver_holder {
	int64_t pid; /* 0 where nobody has */
	char mount_point[4096]; /* "" where it is not mounted */
};
/* 0 (pid 0 where nobody has, or only readers have), -ENOENT no store there, -EINVAL not one,
 * -EBUSY somebody has it open who has not left a name, and of whom the kernel does not tell; of a
 * file that may not be used what quiver_open would return, and that tells which it is. */
int quiver_holder(const char *path, struct quiver_holder *holder);
/* The processes that have the store at `path` open read-only, to pids, which has room for `max`. How
 * many of them are there: 0 where somebody has it open to write to it, where nobody has it open, and
 * where the kernel does not tell (a process in another container or on another machine, some
 * filesystems). Else as quiver_holder. */
int quiver_readers(const char *path, int64_t *pids, size_t max);

/* ---- reading ----------------------------------------------------------- */

/*
 * One committed version of a vector, pinned: its bytes stay as they are until
 * quiver_unref, whatever is overwritten, removed or compacted meanwhile.
 */
struct quiver_ref {
	const void *data; /* N bytes in the memory map; touching them can raise
	                     SIGBUS on a failing disk, quiver_ref_read cannot. NULL
	                     where there is no map: quiver_ref_read is the way */
	uint64_t id;
	uint64_t lsn; /* the version: differs for each commit of the ID */
	uint64_t slot; /* where it lies; UINT64_MAX in a store that has no slots */
	struct quiver_attr attr; /* as they were at quiver_get */
	uint64_t sum; /* checksum; quiver_ref_verify compares it */
	void *pin; /* the engine's */
};

/*
 * Pin the committed version of `id`. Takes no lock and reads no byte of the
 * vector. The ref is given back with quiver_unref, by any thread. `flags`: 0 or
 * QUIVER_NOWAIT.
 * -ENOENT no such vector; -EIO its row does not match its checksum; -EAGAIN.
 */
int quiver_get(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref);
/* Never waits. */
void quiver_unref(struct quiver *store, struct quiver_ref *ref);

/* Compare the checksum. Reads all N bytes. `flags`: 0 or QUIVER_NOWAIT. 0, -EIO
 * (reported), -EAGAIN. */
int quiver_ref_verify(struct quiver *store, const struct quiver_ref *ref, unsigned flags);

/* Copy bytes [offset, offset+length) of the vector to `to`; they must lie
 * within N. `flags`: 0 or QUIVER_NOWAIT. In a memory map this looks for no pages:
 * quiver_ref_verify has. -EIO where the disk fails under the map (reported);
 * -EAGAIN. */
int quiver_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                    size_t length, unsigned flags, void *to);

/* Whether all N bytes are in memory, so that reading them does not wait for
 * the disk. A hint: false where it cannot be told. */
bool quiver_ref_resident(struct quiver *store, const struct quiver_ref *ref);

/* Before reading one that is not: have the disk begin with all its pages, so that they come while
 * the first is waited for and not one after the other, and with what lies around them, since
 * others will be read as well, where all vectors fit into half of the memory. Where they do not,
 * the first page is left to be asked for by itself: by that the kernel judges whether to read
 * ahead. Does not wait; what cannot be done is left undone. Any thread. */
void quiver_ref_prefetch(struct quiver *store, const struct quiver_ref *ref);

/* Copy the vector (N bytes) and, if not NULL, its attributes and LSN, with its
 * checksum compared. -ENOENT, -EIO. */
int quiver_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                    uint64_t *lsn);

/*
 * Copy many: row i of `to`, N bytes, is vector ids[i], attrs[i] its attributes (either may be
 * NULL: attributes alone are no vectors read), results[i] is 0, -ENOENT or -EIO (its row of `to` is then anything). Each is as it is at
 * some moment of the call. Waits. For a store elsewhere this is far faster than one by one. 0, or
 * an error of the whole: -ENOMEM, -ETIMEDOUT, -EINTR, -EIO what holds for none of them alone.
 */
int quiver_get_many(struct quiver *store, const uint64_t *ids, size_t count, void *to,
                    struct quiver_attr *attrs, int *results);

/* Attributes and LSN alone; either may be NULL. `flags`: 0 or QUIVER_NOWAIT. -ENOENT,
 * -EIO, -EAGAIN. */
int quiver_stat(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
                uint64_t *lsn);

/*
 * A listing: the IDs present at one moment, in slot order or nearly so, read in pieces.
 * Listings opened while no ID comes or goes share one copy: 8 bytes an ID, or of more than a
 * million in a local store a bit a slot, and the IDs are read as they are asked for (beside it up to
 * 24 bytes for each vector that is overwritten or removed meanwhile).
 * `flags`: 0 or QUIVER_NOWAIT. -ENOMEM, -EAGAIN. *list is given back with
 * quiver_list_close.
 */
struct quiver_list;
int quiver_list_open(struct quiver *store, unsigned flags, struct quiver_list **list);
/* Up to `max` IDs from `position` on, which counts from 0: how many there were (0 at the
 * end), or -EAGAIN with QUIVER_NOWAIT in `flags`; -ENOMEM, where the listing is of no use any more.
 * Several threads may read one listing. */
int64_t quiver_list_read(struct quiver *store, struct quiver_list *list, uint64_t position,
                         unsigned flags, uint64_t *ids, size_t max);
/* How many it has in all. Where they are read as they are asked for, and some are damaged, it has less
 * than this says until they were met. */
uint64_t quiver_list_count(struct quiver *store, const struct quiver_list *list);
/* Memory of its copy. */
uint64_t quiver_list_bytes(struct quiver *store, const struct quiver_list *list);
/* `list` may be NULL. Never waits. */
void quiver_list_close(struct quiver *store, struct quiver_list *list);

/* Vectors present now; of a store that is not exclusive what the last listing here has found, with
 * own changes since, 0 before the first: for the number as it is open a listing. */
uint64_t quiver_count(struct quiver *store);

/* ---- changing ---------------------------------------------------------- */

/*
 * Commit N bytes as vector `id`. `attr` gives the attributes, `attr_mask` which
 * of them are meant (see QUIVER_ATTR_*). `flags`: QUIVER_*. *lsn, if not NULL,
 * is the commit's. On return the vector is visible to every call that begins
 * from then on, and as durable as the mode says.
 * -EINVAL ID above QUIVER_ID_MAX; -EEXIST with QUIVER_NOREPLACE; common errors.
 */
int quiver_put(struct quiver *store, uint64_t id, const void *data, const struct quiver_attr *attr,
               unsigned attr_mask, unsigned flags, uint64_t *lsn);

struct quiver_record {
	uint64_t id;
	const void *data; /* N bytes */
	/* Attributes of its own, and which of them are meant; the others are those of
	 * the call. NULL: all are. */
	const struct quiver_attr *attr;
	unsigned attr_mask;
};
/*
 * Commit `count` vectors together: after any crash all of them are there or
 * none is (QUIVER_HAS_ATOMIC_BATCH). A listing has all of them or none, too; who gets one by
 * its ID meanwhile may find it before the others are there: all of them are when the call
 * returns. Of records with the same ID the last counts.
 * `attr` and `attr_mask` apply to each that does not say otherwise. *lsn is that of
 * the last.
 * -EINVAL an ID out of range; -E2BIG more than QUIVER_BATCH_BYTES_MAX or
 * QUIVER_BATCH_VECTORS_MAX; as put.
 */
int quiver_put_batch(struct quiver *store, const struct quiver_record *records, size_t count,
                     const struct quiver_attr *attr, unsigned attr_mask, unsigned flags,
                     uint64_t *lsn);

/* Remove a vector. -ENOENT; common errors. */
int quiver_remove(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn);

/*
 * Move vector `from`, with its attributes, to `to` in one commit, replacing
 * `to` if it exists. Both IDs change at once for everybody: who has found it as `to` does not
 * find it as `from` any more, and who has missed `from` finds `to`. from == to is a success that
 * changes nothing.
 * -EOPNOTSUPP without QUIVER_HAS_RENAME;
 * -ENOENT no `from`; -EEXIST with QUIVER_NOREPLACE; -EINVAL `to` out of range;
 * -EIO the bytes of `from` do not match their checksum; common errors.
 */
int quiver_rename(struct quiver *store, uint64_t from, uint64_t to, unsigned flags, uint64_t *lsn);

/* Set the attributes in `mask`. -ENOENT; common errors. The vector keeps its
 * LSN: it is the same version. */
int quiver_set_attr(struct quiver *store, uint64_t id, const struct quiver_attr *attr,
                    unsigned mask, unsigned flags);

/* The attributes of the directory of vectors. Its mtime changes by itself when
 * a vector is created, removed or renamed. `flags`: 0 or QUIVER_NOWAIT. 0, -EAGAIN;
 * in a local folder always 0. */
int quiver_dir_attr(struct quiver *store, unsigned flags, struct quiver_attr *attr);
/* Common errors. */
int quiver_set_dir_attr(struct quiver *store, const struct quiver_attr *attr, unsigned mask,
                        unsigned flags);

/* ---- durability -------------------------------------------------------- */

/* Waits for the disk. What fsync(2) means in the mode in force: modes always and fsync return when
 * every commit that returned before the call is on stable storage; flush hands
 * over to the kernel (which every commit does by itself); none checkpoints. */
int quiver_flush(struct quiver *store);

/* Make everything committed so far durable in the data files and let go of the
 * log behind it. Does not stop writers. Waits for the disk. -EOPNOTSUPP without
 * QUIVER_HAS_CHECKPOINT. */
int quiver_checkpoint(struct quiver *store);

enum quiver_durability quiver_durability(struct quiver *store);
/* Change the mode; checkpoints first, so it waits for the disk. Without
 * QUIVER_HAS_CHECKPOINT only the mode in force may be set: else -EOPNOTSUPP. */
int quiver_set_durability(struct quiver *store, enum quiver_durability mode);

/* Ask for a checkpoint in the background; returns at once, also without
 * QUIVER_HAS_CHECKPOINT. */
void quiver_checkpoint_soon(struct quiver *store);

/* ---- space ------------------------------------------------------------- */

/* Make room for `count` vectors in all beyond those present. -ENOSPC; -EOPNOTSUPP
 * without QUIVER_HAS_RESERVE. Waits for the disk. */
int quiver_reserve(struct quiver *store, uint64_t count);

/* 0 = never, else 1..100: compact by itself when at least this share of the
 * slots in use is free. -EINVAL above 100; -EOPNOTSUPP above 0 without
 * QUIVER_HAS_JOBS. */
int quiver_set_autocompact(struct quiver *store, uint32_t percent);

struct quiver_space {
	uint64_t total_bytes; /* of the filesystem under the store */
	uint64_t free_bytes;
	uint64_t available_bytes; /* to an ordinary user */
	uint64_t slots_free; /* slots that fit before the next growth */
};
/* `flags`: 0 or QUIVER_NOWAIT. Errors of statvfs(2); -EAGAIN. */
int quiver_space(struct quiver *store, unsigned flags, struct quiver_space *space);

/* ---- long work --------------------------------------------------------- */

enum quiver_job { QUIVER_COMPACT, QUIVER_VERIFY };

struct quiver_job_status {
	bool running;
	bool ever_ran; /* the members below tell of the last run */
	bool stopped; /* ended by quiver_job_stop */
	int result; /* 0 or a negative errno, of the last run that ended */
	uint64_t done; /* steps: slots moved, slots checked */
	uint64_t total;
	uint64_t mismatches; /* verify: vectors whose checksum does not match */
	uint64_t freed_bytes; /* compact: given back to the filesystem */
	int64_t started_ns;
	int64_t duration_ns;
};
/* Start in the background, return at once. -EBUSY one of either kind is
 * running; -EROFS (compact); -ENOMEM, -EAGAIN no thread; -EOPNOTSUPP without
 * QUIVER_HAS_JOBS, and of QUIVER_VERIFY without QUIVER_HAS_VERIFY. */
int quiver_job_start(struct quiver *store, enum quiver_job kind);
/* Ask a running job to end soon and return at once; 0 also where none runs.
 * -EOPNOTSUPP as quiver_job_start. */
int quiver_job_stop(struct quiver *store, enum quiver_job kind);
void quiver_job_status(struct quiver *store, enum quiver_job kind,
                       struct quiver_job_status *status);

/* ---- the columns as files ---------------------------------------------- */

enum quiver_column { QUIVER_COLUMN_VECTORS, QUIVER_COLUMN_IDS };

/* What stands before the first row of each. */
#define QUIVER_COLUMN_HEADER_BYTES 4096u

/* Hold both .npy files against being cut, and give the descriptor of one (owned
 * by the store, read-write on a store open so: duplicate or reopen it for others)
 * and its size now. A commit is in the files when it returns. -1 for a descriptor: no file shows
 * that column, and quiver_column_read is the way (quiver_snapshot_open). Given back with
 * quiver_column_release. 0; -EOPNOTSUPP without QUIVER_HAS_COLUMNS, and then none of
 * the others may be called but quiver_column_bytes, which is 0. */
int quiver_column_hold(struct quiver *store, enum quiver_column column, int *fd,
                       uint64_t *size_bytes);
void quiver_column_release(struct quiver *store, enum quiver_column column);
/* Size now, for stat. */
uint64_t quiver_column_bytes(struct quiver *store, enum quiver_column column);
/* Copy up to `length` bytes from `offset`; the number copied (0 at the end) or
 * -EIO. Needs a hold. */
int64_t quiver_column_read(struct quiver *store, enum quiver_column column, uint64_t offset,
                           size_t length, void *to);

/* For who keeps copies of what is in the columns, and has to know when they are old. */
struct quiver_watcher {
	void *arg;
	/* `count` rows from `first` on have other bytes than before, in either column or in both:
	 * written, freed, given back to the filesystem or new; with row 0 the header may have, too.
	 * Any thread, with locks of the store held: it must not call the store, and not wait. */
	void (*changed)(void *arg, uint64_t first, uint64_t count);
	/* Before a call returns that has changed rows, and before a row that became free is used
	 * again: wait until what `changed` was called for has been looked after. No lock is held that
	 * a commit or quiver_column_read needs. It must not call the store. */
	void (*settle)(void *arg);
};
/*
 * Watch the rows of the columns: what is changed by anybody from the return of this call on is
 * told to `watcher`, which is copied and takes the place of one that watched before. Changing
 * calls that write a row then answer -EAGAIN with QUIVER_NOWAIT. Waits for the disk, since it
 * waits for commits under way. A store that is QUIVER_IMMUTABLE has nothing to tell: 0 all the same.
 * 0; -EOPNOTSUPP as quiver_column_hold.
 */
int quiver_column_watch(struct quiver *store, const struct quiver_watcher *watcher);
/* No more. With `wait` it returns once neither function of the watcher is running, and must not be
 * called by them; without it never waits. Nothing happens where nobody watches. */
void quiver_column_unwatch(struct quiver *store, bool wait);

/* ---- what is going on -------------------------------------------------- */

struct quiver_latency {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t p50_ns;
	uint64_t p90_ns;
	uint64_t p99_ns;
	uint64_t max_ns;
};

struct quiver_stats {
	size_t size; /* sizeof(struct quiver_stats), set by the caller */
	uint64_t count; /* vectors present */
	uint64_t slots; /* rows of the matrix: slots the files have room for */
	uint64_t slots_used; /* slots below the highest ever used since a cut */
	uint64_t slots_free; /* free below slots_used */
	uint64_t slots_retired; /* superseded, waiting for a checkpoint or a reader */
	uint64_t vector_bytes; /* N */
	uint64_t store_bytes; /* allocated on disk, all files */
	uint64_t wal_bytes; /* of log that a crash now would replay, and of slots it names */
	uint64_t wal_segments;
	uint64_t index_bytes; /* memory of the ID table and the slot maps */
	double fragmentation; /* slots_free + slots_retired over slots_used; 0 if none used */

	uint64_t lsn; /* of the last commit */
	uint64_t lsn_durable;
	uint64_t lsn_checkpoint;

	uint64_t puts, removes, renames, set_attrs, batches; /* commits since open */
	uint64_t gets, get_misses;
	uint64_t syncs; /* of the log; puts / syncs is the gain of group commit */
	uint64_t checkpoints, compactions, growths, punches;
	uint64_t moved; /* vectors moved by compaction */
	uint64_t replayed; /* log records applied at open */
	uint64_t checksum_errors, io_errors;
	uint64_t errors; /* lines ever added to quiver_errors */

	struct quiver_latency commit, sync, growth, checkpoint, compact_step;

	enum quiver_durability durability;
	uint32_t autocompact_percent;
	bool read_only; /* opened so */
	bool failed; /* turned read-only by a failed sync or log write */
	uint32_t format_version; /* of the files; below QUIVER_FORMAT_VERSION only where they are
	                            of an older one and read-only. 0: it has none */
	uint64_t snapshots;
	uint64_t slots_held; /* free but for the snapshots that have them; below slots_used, and not
	                        among slots_free */
	uint64_t versions_bytes; /* of the file that keeps what is in snapshots alone */
	uint64_t rows_scanned; /* looked at at open: 0 of a store that was closed; all rows where no
	                          index was kept, or fits */
	bool index_kept; /* by the last checkpoint: an open after a crash looks at what was committed
	                    since, and not at all rows. False elsewhere than in a local folder */
};
/* A snapshot; costs a few system calls (store_bytes). Fills as much as stats->size has
 * room for. */
void quiver_stats(struct quiver *store, struct quiver_stats *stats);

/*
 * What a store elsewhere tells of itself besides: lines "key value", as "pool vectors", in *text
 * (malloc'd, to be freed by the caller, NUL-terminated); "" of a local folder. `flags`: 0, and the
 * cluster is asked how it does, or QUIVER_NOWAIT, and that is left out. -ENOMEM.
 */
int quiver_facts(struct quiver *store, unsigned flags, char **text);

/* Add a line to the last 256 refusals and faults; printf-like, no newline. The
 * engine adds its own. Any thread, also while holding the caller's own locks
 * (on_report is then called under them). */
void quiver_report(struct quiver *store, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* All lines, oldest first, each ended by a newline, in *text (malloc'd, to be
 * freed by the caller, NUL-terminated). -ENOMEM. */
int quiver_errors(struct quiver *store, char **text, size_t *length);
void quiver_errors_clear(struct quiver *store);

/* ---- snapshots --------------------------------------------------------- */

/*
 * A snapshot is the store as it was after one commit, with a name. It copies nothing: what a
 * snapshot has is not overwritten, and is kept for as long as one has it. Snapshots of a store in
 * a local folder alone (QUIVER_HAS_SNAPSHOTS), else -EOPNOTSUPP.
 */

/* Of a name, without its NUL: of A-Z a-z 0-9 . _ : -, without a dot in front. */
#define QUIVER_SNAPSHOT_NAME_MAX 64u
/* Of one store. A bound on memory and on what each checkpoint looks at. */
#define QUIVER_SNAPSHOTS_MAX 65536u

struct quiver_snapshot {
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1];
	uint8_t uuid[16]; /* that of the one it was received from, where it was */
	uint64_t lsn; /* it has all commits up to this one */
	uint64_t count; /* vectors */
	uint64_t slots; /* rows of its matrix */
	int64_t created_ns;
	/* Vectors whose bytes it alone still has, neither another snapshot nor the store as it is;
	 * and what comes free when it is removed, their rows included. */
	uint64_t own_vectors;
	uint64_t own_bytes;
	bool damaged; /* cannot be read, or lacks vectors; quiver_check tells of them. Where its file
	                 cannot be read all but the name is 0 */
};

/* Whether it can be the name of a snapshot. */
bool quiver_snapshot_name_is_valid(const char *name);

/* Whether the path is "STORE@NAME", of a snapshot of the store in the folder STORE, of which
 * *store_length is how long it is. Not where something of the whole name is there: that is a folder
 * of such a name. Whether there is such a store, or such a snapshot, is not looked at. */
bool quiver_is_snapshot(const char *path, size_t *store_length);

/*
 * Make one of all commits that have returned before the call. Each batch and each rename is in it
 * whole or not at all. On return it is on stable storage; a crash leaves it whole or none. Waits for
 * a checkpoint; readers do not wait, writers while a few numbers are noted. `made` may be NULL.
 * -EINVAL such a name cannot be; -EEXIST; -ENOSPC also more than QUIVER_SNAPSHOTS_MAX; common
 * errors. Where it fails there is none, and nothing else has changed.
 */
int quiver_snapshot_create(struct quiver *store, const char *name, struct quiver_snapshot *made);

/*
 * Remove one, for good: on return that is on stable storage. What it alone had comes free when no
 * quiver_snapshot_open of it is open any more. Waits for the disk. -ENOENT; -EBUSY another process
 * has it open; common errors, but a full disk is no reason.
 */
int quiver_snapshot_remove(struct quiver *store, const char *name);

/* All of them, oldest first, *count of them in *snapshots (malloc'd, to be freed by the caller).
 * Any thread; never waits for storage. -ENOMEM. */
int quiver_snapshots(struct quiver *store, struct quiver_snapshot **snapshots, size_t *count);
/* One of them. `name` NULL: the one that `store` itself is, of which own_vectors and own_bytes are 0,
 * since only its store knows them. -ENOENT, -EOPNOTSUPP. Never waits for storage. */
int quiver_snapshot_stat(struct quiver *store, const char *name, struct quiver_snapshot *snapshot);

/*
 * Open one as a store of its own, which nobody can change: QUIVER_IMMUTABLE, changing calls are
 * -EROFS, a listing and the columns are those of then; it can be verified (QUIVER_HAS_VERIFY). Rows of quiver_column_read that the
 * snapshot does not have are zeros, and QUIVER_ID_NONE. Of its vectors quiver_column_hold gives the
 * store's own file: that has the snapshot's vectors in their rows, but any bytes in other rows and
 * behind its size, and the header of the store as it is now; of its IDs it gives no file, -1. It is
 * given back with quiver_close, before `store` is; also after it was removed it reads on until then.
 * Costs no more memory for a large store than for a small one, but a listing. -ENOENT; -EUCLEAN its
 * file is damaged; -EIO, -errno it could not be read when the store was opened; -ENOMEM; -EOPNOTSUPP.
 *
 * quiver_open of the path "STORE@NAME" (quiver_is_snapshot) opens one, too, in any process and whoever
 * has the store open, or has left it open; read_only has to be set. It takes no lock of the store but
 * one of the snapshot, which cannot be removed meanwhile, and it reads all rows first and keeps its
 * own table of them (about 80 bytes for each slot). Nothing is written. -ENOENT no such store or
 * snapshot; -EROFS without read_only; -EBUSY it is just being removed; -EUCLEAN a row that it has is
 * damaged; errors of quiver_open.
 */
int quiver_snapshot_open(struct quiver *store, const char *name, struct quiver **snapshot);

enum quiver_change {
	QUIVER_ADDED, /* only in the newer one */
	QUIVER_REMOVED, /* only in the older one */
	QUIVER_CHANGED, /* written again, or removed and made again, or renamed over */
	QUIVER_ATTRIBUTES_CHANGED, /* the same bytes, other attributes */
};
/*
 * What differs between two snapshots of the store in the folder `path`, in ascending order of the
 * IDs: each is one call of `each`, which ends it by returning other than 0; that is passed on.
 * `older` NULL: nothing, so that all is added. Who has the store open does not matter. Reads all
 * rows, and no vector. 0; -ENOENT no such snapshot; -EINVAL `older` is not the older one;
 * -EUCLEAN one is damaged (error tells what); -ENOMEM; errors of the filesystem.
 */
int quiver_snapshot_diff(const char *path, const char *older, const char *newer,
                         int (*each)(void *arg, uint64_t id, enum quiver_change change), void *arg,
                         struct quiver_error *error);

/* ---- nearest neighbours ------------------------------------------------ */

/* Neighbours of one question, and of all questions of one call. */
#define QUIVER_NEAREST_MAX (1u << 20)
#define QUIVER_NEAREST_ANSWERS_MAX (1u << 22)
/* Questions of one call, and the bytes of their vectors. */
#define QUIVER_QUESTIONS_MAX 65536u
#define QUIVER_QUESTION_BYTES_MAX (64u << 20)

#define QUIVER_METRIC_OF_STORE (-1)

enum {
	QUIVER_NEAREST_EXACT = 1, /* compare all of them, whether there is an index or not */
	QUIVER_NEAREST_WITHIN = 2, /* `within` is meant */
};

/* Which vectors are nearest to each of `count` given ones. All but `size`, `vectors`, `count` and `k`
 * may be 0, but for `metric`, of which 0 is QUIVER_L2. */
struct quiver_question {
	size_t size; /* sizeof(struct quiver_question) */
	int metric; /* an enum quiver_metric, or QUIVER_METRIC_OF_STORE */
	unsigned flags; /* QUIVER_NEAREST_* */
	const void *vectors; /* count * N bytes, of the store's dtype */
	size_t count;
	uint32_t k; /* neighbours of each, at most */
	double within; /* none that is farther: a distance above it, of ip a product below it */
	/* Only of these; one that is not there is passed over, and one that comes twice counts once.
	 * NULL: of all. Then all of them are compared. */
	const uint64_t *ids;
	size_t id_count;
	/* An ID for each question that is no answer to it; QUIVER_ID_NONE: all may be. NULL: for none. */
	const uint64_t *except;
};

struct quiver_neighbour {
	uint64_t id;
	/* l2: the sum of the squared differences; cosine: 1 - cos; ip: the inner product; hamming: how
	 * many bits differ. Of f4, f2, bf2 and f8 computed in double, of the others exact. */
	double distance;
};

/*
 * Of question i the nearest are answers[i * k] and those behind it, found[i] of them, nearest first
 * (of ip the largest first), of equal distances the lowest ID first. `answers` has count * k of
 * them, `found` has count; both are the caller's.
 *
 * A vector that is there from the call's begin to its end is considered once, as it was at some moment
 * of the call; none is an answer that was not there at any, or at another distance than its bytes
 * of such a moment have. A vector that is damaged is none, nor one whose distance is no number: one
 * with a NaN, under cosine one of zeros. Without an index, or with QUIVER_NEAREST_EXACT, the answer
 * is as if all distances were computed in double.
 *
 * The elements of b1 are 0 and 1 under each metric. QUIVER_HAMMING is of b1 and u1, of which it compares
 * the bits. Computes on all processors, in threads of low priority. Waits for the disk; -EINTR as
 * quiver_set_interrupt says, also of a local folder. Questions of several threads at the same time
 * share one pass. -EINVAL no question, k is 0, a metric that does not go with the dtype, a question that
 * has no distances: with a NaN, under cosine of zeros; -E2BIG more than the bounds above; -ENOMEM;
 * -EIO, -ETIMEDOUT of a store elsewhere.
 */
int quiver_nearest(struct quiver *store, const struct quiver_question *question,
                   struct quiver_neighbour *answers, uint32_t *found);

enum quiver_nearest_state {
	QUIVER_NEAREST_NONE, /* no index: all are compared */
	QUIVER_NEAREST_BUILDING, /* the first one */
	/* In use, or about to be loaded, when all vectors are pending; maybe another is being built. */
	QUIVER_NEAREST_READY,
	QUIVER_NEAREST_NO_HELP, /* comparing all is as fast on these vectors, so that is done */
};

struct quiver_nearest_status {
	size_t size; /* sizeof(struct quiver_nearest_status), set by the caller */
	enum quiver_nearest_state state;
	bool building; /* a build is under way */
	uint64_t done, total; /* its steps */
	int result; /* of the last build that ended: 0 or a negative errno; -EINTR: stopped */
	int64_t started_ns, duration_ns; /* of the last build */
	enum quiver_metric metric; /* that it is for; questions of another compare all */
	uint64_t lists; /* that the vectors are divided into */
	uint64_t probes; /* lists that a question looks at */
	uint64_t assigned; /* vectors that are in a list */
	uint64_t pending; /* vectors that are not yet, and are always compared */
	double recall; /* of the 10 nearest, as measured on questions out of the store itself */
	double exact_ms, index_ms; /* a question on one processor, as measured then */
	uint64_t memory_bytes, file_bytes;
};

/*
 * An index makes questions faster and may miss neighbours: at least 95 % of the ten nearest are found,
 * as is measured when it is built (inverted lists: Jegou et al., "Product Quantization for Nearest
 * Neighbor Search", IEEE TPAMI 2011, without the quantization). It is of the store's metric, stays in the
 * store's folder (FORMAT.md, nearest/), is used once it is ready, also after the store is opened again,
 * and follows all changes. Questions that are not like the vectors find less. Those for more than 1000 neighbours compare all. All three: any thread;
 * -EOPNOTSUPP without QUIVER_HAS_NEAREST_INDEX.
 *
 * Start to build it, or to build it anew, in the background at the lowest priority. -EBUSY a build is
 * under way; -EROFS; -ENODATA fewer than 10,000 vectors, where comparing all takes no time; -ENOMEM,
 * -EAGAIN no thread.
 */
int quiver_nearest_index_start(struct quiver *store);
/* Ask a build to end soon, and return at once; what was in use stays. 0 also where none runs. */
int quiver_nearest_index_stop(struct quiver *store);
/* Stop, wait for that, and remove the index with its files. Waits for the disk. -EROFS; errors of the
 * filesystem. */
int quiver_nearest_index_off(struct quiver *store);
/* Never waits for the disk. Fills as much as status->size has room for. */
void quiver_nearest_status(struct quiver *store, struct quiver_nearest_status *status);

/* ---- snapshots from one store to another -------------------------------- */

/*
 * A stream carries a snapshot, or what makes it of an older one, to another store. It is the same
 * whenever it is sent, item by item, so it can be gone on with from any item: its position, counted
 * from 0. FORMAT.md, A stream.
 */
struct quiver_send_options {
	size_t size; /* sizeof(struct quiver_send_options) */
	const char *since; /* the older snapshot; NULL: all is sent */
	uint64_t from; /* position of the first item that is sent */
	const struct quiver_io *io; /* NULL: the real one */
	/* Called now and then: `done` of `total` items. May be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *progress_arg;
};

struct quiver_sent {
	size_t size; /* sizeof(struct quiver_sent), set by the caller */
	uint64_t removals, attributes, vectors; /* items of the whole stream */
	uint64_t position; /* of the first item that was not handed to `write` */
	uint64_t bytes; /* handed to `write` */
};

/*
 * Send snapshot `name` of the store in the folder `path`, whoever has that open: `write` takes all
 * the bytes it is given, or ends it with a negative errno, which is passed on. Each vector is
 * compared with its checksum. Reads all rows, and of the vectors those that are sent. `sent` may be
 * NULL; it is filled also where it fails. 0; -ENOENT no such store or snapshot; -EINVAL no store, no
 * such name, `since` is not older, `from` is behind the end; -EUCLEAN damage, which ends it (error
 * tells what); -ENOTSUP a newer format; -EOPNOTSUPP no local folder; -ENOMEM; errors of the
 * filesystem.
 */
int quiver_send(const char *path, const char *name, const struct quiver_send_options *options,
                int (*write)(void *arg, const void *bytes, size_t length), void *arg,
                struct quiver_sent *sent, struct quiver_error *error);

struct quiver_receive_options {
	size_t size; /* sizeof(struct quiver_receive_options) */
	const char *name; /* of the snapshot that is made; NULL: as where it comes from */
	/* Where what is live is not the snapshot that the stream builds on, go back to that first: what
	 * was changed since is lost. */
	bool force;
	uint32_t lock_wait_ms; /* as in quiver_options */
	const struct quiver_io *io; /* NULL: the real one */
	void (*progress)(void *arg, uint64_t done, uint64_t total); /* as for sending */
	/* As in quiver_options. May be NULL. */
	void (*on_report)(void *arg, const char *line);
	void *arg; /* of both */
};

struct quiver_received {
	size_t size; /* sizeof(struct quiver_received), set by the caller */
	bool nothing; /* no stream came: the end of what `read` gives */
	bool had_it; /* the snapshot was there already; nothing was changed */
	bool is_half; /* it is not whole; the store is marked, and keeps what came */
	uint64_t position; /* where to go on, in that case */
	uint64_t removals, attributes, vectors; /* items of the whole stream */
	char name[QUIVER_SNAPSHOT_NAME_MAX + 1]; /* of the snapshot here */
	char sent_name[QUIVER_SNAPSHOT_NAME_MAX + 1]; /* where it comes from */
	char since[QUIVER_SNAPSHOT_NAME_MAX +
	           1]; /* that it builds on, there; "" where it is whole */
};

/*
 * Receive one stream into the store in the folder `path`. `read` gives at least one byte and as
 * many as it is asked for at most, 0 at the end, or a negative errno, which is passed on. What is
 * behind the stream is not read, so that the next may follow.
 *
 * A whole stream makes the store, which must not be there; until it is whole it lies in the folder
 * `path` with ".receiving" behind it. Else the store's live state must be the snapshot that the
 * stream builds on, told by its uuid. At the end the snapshot is made, with the uuid that it has
 * where it comes from, and is what is live. Attributes are those of the stream, but for the ctimes.
 * Until then nobody can open the store but for its snapshots (-EINPROGRESS). Where it ends early,
 * for whatever reason, what came stays: the same stream goes on from received->position, or from
 * any item before it, or quiver_receive_undo goes back. A crash at any moment leaves that, too.
 *
 * `received` may be NULL. 0; -ENODATA the stream ends early; -EINVAL it is none; -EUCLEAN it is
 * damaged, or does not fit the store; -ENOTSUP it is of a newer version; -EEXIST a whole one, and the
 * store is there, or another snapshot has the name; -ENOENT it builds on a snapshot that the store
 * has not got, or there is no store; -ESTALE what is live is not that snapshot (`force`); -EINPROGRESS
 * another stream is half received; -ESPIPE it begins behind what has come; -EBUSY somebody has the
 * store open; else as quiver_open and changing calls. error says what to do.
 */
int quiver_receive(const char *path, const struct quiver_receive_options *options,
                   int64_t (*read)(void *arg, void *to, size_t length), void *arg,
                   struct quiver_received *received, struct quiver_error *error);

/*
 * Go back from half a stream to the snapshot that it builds on; of one that makes a store all is
 * removed. Of `options`, which may be NULL, what has to do with the stream means nothing. Waits for the
 * disk. 0; -EINVAL no stream is being received there; -ENOENT no store; -EUCLEAN what to go back to
 * is damaged; -EBUSY; else as quiver_receive.
 */
int quiver_receive_undo(const char *path, const struct quiver_receive_options *options,
                        struct quiver_error *error);

/* ---- checking a store that nobody has open ------------------------------ */

struct quiver_check_result {
	uint64_t vectors; /* checked */
	uint64_t log_records; /* waiting for replay */
	uint64_t damage; /* faults found */
	uint64_t repaired; /* faults put right */
	bool clean; /* was closed cleanly */
	uint64_t snapshots;
	uint64_t kept_vectors; /* that snapshots alone have; checked, too */
};
/*
 * Check every structure and every checksum of the store at `path`; changes
 * nothing unless `repair`. Each fault found, and each repair, is one call of
 * `say` (which may be NULL). With `repair` a store not closed cleanly is recovered;
 * what is removed is moved aside into the store's folder lost+found, never
 * deleted.
 * 0 (look at result->damage and repaired); -EBUSY in use; else as quiver_open
 * where the check itself could not run.
 */
int quiver_check(const char *path, bool repair, void (*say)(void *arg, const char *line), void *arg,
                 struct quiver_check_result *result, struct quiver_error *error);
/* The same with `access` as in quiver_options. A store elsewhere may be in use meanwhile; what is
 * moved aside stays in it, where no listing shows it. */
int quiver_check_with(const char *path, const char *access, bool repair,
                      void (*say)(void *arg, const char *line), void *arg,
                      struct quiver_check_result *result, struct quiver_error *error);

#ifdef __cplusplus
}
#endif
#endif
