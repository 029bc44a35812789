/* exchange.c - a file that is asked. */
#include "fs/question/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/charge.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"

/* Room for a question at first. */
#define ROOM_FIRST 4096u
/* What is larger is given back as soon as it is not needed any more. */
#define ROOM_KEPT (4u << 20)

/* A READ that an answer is made for, or that waits for one. */
struct reading {
	struct attempt attempt;
	struct exchange *exchange;
	size_t size;
	struct reading *next; /* exchange's lock */
};

struct exchange {
	const struct question_kind *kind; /* constant */
	struct asker asker; /* constant */
	pthread_mutex_t lock;
	bool running; /* lock; an answer is made: who does so alone looks at `question` */
	bool answered; /* lock; there is one, or an error; else a question is being written */
	int err; /* lock; what the answer failed with, to be told once */
	struct question question; /* lock */
	char *asked; /* lock; its bytes: malloc'd */
	size_t asked_room; /* lock */
	size_t position; /* lock; so much of the answer has been read */
	struct reading *waiting, **last; /* lock; oldest first */
};

struct exchange *exchange_new(struct fs *fs, const struct question_kind *kind, uint32_t k,
                              const struct asker *asker)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	(void)pthread_mutex_init(&x->lock, NULL); /* cannot fail with default attributes */
	pthread_mutex_lock(&x->lock); /* what follows is seen by whoever takes it next */
	x->kind = kind;
	x->asker = *asker;
	x->last = &x->waiting;
	x->question = (struct question){ .fs = fs, .asker = &x->asker, .name = kind->name, .k = k };
	pthread_mutex_unlock(&x->lock);
	return x;
}

void exchange_free(struct exchange *exchange)
{
	if (exchange == NULL)
		return;
	pthread_mutex_lock(&exchange->lock);
	charge_give(exchange->question.fs, CHARGE_QUESTION_BYTES, exchange->asker.uid,
	            exchange->asked_room + exchange->question.room);
	free(exchange->asked);
	free(exchange->question.answer);
	asker_free(&exchange->asker);
	pthread_mutex_unlock(&exchange->lock);
	pthread_mutex_destroy(&exchange->lock);
	free(exchange);
}

int exchange_check_open(struct fs *fs, const struct question_kind *kind, int flags)
{
	if ((flags & O_ACCMODE) == O_RDWR)
		return 0;
	return refuse(fs, -EINVAL,
	              "%s: opened for %s only; open it for both (in a shell: exec 3<>FILE), write "
	              "the question, then read the answer",
	              kind->name, (flags & O_ACCMODE) == O_RDONLY ? "reading" : "writing");
}

/* ---- memory ---- */

static int take(const struct question *question, size_t bytes)
{
	uid_t uid = question->asker->uid;
	int err = charge_take(question->fs, CHARGE_QUESTION_BYTES, uid, bytes);

	if (err == -EDQUOT || err == -ENOSPC)
		(void)charge_refuse(question->fs, question->name, CHARGE_QUESTION_BYTES, uid, bytes,
		                    err);
	return err;
}

static void give(const struct question *question, size_t bytes)
{
	charge_give(question->fs, CHARGE_QUESTION_BYTES, question->asker->uid, bytes);
}

int question_alloc(const struct question *question, size_t bytes, void **memory)
{
	int err = take(question, bytes);

	if (err != 0)
		return err;
	*memory = malloc(bytes > 0 ? bytes : 1);
	if (*memory == NULL) {
		give(question, bytes);
		return -ENOMEM;
	}
	return 0;
}

void question_free(const struct question *question, size_t bytes, void *memory)
{
	if (memory == NULL)
		return;
	give(question, bytes);
	free(memory);
}

int question_room(struct question *question, size_t bytes)
{
	void *memory;
	int err;

	if (bytes <= question->room)
		return 0;
	question_free(question, question->room, question->answer);
	question->answer = NULL;
	question->room = 0;
	err = question_alloc(question, bytes, &memory);
	if (err != 0)
		return err;
	question->answer = memory;
	question->room = bytes;
	return 0;
}

static void drop_question(struct exchange *x)
{
	x->question.size = 0;
	if (x->asked_room <= ROOM_KEPT)
		return;
	question_free(&x->question, x->asked_room, x->asked);
	x->asked = NULL;
	x->asked_room = 0;
}

static void drop_answer(struct question *question)
{
	if (question->room <= ROOM_KEPT)
		return;
	question_free(question, question->room, question->answer);
	question->answer = NULL;
	question->room = 0;
}

/* Room for `size` more bytes of the question. The lock is held. */
static int grow(struct exchange *x, size_t size)
{
	struct question *question = &x->question;
	size_t wanted = question->size + size, room = x->asked_room;
	size_t most = x->kind->bytes_max(question->fs);
	char *bytes;
	int err;

	if (wanted > most)
		return -EFBIG;
	if (wanted <= room)
		return 0;
	room = room > 0 ? room : ROOM_FIRST;
	while (room < wanted)
		room *= 2;
	room = room < most ? room : most;
	err = take(question, room - x->asked_room);
	if (err != 0)
		return err;
	bytes = realloc(x->asked, room);
	if (bytes == NULL) {
		give(question, room - x->asked_room);
		return -ENOMEM;
	}
	x->asked = bytes;
	x->asked_room = room;
	return 0;
}

