/*
 * culprit.h - which file it was, for messages.
 *
 * An errno goes up unchanged through callers that do not know of any file. So the function that
 * opens, makes, renames or removes files leaves the name of one that it could not, and why, for
 * whoever says the message: as errno itself, for each thread its last one.
 */
#ifndef QUIVER_CULPRIT_H
#define QUIVER_CULPRIT_H

#include "engine/quiver.h"

/* A call on the file failed with the negative errno `r`. `why` in words, or NULL where
 * quiver_strerror says all. Both are copied; what is too long is cut. */
void culprit_note(const char *name, int r, const char *why);
/* There is none any more. */
void culprit_forget(void);
/* The name of the file that has last failed with `r`, or NULL. Until the next note. */
const char *culprit_name(int r);
/* Why: what was noted, or what quiver_strerror says. Never NULL. */
const char *culprit_why(int r);

#endif
