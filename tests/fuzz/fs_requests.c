#include "fs_requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/proc_thread.h"
#include "fs/base/proc_umask.h"
#include "fs/base/worker.h"
#include "fuzz.h"

/* ---- workers ---- */

struct workers {
	struct work *head;
	struct work **tail;
};

int workers_new(bool far, struct workers **workers)
{
	struct workers *w = calloc(1, sizeof(*w));

	(void)far;

	if (w == NULL)
		return -ENOMEM;
	w->tail = &w->head;
	*workers = w;
	return 0;
}

void workers_drain(struct workers *workers)
{
	while (workers->head != NULL) {
		struct work *work = workers->head;

		workers->head = work->next;
		if (workers->head == NULL)
			workers->tail = &workers->head;
		work->run(work);
	}
}

bool workers_drain_for(struct workers *workers, unsigned wait_ms)
{
	(void)wait_ms;
	workers_drain(workers);
	return true;
}

void workers_free(struct workers *workers)
{
	if (workers != NULL)
		workers_drain(workers);
	free(workers);
}

void workers_submit(struct workers *workers, enum worker_class kind, struct work *work)
{
	if (kind == WORKER_TELL) { /* whoever submits waits for it */
		work->run(work);
		return;
	}
	work->next = NULL;
	*workers->tail = work;
	workers->tail = &work->next;
}

/* ---- who asks ---- */

bool proc_same_process(pid_t tid, pid_t other)
{
	return tid > 0 && tid == other;
}

/* Nobody does here, so that each vector has one node. */
bool proc_looks_again(pid_t tid)
{
	(void)tid;
	return false;
}

mode_t proc_umask(pid_t pid)
{
	(void)pid;
	return 022;
}

/* ---- requests ---- */

int fuse_req_interrupted(fuse_req_t req)
{
	(void)req;
	return 0;
}

int fuse_session_exited(struct fuse_session *session)
{
	(void)session;
	return 0;
}

void request_begin(struct fuse_req *req, struct fs *fs, pid_t tid)
{
	/* The data is as long as `size` says. */
	memset(req, 0, offsetof(struct fuse_req, data));
	req->fs = fs;
	req->ctx = (struct fuse_ctx){ .uid = 7, .gid = 8, .pid = tid, .umask = 022 };
}

int request_end(struct fuse_req *req)
{
	workers_drain(req->fs->workers);
	FUZZ_CHECK(req->answers == 1);
	return req->rc;
}

void *fuse_req_userdata(fuse_req_t req)
{
	return req->fs;
}

const struct fuse_ctx *fuse_req_ctx(fuse_req_t req)
{
	return &req->ctx;
}

int fuse_req_getgroups(fuse_req_t req, int size, gid_t list[])
{
	(void)req;
	if (size > 0)
		list[0] = 9;
	return 1;
}

bool fuse_req_is_uring(fuse_req_t req)
{
	(void)req;
	return false;
}

int fuse_req_get_payload(fuse_req_t req, char **payload, size_t *payload_sz, void **mr)
{
	(void)req;
	(void)payload;
	(void)payload_sz;
	(void)mr;
	return -EINVAL;
}

static int answer(fuse_req_t req, int rc)
{
	req->answers++;
	req->rc = rc;
	return req->lost ? -ENOENT : 0;
}

int fuse_reply_err(fuse_req_t req, int err)
{
	FUZZ_CHECK(err >= 0);
	return answer(req, -err);
}

void fuse_reply_none(fuse_req_t req)
{
	(void)answer(req, 0);
}

int fuse_reply_entry(fuse_req_t req, const struct fuse_entry_param *e)
{
	req->entry = *e;
	return answer(req, 0);
}

int fuse_reply_create(fuse_req_t req, const struct fuse_entry_param *e,
                      const struct fuse_file_info *fi)
{
	req->entry = *e;
	req->opened = *fi;
	return answer(req, 0);
}

int fuse_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
	req->opened = *fi;
	return answer(req, 0);
}

int fuse_reply_attr(fuse_req_t req, const struct stat *attr, double attr_timeout)
{
	req->attr = *attr;
	req->timeout = attr_timeout;
	return answer(req, 0);
}

int fuse_reply_write(fuse_req_t req, size_t count)
{
	req->size = count;
	return answer(req, 0);
}

int fuse_reply_buf(fuse_req_t req, const char *buf, size_t size)
{
	FUZZ_CHECK(size <= sizeof(req->data));
	if (size > 0)
		memcpy(req->data, buf, size);
	req->size = size;
	return answer(req, 0);
}

int fuse_reply_statfs(fuse_req_t req, const struct statvfs *stbuf)
{
	(void)stbuf;
	return answer(req, 0);
}

/* ---- what the kernel is told ---- */

int fuse_lowlevel_notify_inval_inode(struct fuse_session *se, fuse_ino_t ino, off_t off, off_t len)
{
	(void)se;
	(void)ino;
	(void)off;
	(void)len;
	return 0;
}

int fuse_lowlevel_notify_increment_epoch(struct fuse_session *se)
{
	(void)se;
	return 0;
}

int fuse_passthrough_open(fuse_req_t req, int fd)
{
	(void)req;
	(void)fd;
	return 0;
}

int fuse_passthrough_close(fuse_req_t req, int backing_id)
{
	(void)req;
	(void)backing_id;
	return 0;
}

/* ---- listings: inode, next offset and name ---- */

/* As libfuse does, it only says how long the entry is where there is no buffer, and looks at neither
 * `stbuf` nor, below, `e`. */
size_t fuse_add_direntry(fuse_req_t req, char *buf, size_t bufsize, const char *name,
                         const struct stat *stbuf, off_t off)
{
	size_t length = strlen(name) + 1;
	uint64_t head[2];

	(void)req;
	FUZZ_CHECK(length <= 256);
	if (buf == NULL || sizeof(head) + length > bufsize)
		return sizeof(head) + length;
	FUZZ_CHECK(length > 1);
	head[0] = stbuf->st_ino;
	head[1] = (uint64_t)off;
	memcpy(buf, head, sizeof(head));
	memcpy(buf + sizeof(head), name, length);
	return sizeof(head) + length;
}

size_t fuse_add_direntry_plus(fuse_req_t req, char *buf, size_t bufsize, const char *name,
                              const struct fuse_entry_param *e, off_t off)
{
	return fuse_add_direntry(req, buf, bufsize, name, e != NULL ? &e->attr : NULL, off);
}

bool request_next_name(const struct fuse_req *req, size_t *at, struct request_name *name)
{
	if (*at >= req->size)
		return false;
	memcpy(&name->ino, req->data + *at, 8);
	memcpy(&name->next, req->data + *at + 8, 8);
	memcpy(name->name, req->data + *at + 16, strlen((const char *)req->data + *at + 16) + 1);
	*at += 16 + strlen(name->name) + 1;
	return true;
}
