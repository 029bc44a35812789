/*
 * fs.h - what all parts of the mount share.
 *
 * One struct fs lives for as long as the mount does and is the userdata of the
 * libfuse session; there is one more for each snapshot that is looked at. mount.c fills in the first block before fs_init and does not
 * change it while requests are served, so that block needs no lock.
 *
 * Conventions of fs/
 *   - Functions return 0 or a negative errno; only a reply to the kernel has
 *     the sign turned.
 *   - A handler takes its request (fuse_req_t) over: it answers it exactly once,
 *     itself or from a worker, on every path.
 *   - Under io_uring a handler runs with the lock of its core's ring held, and a
 *     reply takes that lock: no reply while a lock is held that a handler may want.
 *   - What may wait (a sync, the disk) goes to a worker: attempt.h. The one exception is few
 *     enough for others to answer meanwhile: control_put.c.
 *   - A kind of file is a row of a table: node_ops.h.
 *   - The error is called err, and what cleans up stands behind `out:`.
 */
#ifndef FS_H
#define FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fuse_lowlevel.h>

#include "engine/quiver.h"

/* Where nobody else changes the store names and attributes are cached for a day. */
#define FS_CACHE_SECONDS 86400.0

/* Where others do nothing is, but attributes of vectors/: each call by a path has the kernel look at
 * its mode. */
#define FS_SHARED_FOLDER_SECONDS 1.0

/* For attributes that are not to be cached, but may serve the very call whose lookup or
 * CREATE they come with; else the kernel would ask for them once more. */
#define FS_MOMENT_SECONDS 0.001

struct charges; /* charge.h */
struct control; /* control.c */
struct copies; /* copies.h */
struct errors; /* errors.h */
struct gone; /* gone.h */
struct guest; /* inside.h */
struct inside; /* inside.h: the nodes of snapshots */
struct listing; /* listing.h */
struct matrix; /* matrix_file.c */
struct nodes; /* node.h: stages and open handles */
struct scratch; /* scratch.h: the scratch files */
struct snapshots; /* snapshots.c */
struct node_ops; /* node_ops.h */
struct payloads; /* payload.h: what came with large requests */
struct neighbours; /* neighbours_node.h: the files of nearest/ */
struct neighbours_kept; /* neighbours_kept.h: what some of them read */
struct neighbours_open; /* neighbours_file.c: those that are open */
struct views; /* view.h: vectors in other forms */
struct workers; /* worker.h */

enum fs_transport {
	FS_DEV_FUSE, /* /dev/fuse, one descriptor a thread (clone_fd) */
	FS_IO_URING,
};

struct fs {
	/* Set by mount.c before fs_init, constant afterwards. */
	struct errors *errors; /* before the store is opened */
	struct log_queue *log; /* likewise; NULL where nothing is logged */
	struct quiver *store;
	struct quiver_geometry geometry;
	bool shared; /* others, on other machines, may change the store at any time */
	const char *store_path;
	const char *mount_point;
	bool read_only;
	bool passthrough; /* try FUSE passthrough for matrix.npy and ids.npy */
	bool set_uid, set_gid, set_umask; /* the option was given */
	uid_t uid; /* where set_uid: owner of all vectors and their folder, whatever is stored */
	gid_t gid; /* likewise their group where set_gid */
	mode_t umask; /* instead of the creator's where set_umask */
	bool set_matrix_mode; /* the option was given */
	mode_t matrix_mode; /* of matrix.npy and ids.npy where set_matrix_mode */
	uid_t owner_uid; /* who mounted: owns everything but the vectors */
	gid_t owner_gid;
	uint32_t max_write_bytes; /* largest request: read, write, control/put */
	bool want_io_uring; /* ask the kernel for it */
	char transport_reason[160]; /* why not io_uring; "" where it is used */

	/* Of the view of a snapshot (fs/snapshot), which shares the session, the workers, the charges and
	 * all that is set before and by the init request with the mount that it is in. Constant. */
	struct fs *outer; /* that mount; NULL: this is one */
	struct quiver_snapshot
		snapshot; /* as it was found; of a mount of a snapshot, too; else no name */
	struct guest *guest; /* the snapshot; NULL likewise */
	uint64_t inode_key; /* for its st_ino: attr_inode; 0 likewise */

