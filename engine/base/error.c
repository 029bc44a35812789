#include "engine/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "engine/codec/printable.h"

/* What the process is given no more of looks like what the machine has no more of. */
static bool is_limited(__rlimit_resource_t resource)
{
	struct rlimit limit;

	return getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

const char *quiver_strerror(int error)
{
	if (error == -ENOSPC && is_limited(RLIMIT_FSIZE))
		return "no space left on the disk, or a file has reached the limit of its size "
		       "(ulimit -f, LimitFSIZE=)";
	if (error == -ENOMEM && (is_limited(RLIMIT_DATA) || is_limited(RLIMIT_AS)))
		return "no memory left, or this process has reached its limit (ulimit -d and -v, "
		       "LimitDATA=, LimitAS=)";
	if (error == -EMFILE)
		return "this process has reached its limit of open files (ulimit -n, LimitNOFILE=)";
	if (error == -EAGAIN)
		return "this process or its user has reached a limit, so no more threads can start "
		       "(ulimit -u, -d and -v, LimitNPROC=, TasksMax=, LimitDATA=, LimitAS=)";
	return strerror(-error);
}

void error_set(struct quiver_error *error, const char *format, ...)
{
	va_list args;

	if (!error)
		return;
	va_start(args, format);
	if (vsnprintf(error->text, sizeof(error->text), format, args) < 0)
		error->text[0] = '\0';
	va_end(args);
	printable_clean(error->text);
}
