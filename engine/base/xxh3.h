/*
 * xxh3.h - XXH3 as fast as this processor can: the library's functions that choose their vector
 * instructions at run time, where it has them. To be included instead of xxhash.h.
 */
#ifndef QUIVER_XXH3_H
#define QUIVER_XXH3_H

#ifdef QUIVER_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* XXH3_64bits is XXH3_64bits_dispatch then */
#else
#include <xxhash.h>
#endif

#endif
