/*
 * truth.h - what a kept store of format 1 has to serve (old_stores.py tells the form), compared
 * with the engine that has it open.
 */
#ifndef TRUTH_H
#define TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

struct truth_vector {
	uint64_t id;
	uint64_t hash; /* FNV-1a of its bytes */
	bool unreadable; /* bytes */
	bool damaged; /* not listed, and EIO for who asks */
	struct quiver_attr attr; /* not of what is damaged */
};

struct truth {
	bool refused; /* by whoever opens it; then nothing else is known */
	uint32_t dim;
	enum quiver_dtype dtype;
	struct quiver_attr dir;
	struct truth_vector *vectors;
	size_t count;
	bool has_damage; /* one that is unreadable or damaged */
	bool lacks_row; /* one that is damaged */
	bool repaired; /* set by the test: what is damaged is gone for good */
};

/* Ends the program where the file cannot be read. Given back with truth_free. */
void truth_load(struct truth *truth, const char *path);
void truth_free(struct truth *truth);
bool truth_has(const struct truth *truth, uint64_t id);

/* NULL where the open store serves just that, each ctime being the mtime, and the LSN of the last
 * change of attributes that of the vector; else what is wrong, valid until the next call.
 * `dir`: the folder's attributes, too. */
const char *truth_compare(const struct truth *truth, struct quiver *store, bool dir);

#endif
