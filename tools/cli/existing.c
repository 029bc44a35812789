/*
 * existing.c - what import does with an ID that is there already.
 */
#include "tools/cli/existing.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for a decimal uint64 and a NUL. */
#define NAME_BYTES 24

struct existing_pair {
	uint64_t id;
	size_t row;
};

int existing_parse(const char *name, enum existing_mode *mode)
{
	static const char *const names[] = { "replace", "skip", "fail" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0) {
			*mode = (enum existing_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Learn which IDs there are. Says errors. */
static int learn(struct existing *existing)
{
	struct vectors_list list;
	int result = vectors_list(existing->session, &list);

	id_tally_start(&existing->known, UINT64_MAX);
	for (size_t i = 0; i < list.count && result >= 0; i++)
		result = id_tally_add(&existing->known, list.ids[i]);
	if (result == -ENOMEM)
		say_errno(existing->session->target.path, result);
	vectors_list_free(&list);
	return result < 0 ? result : 0;
}

int existing_open(struct session *session, const struct rows *rows, enum existing_mode mode,
                  size_t room, struct existing *existing)
{
	memset(existing, 0, sizeof(*existing));
	existing->session = session;
	existing->rows = rows;
	existing->mode = mode;
	existing->room = room;
	existing->folder_fd = -1;
	if (mode == EXISTING_REPLACE)
		return 0;
	existing->pairs = calloc(room, sizeof(*existing->pairs));
	existing->there = malloc(room);
	if (existing->pairs == NULL || existing->there == NULL) {
		say_errno(session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	if (session->target.elsewhere)
		return learn(existing);
	return vectors_open_folder(session, &existing->folder_fd);
}

void existing_close(struct existing *existing)
{
	if (existing->folder_fd >= 0)
		(void)close(existing->folder_fd); /* nothing was written through it */
	id_tally_end(&existing->known);
	free(existing->pairs);
	free(existing->there);
	existing->pairs = NULL;
	existing->there = NULL;
	existing->folder_fd = -1;
}

/* Whether the store has a vector. 1, 0, or a negative errno. */
static int has(struct existing *existing, uint64_t id)
{
	char name[NAME_BYTES];
	struct stat status;
	int result;

	if (existing->session->target.elsewhere) {
		result = id_tally_add(&existing->known, id);
		return result < 0 ? result : result == 0;
	}
	if (existing->session->target.live) {
		(void)snprintf(name, sizeof(name), "%" PRIu64, id);
		result = fstatat(existing->folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0
		                 ? -errno
		                 : 0;
	} else {
		result = quiver_stat(existing->session->store, id, 0, NULL, NULL);
	}
	if (result == -ENOENT)
		return 0;
	/* a damaged vector is there, too */
	return result == 0 || result == -EIO ? 1 : result;
}

static int compare_pairs(const void *left, const void *right)
{
	const struct existing_pair *a = left, *b = right;

	if (a->id != b->id)
		return a->id > b->id ? 1 : -1;
	return (a->row > b->row) - (a->row < b->row);
}

/* Mark rows whose ID an earlier row of the batch has. */
static void mark_repeated(struct existing *existing, const uint64_t *ids, size_t count)
{
	bool ascending = true;

	for (size_t i = 0; i < count; i++) {
		existing->pairs[i].id = ids[i];
		existing->pairs[i].row = i;
		existing->there[i] = 0;
		if (i > 0 && ids[i] <= ids[i - 1])
			ascending = false;
	}
	if (ascending)
		return;
	qsort(existing->pairs, count, sizeof(*existing->pairs), compare_pairs);
	for (size_t i = 1; i < count; i++) {
		if (existing->pairs[i].id == existing->pairs[i - 1].id)
			existing->there[existing->pairs[i].row] = 1;
	}
}

/* Move the rows that stay together. The number of them. */
static size_t close_gaps(const struct existing *existing, unsigned char *vectors, uint64_t *ids,
                         size_t count)
{
	size_t vector_bytes = existing->session->geometry.vector_bytes;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (existing->there[i])
			continue;
		if (kept < i) {
			ids[kept] = ids[i];
			memmove(vectors + kept * vector_bytes, vectors + i * vector_bytes,
			        vector_bytes);
		}
		kept++;
	}
	return kept;
}

/* Whether a row whose ID is there may be passed over: its key is not to come into the file, where it
 * would be that of whatever vector is there. */
static bool may_skip(const struct existing *existing, size_t row)
{
	return existing->mode == EXISTING_SKIP && !rows_adds_key(existing->rows, row);
}

int64_t existing_sift(struct existing *existing, unsigned char *vectors, uint64_t *ids,
                      size_t count)
{
	size_t kept;

	existing->looked = count;
	if (existing->mode == EXISTING_REPLACE)
		return (int64_t)count;
	mark_repeated(existing, ids, count);
	for (size_t i = 0; i < count; i++) {
		int result = existing->there[i] ? 1 : has(existing, ids[i]);

		if (result < 0) {
			say_error(existing->session->target.path,
			          "looking for vector %" PRIu64 " failed: %s", ids[i],
			          live_strerror(result));
			return result;
		}
		existing->there[i] = (unsigned char)result;
		if (result > 0 && !may_skip(existing, i)) {
			existing->looked = i;
			break;
		}
	}
	kept = close_gaps(existing, vectors, ids, existing->looked);
	existing->skipped += existing->looked - kept;
	return (int64_t)kept;
}
