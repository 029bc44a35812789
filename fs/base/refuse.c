/* refuse.c - telling why something was refused. */
#include "fs/base/refuse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/base/printable.h"
#include "fs/base/reply.h"

/* Longer ones are cut, as the store's are. */
#define LINE_BYTES 512u

int refuse(struct fs *fs, int err, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	quiver_report(fs->store, "%s", line);
	return err;
}

void refuse_show(const char *name, char shown[static REFUSE_NAME_BYTES])
{
	size_t length = strnlen(name, REFUSE_NAME_BYTES - 1);

	printable_copy(shown, name, length);
	/* A blank would look like the end of it. */
	for (size_t i = 0; i < length; i++)
		shown[i] = shown[i] == ' ' ? '?' : shown[i];
	shown[length] = '\0';
}

void refuse_name(fuse_req_t req, const char *name, const char *what, int err)
{
	char shown[REFUSE_NAME_BYTES];

	refuse_show(name, shown);
	reply_error(req, refuse(fs_of(req), err, "%s: %s", shown, what));
}
