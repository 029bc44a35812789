/*
 * run.h - one seed: a store that lives, crashes and lives on several times, on a simulated
 * disk, next to the oracle that knows what it must hold.
 */
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chance.h"
#include "oracle.h"
#include "simdisk.h"
#include "snapshots.h"

#define RUN_PATH_BYTES 256
#define RUN_CRASHES_MAX 6 /* in one call of the store; further ones are left out, */
#define RUN_CRASHES_ROOM (RUN_CRASHES_MAX + SIM_KEEP_COUNT + 1) /* but not those asked for */
#define RUN_PINS_MAX 3
#define RUN_VIEWS_MAX 2
#define RUN_PHANTOMS_MAX 8
#define RUN_NEVER UINT64_MAX

/* One crash: what it left is in `image`, to be looked at once the call that it interrupted has
 * returned, since only then is known what that call would have made of the store. */
struct run_crash {
	uint64_t event;
	enum sim_keep keep;
	char image[RUN_PATH_BYTES];
	bool created; /* quiver_create had returned */
	bool ends_life;
	size_t from; /* states allowed */
	size_t to;
	struct snapshots_known snapshots; /* then */
};

struct run_pin {
	bool held;
	struct quiver_ref ref;
	uint64_t hash;
};

/* A snapshot that is kept open. */
struct run_view {
	struct quiver *store; /* NULL: none */
	size_t n; /* whose name it had */
	bool alone; /* as another process would have it */
	struct oracle_state state;
};

struct run {
	/* what is asked for */
	uint64_t seed;
	uint64_t crash_at; /* RUN_NEVER: wherever chance says */
	bool talks; /* tell every step */
	bool faults; /* syncs fail, too, and commits come in groups */
	const char *folder; /* private */
	uint64_t *progress; /* where to note the event, for who watches */

	struct chance chance; /* of the workload */
	struct chance crash_chance;
	struct chance clock_chance;
	struct chance nearest_chance; /* of the index and of questions */
	struct quiver_geometry geometry;
	struct oracle oracle;
	char root[RUN_PATH_BYTES]; /* of the store that runs */
	unsigned roots; /* names used up */
	struct simdisk *disk;
	struct quiver *store; /* NULL while opening */
	enum quiver_durability mode;
	bool created;
	struct run_pin pins[RUN_PINS_MAX];
	bool column_held;
	struct snapshots_known snapshots;
	bool had_snapshots; /* ever */
	struct run_view views[RUN_VIEWS_MAX];

	uint64_t event; /* so far, over all lives */
	uint64_t next_crash;
	unsigned crash_gap; /* mean */
	uint64_t life_end; /* the first event from which on a crash ends the life */
	struct run_crash crashes[RUN_CRASHES_ROOM];
	size_t crash_count; /* not looked at yet */
	unsigned planned; /* of them, also those left out */
	bool dead; /* a crash has ended the life: the store goes on from `next_root`, */
	char next_root[RUN_PATH_BYTES];
	struct oracle_state next_state; /* which holds this */
	size_t next_k; /* state with that number, SIZE_MAX where it is the phantom */
	struct snapshots_known next_snapshots;
	uint64_t crashes_done;

	/* What commits that have failed would have made of the store. One whose log write was made
	 * to fail may be kept by a crash before it returns; one whose sync failed, until the store
	 * is opened again. The folder's mtime is not known. */
	struct oracle_state phantoms[RUN_PHANTOMS_MAX];
	size_t phantom_count;
	bool logged_anyway; /* by this step, in mode none: durable before its checkpoint may fail */
	bool failed; /* by a sync: read-only until it is opened again */
	uint64_t syncs_failed;
	uint64_t compared; /* crashes that were recovered in both ways, */
	uint64_t took_index; /* and by how many there was an index */
};

/* Tell what is wrong and how to see it again, and end the process with 1. */
void run_fail(const struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
void run_say(const struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- run.c ---- */
/* All lives of run->seed. Fails by run_fail. */
void run_all(struct run *run);
/* To be called when a call of the store has returned and the oracle knows of it: looks at the
 * crashes that happened meanwhile. */
void run_settle(struct run *run);
/* Let one of the next syncs fail. */
void run_fail_sync(struct run *run);
/* Remove a folder with all there is in it. */
void run_remove(const char *path);

/* ---- workload.c ---- */
/* One call of the store, or none, chosen by chance. */
void workload_step(struct run *run);
/* Give everything back that a step has kept. */
void workload_let_go(struct run *run);
/* The store and the oracle have to agree. */
void workload_compare(struct run *run, const char *when);

/* ---- workload_nearest.c ---- */
/* Something with an index of nearest neighbours, or a question, or nothing, by chance. */
void workload_nearest(struct run *run);

/* ---- workload_faults.c ---- */
/* A group of commits with one sync for all. */
void step_group(struct run *run);
/* Whether the sync that has failed was of something new that is thrown away then. */
bool faults_harmless(const struct run *run);
/* Whether it is of the index that checkpoints keep, or of the notes for it: all goes on without. */
bool faults_of_index(const struct run *run);
/* After a call that a failing sync has made fail: does the store behave? Sets run->failed. */
void faults_look(struct run *run);

/* ---- workload_snapshots.c ---- */
void step_snapshot_make(struct run *run);
void step_snapshot_remove(struct run *run);
void step_snapshot_read(struct run *run);
void step_snapshot_hold(struct run *run);
/* Those of the store have to agree with what is known. */
void snapshots_must_fit(struct run *run, const char *when);
/* Close those that are kept open. */
void snapshots_let_go(struct run *run);

/* ---- verify.c ---- */
/* Recover what the crash has left, on the real disk, and use it. Returns the number of the
 * state that the store went back to, SIZE_MAX for the phantom; *state is what it held, and
 * crash->snapshots then are those that it had. */
size_t verify_crash(struct run *run, struct run_crash *crash, struct oracle_state *state);

#endif
