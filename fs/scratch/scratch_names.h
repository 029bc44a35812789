/*
 * scratch_names.h - which names in vectors/ are scratch files.
 */
#ifndef SCRATCH_NAMES_H
#define SCRATCH_NAMES_H

#include <stdbool.h>

/* Whether the name is one for a scratch file: it begins with a dot, or is the temporary
 * name that a common tool gives to a vector or a view. Any thread. */
bool scratch_is_name(const char *name);

/* Whether the name does not tell what it is for (GNU sed, Python's tempfile), so that it
 * may be the temporary name of a view. */
bool scratch_is_anonymous(const char *name);

#endif
