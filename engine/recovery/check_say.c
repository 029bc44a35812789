#include "engine/recovery/check_say.h"

#include <stdarg.h>
#include <stdio.h>

void check_say(struct check *check, const char *format, ...)
{
	char line[sizeof(((struct quiver_error *)NULL)->text)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (check->say)
		check->say(check->arg, line);
}
