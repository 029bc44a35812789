/*
 * map_points.h - what a map shows: vectors as points in two dimensions, with what is told of each.
 */
#ifndef MAP_POINTS_H
#define MAP_POINTS_H

#include "engine/quiver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Directions that clusters, UMAP and t-SNE see. */
#define MAP_DIRECTIONS 50u
/* Groups that have a colour and a shape of their own; what else there is goes to one more. */
#define MAP_GROUPS_MAX 24u
/* Of a point that has no group, no place among those that are drawn. */
#define MAP_NONE UINT32_MAX

enum map_colours {
	MAP_PLAIN, /* all in one colour */
	MAP_GROUPED,
	MAP_SCALED, /* by a number */
};

/* What is drawn. Arrays have `count` of what they hold, unless said otherwise. */
struct map_points {
	uint64_t in_store; /* vectors that there are */
	uint64_t used; /* of them, that have a place */
	uint64_t not_finite, without_direction; /* that have none: see map_read.h */
	enum quiver_metric metric;
	size_t count; /* that are drawn */
	uint64_t *ids; /* ascending */
	double *places; /* x and y of each */
	float *reduced; /* directions of each, the widest first */
	size_t directions;
	double shares[2]; /* how much of the variance x and y have, 0 ... 1 */
	bool is_pca; /* x and y are directions */

	enum map_colours colours;
	char *colour_title; /* what the colours tell; NULL: nothing */
	uint32_t *groups; /* grouped: of each the group, or MAP_NONE */
	char *names[MAP_GROUPS_MAX + 1];
	size_t name_count;
	double *numbers; /* scaled: of each, or NaN */
	double least, most; /* of them */

	char **labels; /* of each, NULL for none; NULL: there are none */

	uint32_t k; /* neighbours of each that was asked about; 0: none were */
	size_t asked_count;
	uint32_t *asked; /* asked_count points, ascending */
	uint32_t *found; /* of each asked: how many, up to k */
	uint32_t *near; /* asked_count * k: points, or count + one of others */
	float *distances; /* the same */
	uint64_t *others; /* ascending: IDs of vectors that are near and not drawn */
	size_t other_count;
	char **other_labels; /* as labels */
};

/* Give all of it back; also of zeros. */
void map_points_free(struct map_points *points);

/* The point with this ID, or MAP_NONE. */
uint32_t map_points_find(const uint64_t *ids, size_t count, uint64_t id);

#endif
