/*
 * fs_requests.h - the mount without a kernel and without libfuse: requests that are answered
 * into a struct, and workers that work when they are told to. Takes the place of libfuse and
 * of fs/base/worker.c.
 */
#ifndef FS_REQUESTS_H
#define FS_REQUESTS_H

#include "fs/base/fs.h"

#define REQUEST_DATA_BYTES 8192u

struct fuse_req {
	struct fuse_ctx ctx;
	struct fs *fs;
	bool lost; /* whoever asked was killed: the answer does not get through */

	/* the answer */
	unsigned answers;
	int rc; /* 0 or a negative errno */
	struct fuse_entry_param entry;
	struct stat attr;
	double timeout;
	struct fuse_file_info opened; /* what an OPEN or CREATE was answered with */
	size_t size; /* of data, or what was written */
	uint8_t data[REQUEST_DATA_BYTES];
};

/* Ready for a handler; by thread `tid`. */
void request_begin(struct fuse_req *req, struct fs *fs, pid_t tid);
/* Run what the handler left to workers; it is answered then, exactly once. Its rc. */
int request_end(struct fuse_req *req);

/* An entry of the answer to a READDIR, at *at of it, which is stepped on; false at its end. */
struct request_name {
	uint64_t ino;
	uint64_t next; /* offset of the one behind it */
	char name[256];
};
bool request_next_name(const struct fuse_req *req, size_t *at, struct request_name *name);

#endif
