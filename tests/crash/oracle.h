/*
 * oracle.h - what a store must hold, known without asking it: every state it went through,
 * one for each commit, and how far back a crash may throw it.
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
};

struct oracle_state {
	struct oracle_entry entries[ORACLE_IDS];
	struct quiver_attr dir;
	uint64_t digest; /* of the entries without their versions */
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
/* Give the state a vector of a new version, whose bytes go to `bytes`. */
void oracle_put(struct oracle *oracle, struct oracle_state *state, unsigned i,
                const struct quiver_attr *attr, unsigned mask, uint8_t *bytes);
/* A commit has led to this state; its digest is made here. */
void oracle_commit(struct oracle *oracle, struct oracle_state *state);
/* The folder's attributes in the newest state, as the store says. */
void oracle_set_dir(struct oracle *oracle, const struct quiver_attr *dir);
/* A crash has led back to state `k`, and the store rests on that now. */
void oracle_back_to(struct oracle *oracle, size_t k);
void oracle_merge_attr(struct quiver_attr *attr, const struct quiver_attr *from, unsigned mask);
bool oracle_same_attr(const struct quiver_attr *a, const struct quiver_attr *b);

/* What the store holds. 0, or a line in `why` (NULL-terminated, `room` bytes): an error of
 * reading, or an ID that nobody has put. */
int oracle_read(struct quiver *store, uint32_t vector_bytes, struct oracle_state *state, char *why,
                size_t room);
bool oracle_same_entry(const struct oracle_entry *a, const struct oracle_entry *b);
bool oracle_same(const struct oracle_state *a, const struct oracle_state *b);
/* The same; the folder's attributes do not count. */
bool oracle_same_vectors(const struct oracle_state *a, const struct oracle_state *b);
/* The latest state in [from, to] that the given one is; SIZE_MAX where it is none of them,
 * and then `why` tells in what it differs from the nearest. */
size_t oracle_find(const struct oracle *oracle, const struct oracle_state *state, size_t from,
                   size_t to, char *why, size_t room);

#endif
