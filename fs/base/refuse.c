/* refuse.c - telling why something was refused. */
#include "fs/base/refuse.h"

#include <stdarg.h>
#include <string.h>

#include "fs/base/errors.h"
#include "fs/base/printable.h"
#include "fs/base/reply.h"

int refuse(struct fs *fs, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	errors_addv(fs->errors, format, args);
	va_end(args);
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
