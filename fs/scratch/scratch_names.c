/*
 * scratch_names.c - which names in vectors/ are scratch files.
 *
 * Tools write under a temporary name and rename it. What does not begin with a dot is
 * taken for such a name only where it is exactly what a tool makes: a mistyped ID has
 * to be refused.
 */
#include "fs/scratch/scratch_names.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "fs/base/tree.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* START, `least` to `most` of the characters, END. */
struct pattern {
	const char *start;
	const char *of;
	size_t least, most;
	const char *end;
};

/* Names that say nothing of what they will be. */
static const struct pattern anonymous[] = {
	{ "sed", DIGITS LOWER UPPER, 6, 6, "" }, /* GNU sed -i: mkostemp */
	{ "tmp", DIGITS LOWER "_", 8, 8, "" }, /* Python's tempfile */
};

/* What stands behind the name of a vector or of a view. */
static const struct pattern behind[] = {
	{ ".", DIGITS "abcdefABCDEF", 8, 8, "" }, /* aws, boto3: s3transfer */
	{ ".", DIGITS LOWER, 8, 8, ".partial" }, /* rclone, from 1.63 on */
	{ "_.gstmp", "", 0, 0, "" }, /* gsutil, gcloud storage */
	/* node's write-file-atomic: a number of 32 bits. Of fewer digits it has one in 4,000. */
	{ ".", DIGITS, 6, 10, "" },
	{ ".filepart", "", 0, 0, "" }, /* WinSCP */
	{ ".part", "", 0, 0, "" }, /* wget2, Nextcloud, yt-dlp, Firefox */
	{ ".ocTransferId", DIGITS, 1, 10, ".part" }, /* Nextcloud's server */
	{ ".crdownload", "", 0, 0, "" }, /* Chromium */
};

static bool fits(const struct pattern *pattern, const char *name)
{
	size_t start = strlen(pattern->start), count;

	if (strncmp(name, pattern->start, start) != 0)
		return false;
	count = strspn(name + start, pattern->of);
	return count >= pattern->least && count <= pattern->most &&
	       strcmp(name + start + count, pattern->end) == 0;
}

static bool fits_any(const struct pattern *patterns, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (fits(&patterns[i], name))
			return true;
	return false;
}

/* The length of the ID, or of the name of a view, that the name begins with; 0: of none. */
static size_t begins_with(const char *name, bool view)
{
	char start[TREE_VIEW_NAME_BYTES];
	size_t length = strspn(name, DIGITS);
	enum tree_form form;
	uint64_t id;

	if (view && name[length] == '.')
		length += 1 + strspn(name + length + 1, LOWER);
	if (length == 0 || length >= sizeof(start))
		return 0;
	memcpy(start, name, length);
	start[length] = '\0';
	if (view ? tree_parse_view(start, &id, &form) : tree_parse_id(start, &id))
		return length;
	return 0;
}

bool scratch_is_anonymous(const char *name)
{
	return fits_any(anonymous, sizeof(anonymous) / sizeof(anonymous[0]), name);
}

bool scratch_is_name(const char *name)
{
	if (name[0] == '.' || scratch_is_anonymous(name))
		return true;
	for (int view = 0; view <= 1; view++) {
		size_t length = begins_with(name, view == 1);

		if (length > 0 &&
		    fits_any(behind, sizeof(behind) / sizeof(behind[0]), name + length))
			return true;
	}
	return false;
}
