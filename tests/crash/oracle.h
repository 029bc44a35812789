/*
 * oracle.h - what a store must hold, known without asking it: every state it went through,
 * one for each commit, and how far back a crash may throw it. Times of change too: the clock is
 * the test's (clock.h). Only LSNs are the store's to choose.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

#define ORACLE_IDS 72
#define ORACLE_VECTOR_BYTES_MAX 4096u

struct oracle_entry {
	bool present;
	uint64_t version; /* what the bytes follow from; 0 where read from a store */
	uint64_t hash; /* of the N bytes */
	struct quiver_attr attr;
	uint64_t attr_lsn; /* of the last change of the attributes; 0 where it is not known */
};

struct oracle_state {
	struct oracle_entry entries[ORACLE_IDS];
	struct quiver_attr dir;
	uint64_t digest; /* of the entries without their versions and LSNs */
};

struct oracle {
	uint32_t vector_bytes;
	struct oracle_state *states; /* states[k]: after k commits */
	size_t count; /* of states; the last is what the running store holds */
	size_t room;
	size_t durable; /* a power cut may not go back behind this state */
	size_t logged; /* the end of the process may not go back behind this one */
	uint64_t next_version;
	uint64_t lsn_max; /* ever handed out */
};

/* The ID with number `i`, 0 ... ORACLE_IDS - 1. */
uint64_t oracle_id(unsigned i);
/* The N bytes of a version of ID number `i`. */
void oracle_fill(const struct oracle *oracle, unsigned i, uint64_t version, uint8_t *to);

void oracle_init(struct oracle *oracle, uint32_t vector_bytes);
void oracle_free(struct oracle *oracle);
/* The state now. */
const struct oracle_state *oracle_now(const struct oracle *oracle);
/* What calls of the store make of a state, at the time of the clock: a vector of a new version,
 * whose bytes go to `bytes`; of what is there, its end, another ID, other attributes; and those of
 * the folder. LSNs are then not known. */
void oracle_put(struct oracle *oracle, struct oracle_state *state, unsigned i,
                const struct quiver_attr *attr, unsigned mask, uint8_t *bytes);
void oracle_remove(struct oracle_state *state, unsigned i);
void oracle_rename(struct oracle_state *state, unsigned from, unsigned to);
void oracle_attr(struct oracle_state *state, unsigned i, const struct quiver_attr *attr,
                 unsigned mask);
void oracle_dir_attr(struct oracle_state *state, const struct quiver_attr *attr, unsigned mask);
/* A commit has led to this state; its digest is made here. */
void oracle_commit(struct oracle *oracle, struct oracle_state *state);
/* Learn the LSNs of what the last commit, which had those above `after` and up to `last`, has
 * changed in `state`. 0, or a line in `why` where the store has others. */
int oracle_learn(struct quiver *store, const struct oracle_state *before,
                 struct oracle_state *state, uint64_t after, uint64_t last, char *why, size_t room);
/* The folder's attributes in the newest state, as the store says. */
void oracle_set_dir(struct oracle *oracle, const struct quiver_attr *dir);
/* A crash has led back to state `k`, and the store rests on that now. */
void oracle_back_to(struct oracle *oracle, size_t k);
bool oracle_same_attr(const struct quiver_attr *a, const struct quiver_attr *b);

/* What the store holds. 0, or a line in `why` (NULL-terminated, `room` bytes): an error of
 * reading, an ID that nobody has put, or a ctime above that which no row has. */
int oracle_read(struct quiver *store, uint32_t vector_bytes, struct oracle_state *state, char *why,
                size_t room);
/* The same of a snapshot that is open as a store of its own: its LSNs are not known then. */
int oracle_read_frozen(struct quiver *snapshot, uint32_t vector_bytes, struct oracle_state *state,
                       char *why, size_t room);
/* In what a state differs from the one that it should be. */
void oracle_tell(const struct oracle *oracle, const struct oracle_state *state,
                 const struct oracle_state *want, char *why, size_t room);
bool oracle_same_entry(const struct oracle_entry *a, const struct oracle_entry *b);
bool oracle_same(const struct oracle_state *a, const struct oracle_state *b);
/* The same; the folder's attributes do not count. */
bool oracle_same_vectors(const struct oracle_state *a, const struct oracle_state *b);
/* The latest state in [from, to] that the given one is; SIZE_MAX where it is none of them,
 * and then `why` tells in what it differs from the nearest. */
size_t oracle_find(const struct oracle *oracle, const struct oracle_state *state, size_t from,
                   size_t to, char *why, size_t room);

#endif
