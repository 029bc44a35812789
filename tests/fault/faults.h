/*
 * faults.h - one call in a run made to fail: a call of the I/O table, or an allocation.
 *
 * The table is that of trouble_io.h with every function counted, reads too. The engine gets it
 * through its options and, where it takes none (quiver_check), in the place of the real one:
 * the programs here are linked with --wrap for that and for the allocations.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "../unit/trouble_io.h"

/* Beside those of trouble_kind. */
enum fault_kind {
	FAULT_READ = 128,
	FAULT_OPEN = 256, /* of what is there already */
	FAULT_CLOSE = 512,
	FAULT_STAT = 1024,
	FAULT_LIST = 2048,
	FAULT_MAP = 4096,
	FAULT_LOCK = 8192,
	FAULT_SPACE = 16384,
	FAULT_STORE = 32768, /* in a map */
	FAULT_ALL = 65535,
};

/* In the place of an error: a read or write moves half of what it should. */
#define FAULT_SHORT 2
/* Or: a write is done wholly, and then fails with -EIO; other calls just fail. A store in a map
 * fails with -EIO whatever the error: after half of it, after all of it, or at once. */
#define FAULT_LATE 3

struct faults {
	struct trouble_io io; /* first */
	bool allocations; /* they are counted, not the calls of the table */
	bool maps; /* rows and log are stored through maps. Vectors are not: when they are depends
	              on the time, and test_write_window.c sees to it. */
	_Atomic long allocated; /* allocations while armed */
	_Atomic int first_kind; /* of the call that failed first, 0 = none yet; enum fault_kind */
	_Atomic int first_file; /* trouble_letter of its file, 0 where it has none */
	_Atomic long syncs_failed; /* syncs, and writes of the page that notes them */
	_Atomic long data_syncs_failed; /* fdatasync, which only commits and checkpoints call */
	_Atomic long open_files; /* through the table, not closed yet */
	_Atomic long live; /* allocations and maps not given back yet */
};

/* One for the process: the allocator has no argument to find it by. */
extern struct faults faults;

/* The table, as the engine takes it. */
const struct quiver_io *faults_table(void);

/* The `at`-th call from now on fails (0: none, only count), and where `how` says so every one
 * after it. `error` is negative, FAULT_SHORT or FAULT_LATE. */
void faults_arm(bool allocations, long at, enum trouble_how how, int error);
/* Nothing fails from now on; counts and the first fault stay as they are. */
void faults_disarm(void);
/* Calls, or allocations, counted since the last arming. */
long faults_calls(void);
/* Whether anything has failed since the last arming. */
bool faults_fired(void);
/* Syncs that have failed since the last arming, and writes of the page that notes them: each
 * may have left a commit on disk that was not acknowledged. */
long faults_syncs_failed(void);

#endif
