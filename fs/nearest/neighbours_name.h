/*
 * neighbours_name.h - what a file of nearest/ is called for.
 */
#ifndef NEIGHBOURS_NAME_H
#define NEIGHBOURS_NAME_H

#include <stdbool.h>
#include <stdint.h>

/* What a name means. */
struct neighbours_name {
	uint64_t id; /* QUIVER_ID_NONE: what is written is asked about */
	uint32_t k;
	/* Where the kernel opens by itself, and keeps pages for all who open the file: what it tells is
	 * for those who may read all vectors; else for everybody. */
	bool of_all;
};

#endif
