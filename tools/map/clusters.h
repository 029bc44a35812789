/*
 * clusters.h - points in groups that lie together: k-means (S. Lloyd, "Least Squares Quantization in
 * PCM", IEEE Transactions on Information Theory 1982), begun as by D. Arthur and S. Vassilvitskii,
 * "k-means++", SODA 2007. The same in every run. One thread.
 */
#ifndef MAP_CLUSTERS_H
#define MAP_CLUSTERS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Put each of `count` points, of `dim` floats, into one of *groups, which becomes fewer where there are
 * not so many different points: to which[]. The largest group is 0, and so on. `centres`, room for
 * *groups points, gets their centres. 0 or -ENOMEM.
 */
int clusters_find(const float *points, size_t count, size_t dim, size_t *groups, uint32_t *which,
                  float *centres);

/* The square of how far two points are from each other. */
float clusters_distance(const float *one, const float *other, size_t dim);

#endif
