#include "engine/base/culprit.h"

#include <limits.h>
#include <stdio.h>

/* "lost+found/" and a name. */
#define NAME_BYTES (NAME_MAX + 32)
#define WHY_BYTES 256

struct culprit {
	int r; /* 0: none */
	char name[NAME_BYTES];
	char why[WHY_BYTES]; /* "" where quiver_strerror says all */
};

static _Thread_local struct culprit last;

void culprit_note(const char *name, int r, const char *why)
{
	last.r = r;
	(void)snprintf(last.name, sizeof(last.name), "%s", name);
	(void)snprintf(last.why, sizeof(last.why), "%s", why ? why : "");
}

void culprit_forget(void)
{
	last.r = 0;
}

const char *culprit_name(int r)
{
	return last.r != 0 && last.r == r ? last.name : NULL;
}

const char *culprit_why(int r)
{
	return culprit_name(r) && last.why[0] ? last.why : quiver_strerror(r);
}
