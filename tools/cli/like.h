/*
 * like.h - a store that is to be like another, or as a file of vectors needs it.
 */
#ifndef LIKE_H
#define LIKE_H

#include "engine/quiver.h"
#include "tools/cli/reach.h"
#include "tools/cli/row_fit.h"

/*
 * Look at `like`, a store, a mount or a file of vectors, for what `fit` lacks of the geometry of the store
 * `store`. Of a store its metric, too, to *metric; of a file that stays as it is. `reach` is for a
 * collection in a cluster. 0, or a negative errno after having said what is wrong.
 */
int like_take(const char *like, const char *store, const struct reach *reach, struct row_fit *fit,
              enum quiver_metric *metric);

#endif
