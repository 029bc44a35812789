/*
 * map_other.h - places of points by UMAP or t-SNE, which a library of Python computes.
 */
#ifndef MAP_OTHER_H
#define MAP_OTHER_H

#include "tools/cli/map_points.h"

enum map_method { MAP_PCA, MAP_UMAP, MAP_TSNE };

/* Fewer points are placed by PCA. */
#define MAP_OTHER_LEAST 5u

/* Give the points other places, from points->reduced. Says errors, and what to install where the library is
 * not there: -ENOTSUP. */
int map_other(enum map_method method, struct map_points *points);

#endif