/* ---- writing ---- */

/* Begin a question, or go on with it. What is not whole is none: a read is told so, too, if the writer
 * has not looked. The lock is held. -EBUSY, -EFBIG, -EDQUOT, -ENOSPC, -ENOMEM. */
static int append(struct exchange *x, const char *bytes, size_t size)
{
	int err;

	if (x->running)
		return -EBUSY;
	if (x->answered) {
		x->question.answer_bytes = 0;
		drop_answer(&x->question);
	}
	x->answered = false;
	x->err = 0;
	err = grow(x, size);
	if (err != 0) {
		drop_question(x);
		x->answered = true;
		x->position = 0;
		x->err = err;
		return err;
	}
	memcpy(x->asked + x->question.size, bytes, size);
	x->question.size += size;
	return 0;
}

void exchange_write(fuse_req_t req, struct exchange *exchange, const char *bytes, size_t size)
{
	int err;

	pthread_mutex_lock(&exchange->lock);
	err = append(exchange, bytes, size);
	pthread_mutex_unlock(&exchange->lock);
	if (err == -EFBIG)
		(void)refuse(fs_of(req), err, "%s: a question may have at most %zu bytes",
		             exchange->kind->name,
		             exchange->kind->bytes_max(exchange->question.fs));
	reply_written(req, err, size);
}

/* ---- reading ---- */

/* Answer with the next part, or with the error. The lock is held, and is let go before that: then the
 * exchange may be gone. */
static void reply_next(struct exchange *x, fuse_req_t req, size_t size)
{
	size_t left = x->answered ? x->question.answer_bytes - x->position : 0;
	size_t length = size < left ? size : left;
	struct reply reply;
	int err = x->err, made;

	x->err = 0;
	made = reply_begin(&reply, req, err == 0 ? length : 0);
	if (err == 0)
		err = made;
	if (err == 0 && length > 0) {
		memcpy(reply.data, x->question.answer + x->position, length);
		x->position += length;
		if (x->position == x->question.answer_bytes) {
			x->position = x->question.answer_bytes = 0;
			drop_answer(&x->question);
		}
	}
	pthread_mutex_unlock(&x->lock);
	reply_end(&reply, err, length);
}

static int run(struct attempt *attempt, bool may_wait);

/* Read, ask, or wait for who does. */
static void step(fuse_req_t req, struct exchange *x, size_t size)
{
	enum worker_class worker = WORKER_READ;
	struct reading *reading;
	bool asks;

	pthread_mutex_lock(&x->lock);
	if (!x->running && (x->answered || x->question.size == 0)) {
		reply_next(x, req, size);
		return;
	}
	reading = malloc(sizeof(*reading));
	if (reading == NULL) {
		pthread_mutex_unlock(&x->lock);
		reply_error(req, -ENOMEM);
		return;
	}
	*reading = (struct reading){
		.attempt = attempt_for(req, run),
		.exchange = x,
		.size = size,
	};
	asks = !x->running;
	x->running = true;
	if (asks) {
		x->question.bytes = x->asked;
		x->question.answer_bytes = 0;
		worker = x->kind->worker(&x->question);
	} else {
		*x->last = reading;
		x->last = &reading->next;
	}
	pthread_mutex_unlock(&x->lock);
	if (asks)
		attempt_defer_in_place(&reading->attempt, worker);
}

/* The answer is there, or none: `err`. Those that have waited for it. The lock is held. */
static struct reading *finish(struct exchange *x, int err)
{
	struct reading *waiting = x->waiting;

	x->waiting = NULL;
	x->last = &x->waiting;
	x->running = false;
	x->err = err;
	x->answered = err != -EINTR;
	x->position = 0;
	if (err != 0)
		x->question.answer_bytes = 0;
	if (x->answered)
		drop_question(x);
	return waiting;
}

static int run(struct attempt *attempt, bool may_wait)
{
	struct reading *reading = (struct reading *)attempt;
	struct exchange *x = reading->exchange;
	struct reading *next;
	int err;

	(void)may_wait; /* on workers only, whose lock has us see what others have written */
	err = x->kind->answer(&x->question);
	pthread_mutex_lock(&x->lock);
	next = finish(x, err);
	reply_next(x, attempt->req, reading->size);
	free(reading);
	while (next != NULL) {
		reading = next;
		next = reading->next;
		step(reading->attempt.req, x, reading->size);
		free(reading);
	}
	return 0;
}

void exchange_read(fuse_req_t req, struct exchange *exchange, size_t size)
{
	step(req, exchange, size);
}
