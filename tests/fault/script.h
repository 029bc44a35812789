/*
 * script.h - fixed pieces of a store's life, each call of which can meet a fault, and what must
 * hold afterwards.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "folder.h"
#include "runner.h"
#include "world.h"

#define SCRIPT_PAST_MAX 32

/* Stores to begin with. */
enum script_image {
	IMAGE_NONE,
	IMAGE_EMPTY, /* as created */
	IMAGE_CLEAN,
	IMAGE_CRASHED, /* killed with every kind of record in its log */
	IMAGE_DAMAGED, /* closed cleanly, then a bit of a vector flipped */
	IMAGES,
};

/* Of those that were closed. */
#define IMAGES_METRIC QUIVER_IP

struct images {
	struct image stores[IMAGES];
	struct world worlds[IMAGES];
};

/* One script on its way. */
struct run {
	char path[FOLDER_PATH_BYTES + 24];
	struct quiver *store; /* NULL while closed */
	struct world now; /* acknowledged */
	/* Other states that a reopening may find: a commit whose sync failed; in mode none every
	 * state since the last checkpoint. */
	struct world past[SCRIPT_PAST_MAX];
	size_t past_count;
	enum quiver_durability mode; /* in force */
	bool allocations; /* what can fail, and for how long */
	bool once;
	bool dies; /* killed where the first call fails, in the place of going on and closing */
	int error;
	bool loses; /* a repair removes the damaged vector: it may be gone */
	bool stopped; /* a call has ended the script early */
	char *why; /* RUNNER_WHY_BYTES; empty while all is well */
};

struct script {
	const char *name;
	enum script_image image;
	void (*play)(struct run *run);
};

extern const struct script scripts[];
extern const size_t script_count;

/* The calls of the engine, each held against the world: the result must be the one that a sound
 * machine gives, or tell of the fault. In steps.c. */
void step_create(struct run *run);
void step_open(struct run *run, bool read_only);
void step_close(struct run *run);
void step_put(struct run *run, uint32_t id, uint32_t version, unsigned flags);
void step_batch(struct run *run, uint32_t first, uint32_t count, uint32_t version, unsigned flags);
void step_rename(struct run *run, uint32_t from, uint32_t to);
void step_remove(struct run *run, uint32_t id);
void step_set_attr(struct run *run, uint32_t id, uint32_t version);
void step_set_dir(struct run *run, uint32_t version);
void step_label(struct run *run, uint32_t version);
void step_flush(struct run *run);
void step_checkpoint(struct run *run);
void step_mode(struct run *run, enum quiver_durability mode);
void step_reserve(struct run *run, uint64_t count);
void step_job(struct run *run, enum quiver_job kind);
void step_look(struct run *run);
void step_check(struct run *run, bool repair);

/* The first thing that went wrong. */
void run_wrong(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What the call `what` returned, `want` being what a sound machine gives. */
void run_judge(struct run *run, const char *what, int r, int want);
/* After the script, with nothing failing any more. In verify.c. */
void run_verify(struct run *run, const struct script *script);

/* The stores to begin with, made by a healthy engine. */
void images_make(struct images *images);
void images_free(struct images *images);

#endif
