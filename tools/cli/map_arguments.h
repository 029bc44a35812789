/*
 * map_arguments.h - the arguments of quiverfs map.
 */
#ifndef MAP_ARGUMENTS_H
#define MAP_ARGUMENTS_H

#include "tools/cli/map_other.h"
#include "tools/cli/map_table.h"
#include "tools/cli/reach.h"

#include <stdbool.h>
#include <stdint.h>

enum map_format { MAP_HTML, MAP_SVG, MAP_CSV, MAP_FORMAT_NONE };

struct map_arguments {
	char *target;
	struct reach reach;
	const char *output;
	enum map_format format;
	enum map_method method;
	int metric; /* or QUIVER_METRIC_OF_STORE */
	uint64_t most; /* points that are drawn */
	struct map_table colours; /* path NULL: by clusters */
	uint64_t clusters; /* 0: one colour */
	const char *keys; /* labels; NULL: none */
	uint64_t start_id;
	uint64_t neighbours; /* of each point */
	uint64_t neighbours_of; /* so many points; 0: as many as take no long time */
};

/* Read them. A negative errno. */
int map_arguments_parse(int argc, char **argv, struct map_arguments *parsed);

#endif
