/*
 * exchange.h - a file that is asked: what is written to it is a question, what is read the answer.
 *
 * Each open file is an exchange of its own. Writes append to the question, since the kernel cuts a long
 * write(2) into several; the first read ends it and is answered, and so are those that follow, until
 * all has been read, and then with nothing; the first write after a read begins a new question. Where
 * in the file that is does not matter. A read that finds no question reads nothing.
 *
 * An answer is made by a worker of a pool of its own, so that long questions keep nobody waiting but who
 * asks others. While one is being made, further reads wait for it, and a write is -EBUSY: the kernel
 * holds a lock of the file meanwhile, which is everybody's.
 *
 * What both take of memory is charged to who opened the file, for as long as he has it open, so that who
 * asks again and again does not have it cleared anew each time.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "fs/base/fs.h"
#include "fs/base/worker.h"
#include "fs/question/asker.h"

/* One question, as who answers it sees it. */
struct question {
	struct fs *fs;
	const struct asker *asker;
	const char *name; /* of the kind */
	uint32_t k; /* as the name has it; 0 */
	const char *bytes; /* aligned as malloc has it */
	size_t size; /* not 0 */
	char *answer; /* question_room */
	size_t answer_bytes; /* of those there are, how many it is: to be set */
	size_t room;
};

struct question_kind {
	const char *name; /* of the file, with its folder, for lines of control/errors */
	/* Who is to answer it. */
	enum worker_class (*worker)(const struct question *question);
	/* A longer question is refused as it is written, -EFBIG. */
	size_t (*bytes_max)(const struct fs *fs);
	/* Answer it. Waits. 0, or the errno of the read, which it has told of where there is something
	 * to be told; with -EINTR the question stays and is asked again by the next read. */
	int (*answer)(struct question *question);
};

struct exchange;

/* Of a file that was opened by `asker`, who becomes the exchange's. `kind` outlasts it. NULL: no memory. */
struct exchange *exchange_new(struct fs *fs, const struct question_kind *kind, uint32_t k,
                              const struct asker *asker);
/* No request uses it. NULL is allowed. */
void exchange_free(struct exchange *exchange);

/* Whether such a file can be opened with these flags: for reading and writing at once. -EINVAL: told. */
int exchange_check_open(struct fs *fs, const struct question_kind *kind, int flags);

/* Answer a READ and a WRITE. */
void exchange_read(fuse_req_t req, struct exchange *exchange, size_t size);
void exchange_write(fuse_req_t req, struct exchange *exchange, const char *bytes, size_t size);

/* For who answers. Room for `bytes` at question->answer, whose bytes are anything; and memory besides,
 * to be given back by question_free with the same `bytes`. -EDQUOT, -ENOSPC: told; -ENOMEM. */
int question_room(struct question *question, size_t bytes);
int question_alloc(const struct question *question, size_t bytes, void **memory);
void question_free(const struct question *question, size_t bytes, void *memory);

#endif
