/*
 * words.c - the words of dtypes, metrics and durability modes, as users write them.
 */
#include <errno.h>
#include <string.h>

#include "engine/quiver.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *name;
	uint32_t bytes;
} dtypes[] = {
	[QUIVER_F4] = { "f4", 4 }, [QUIVER_F2] = { "f2", 2 }, [QUIVER_F8] = { "f8", 8 },
	[QUIVER_I1] = { "i1", 1 }, [QUIVER_U1] = { "u1", 1 }, [QUIVER_BF2] = { "bf2", 2 },
	[QUIVER_B1] = { "b1", 0 },
};

static const char *const modes[] = {
	[QUIVER_FSYNC] = "fsync",
	[QUIVER_ALWAYS] = "always",
	[QUIVER_FLUSH] = "flush",
	[QUIVER_NONE] = "none",
};

static const char *const metrics[] = {
	[QUIVER_L2] = "l2",
	[QUIVER_COSINE] = "cosine",
	[QUIVER_IP] = "ip",
	[QUIVER_HAMMING] = "hamming",
};

const char *quiver_dtype_name(enum quiver_dtype dtype)
{
	return (size_t)dtype < LENGTH(dtypes) ? dtypes[dtype].name : "?";
}

uint32_t quiver_dtype_bytes(enum quiver_dtype dtype)
{
	return (size_t)dtype < LENGTH(dtypes) ? dtypes[dtype].bytes : 0;
}

uint32_t quiver_vector_bytes(uint32_t dim, enum quiver_dtype dtype)
{
	if (dim < 1 || dim > QUIVER_DIM_MAX)
		return 0;
	if (dtype == QUIVER_B1)
		return dim % 8 == 0 ? dim / 8 : 0;
	return dim * quiver_dtype_bytes(dtype);
}

int quiver_dtype_parse(const char *name, enum quiver_dtype *dtype)
{
	for (size_t i = 0; i < LENGTH(dtypes); i++) {
		if (strcmp(name, dtypes[i].name) == 0) {
			*dtype = (enum quiver_dtype)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *quiver_metric_name(enum quiver_metric metric)
{
	return (size_t)metric < LENGTH(metrics) ? metrics[metric] : "?";
}

int quiver_metric_parse(const char *name, enum quiver_metric *metric)
{
	for (size_t i = 0; i < LENGTH(metrics); i++) {
		if (strcmp(name, metrics[i]) == 0) {
			*metric = (enum quiver_metric)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *quiver_durability_name(enum quiver_durability mode)
{
	return (size_t)mode < LENGTH(modes) ? modes[mode] : "?";
}

int quiver_durability_parse(const char *name, enum quiver_durability *mode)
{
	for (size_t i = 0; i < LENGTH(modes); i++) {
		if (strcmp(name, modes[i]) == 0) {
			*mode = (enum quiver_durability)i;
			return 0;
		}
	}
	return -EINVAL;
}
