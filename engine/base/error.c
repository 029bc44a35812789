#include "engine/base/error.h"

#include <stdarg.h>
#include <stdio.h>

void error_set(struct quiver_error *error, const char *format, ...)
{
	va_list args;

	if (!error)
		return;
	va_start(args, format);
	if (vsnprintf(error->text, sizeof(error->text), format, args) < 0)
		error->text[0] = '\0';
	va_end(args);
}
