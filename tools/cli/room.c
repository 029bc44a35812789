/*
 * room.c - whether a disk can hold what is to be written.
 */
#include "tools/cli/room.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "tools/cli/facts.h"
#include "tools/cli/figures.h"
#include "tools/cli/say.h"

/* What a row has in ids.npy and meta.npy: engine/FORMAT.md. */
#define ROW_BYTES 64u

/* Bytes that are free under a folder or file, for root too; UINT64_MAX where it cannot be told. */
static uint64_t free_bytes(int result, const struct statvfs *status)
{
	if (result < 0 || status->f_blocks == 0)
		return UINT64_MAX;
	return (uint64_t)status->f_bfree * status->f_frsize;
}

/* Of the disk under the store. The mount tells that of its store's. */
static uint64_t store_free_bytes(struct session *session)
{
	struct statvfs status;
	int result = session->target.live ? fstatvfs(session->mount_fd, &status)
	                                  : statvfs(session->target.path, &status);

	return free_bytes(result, &status);
}

int room_for_vectors(struct session *session, uint64_t vectors)
{
	char count[FIGURE_BYTES], needed[FIGURE_BYTES], left[FIGURE_BYTES];
	uint64_t bytes, room = store_free_bytes(session);
	struct facts facts;
	uint64_t slots;
	int result;

	/* Only the cluster knows how much of this replaces what is there. */
	if (session->is_shared)
		return 0;
	result = facts_get(session, &facts);
	if (result < 0)
		return result;
	slots = facts_number(&facts, "slots");
	facts_free(&facts);
	if (vectors <= slots)
		return 0;
	if (__builtin_mul_overflow(vectors - slots, session->geometry.vector_bytes + ROW_BYTES,
	                           &bytes))
		bytes = UINT64_MAX;
	if (bytes <= room)
		return 0;
	say_error(session->target.path,
	          "%s vectors take %s more than the store has, and its disk has %s free; nothing "
	          "was written",
	          figure_count(vectors, count), figure_bytes(bytes, needed),
	          figure_bytes(room, left));
	return -ENOSPC;
}

void room_note_file(const char *path, int folder_fd, uint64_t bytes)
{
	char needed[FIGURE_BYTES], left[FIGURE_BYTES];
	struct statvfs status;
	uint64_t room = free_bytes(fstatvfs(folder_fd, &status), &status);

	if (bytes > room)
		say_note(path,
		         "it will have %s, and its disk has %s free; unless that compresses files "
		         "it will not be completed",
		         figure_bytes(bytes, needed), figure_bytes(room, left));
}
