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
#define SCRIPT_SNAPSHOTS 3

/* Stores to begin with. */
enum script_image {
	IMAGE_NONE,
	IMAGE_EMPTY, /* as created */
	IMAGE_CLEAN,
	IMAGE_CRASHED, /* killed with every kind of record in its log */
	IMAGE_DAMAGED, /* closed cleanly, then a bit of a vector flipped */
	IMAGE_KEPT, /* closed cleanly, with two snapshots of what has changed since */
	IMAGE_KEPT_CRASHED, /* killed, with two, and a log that changes what they have */
	IMAGES,
};

/* Of those that were closed. */
#define IMAGES_METRIC QUIVER_IP

/* A snapshot, by its number. */
struct snapshot_world {
	enum {
		SNAPSHOT_NONE,
		SNAPSHOT_THERE,
		SNAPSHOT_MAYBE, /* its making or its removal has failed: it is known when the store
		                   is opened again */
	} kind;
	struct world world;
};

struct images {
	struct image stores[IMAGES];
	struct world worlds[IMAGES];
	struct snapshot_world snapshots[IMAGES][SCRIPT_SNAPSHOTS];
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
	struct snapshot_world snapshots[SCRIPT_SNAPSHOTS];
	struct quiver *view; /* a snapshot that is kept open, or NULL */
	unsigned view_number;
	struct world view_world;
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

/* Likewise of snapshots; in snapshot_steps.c. `alone`: as another process opens it. */
void step_snapshot(struct run *run, unsigned n);
void step_snapshot_remove(struct run *run, unsigned n);
void step_snapshot_read(struct run *run, unsigned n, bool alone);
/* Keep one open, whatever happens to it. */
void step_view_open(struct run *run, unsigned n);
void step_view_close(struct run *run);
/* With nothing failing any more. */
void run_verify_snapshots(struct run *run, struct quiver *store);
void run_remove_snapshots(struct run *run, struct quiver *store);

/* The first thing that went wrong. */
void run_wrong(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What the call `what` returned, `want` being what a sound machine gives. */
void run_judge(struct run *run, const char *what, int r, int want);
/* The same of a call that changes the store, which had failed before it or not. */
void run_judge_change(struct run *run, const char *what, int r, int want, bool failed_before);
/* Everything up to now is on stable storage. */
void run_kept(struct run *run);
/* After the script, with nothing failing any more. In verify.c. */
void run_verify(struct run *run, const struct script *script);

/* The stores to begin with, made by a healthy engine. */
void images_make(struct images *images);
void images_free(struct images *images);

#endif