	/* Set by mount.c as soon as the session exists, before its loop. */
	struct fuse_session *session;

	/* Set by the init request before any other is served, constant afterwards. */
	bool passthrough_ok; /* the kernel can */
	bool can_rename; /* kernel 6.16: names can be forgotten (epoch), so a vector
	                    can be renamed */
	bool drops_setid; /* kernel 5.11: requests say whose changes take set-ID bits away */
	bool no_open; /* read-only mount: OPEN, OPENDIR, FLUSH are ENOSYS; no handles */

	/* FS_DEV_FUSE until a request has come through a ring. */
	_Atomic enum fs_transport transport;

	/* Set by fs_init, constant afterwards; each has its own locks inside. */
	/* mtime and ctime of the folders whose entries never change: that of vectors/ at the
	 * mount, so that it stays where nothing has changed; in a snapshot when it was made. */
	int64_t fixed_mtime_ns;
	uint32_t block_bytes; /* st_blksize of a vector: next power of two >= N */
	const struct node_ops *const *kinds; /* one row for each tree_class */
	struct workers *workers;
	struct payloads *payloads; /* of the mount */
	struct nodes *nodes;
	struct gone *gone;
	struct copies *copies; /* NULL unless `shared` */
	struct scratch *scratch;
	struct views *views;
	struct neighbours *neighbours;
	struct neighbours_kept *neighbours_kept;
	struct neighbours_open *neighbours_open;
	struct control *control;
	struct matrix *matrix;
	struct listing *listing; /* the one of a no_open mount */
	struct inside *inside; /* NULL where there are no snapshots; that of the mount in one */
	struct snapshots *snapshots; /* NULL where there are none, also in one */

	_Atomic bool
		cut_off; /* nobody waits for other machines or long questions any more: attempt.h */
	_Atomic int passthrough_error; /* what the kernel refused it with; 0: it has not */

	struct charges *charges;
	_Atomic unsigned charged; /* users to whom something is charged; charge.c */

	_Atomic uint64_t lookups; /* of names in vectors/ */
	/* Of the mount, for its snapshots, too: vectors whose neighbours were asked for, and questions that
	 * are being answered. */
	_Atomic uint64_t nearest_questions, nearest_running;
	/* What listings learn from lookups; listing.c. Hints, each by itself. */
	_Atomic uint64_t probe_lookups; /* of IDs that listing_is_probe */
	_Atomic uint64_t listed_probes; /* of the newest listing: such IDs so far... */
	_Atomic uint64_t listed_since; /* ...and probe_lookups at its start */
	_Atomic bool names_only; /* nobody wanted attributes of what was listed last */

	/* Counts how often the kernel was told attributes of a vector that it may keep,
	 * after they were read and before it was; see control_put.c. */
	_Atomic uint64_t attr_given;

	_Atomic unsigned putting; /* handlers that commit batches themselves: control_put.c */

	/* Counts how often attributes of vectors/ were handed to the kernel, so
	 * that a commit knows whether it must tell the kernel they changed. */
	_Atomic uint64_t dir_attr_given;
	/* Of a vectors/ with the set-group-ID bit, its group and a bit above it (attr.c); else 0. */
	_Atomic uint64_t dir_group;
	/* When a scratch file came, went or was renamed; 0 never. Later than the
	 * store's own mtime of vectors/ it is that directory's mtime, until one is set. */
	_Atomic int64_t scratch_mtime_ns;
	_Atomic int64_t scratch_ctime_ns; /* the same for the ctime, which nobody sets */
};

/* The view of a snapshot in which this thread works; NULL: on the mount itself. */
extern _Thread_local struct fs *fs_visited;

/* The struct fs a request belongs to. */
static inline struct fs *fs_of(fuse_req_t req)
{
	return fs_visited != NULL ? fs_visited : fuse_req_userdata(req);
}

/* The mount that `fs` is, or is in. */
static inline struct fs *fs_whole(struct fs *fs)
{
	return fs->outer != NULL ? fs->outer : fs;
}

#endif
