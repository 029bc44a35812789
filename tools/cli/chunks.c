/*
 * chunks.c - the vectors of a list, some at a time, read ahead.
 */
#include "tools/cli/chunks.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int chunks_open(struct session *session, const struct vectors_list *list, struct chunks *chunks)
{
	memset(chunks, 0, sizeof(*chunks));
	chunks->session = session;
	chunks->list = list;
	chunks->folder_fd = -1;
	chunks->room = vectors_at_once(session);
	for (unsigned i = 0; i < 2; i++) {
		struct chunk *chunk = &chunks->pair[i];

		chunk->vectors = malloc(chunks->room * session->geometry.vector_bytes);
		chunk->results = calloc(chunks->room, sizeof(*chunk->results));
		if (chunk->vectors == NULL || chunk->results == NULL) {
			say_errno(session->target.path, -ENOMEM);
			return -ENOMEM;
		}
	}
	return vectors_open_folder(session, &chunks->folder_fd);
}

/* Read the chunk whose turn it is. */
static void *read_chunk(void *arg)
{
	struct chunks *chunks = arg;
	struct chunk *chunk = &chunks->pair[chunks->turn];

	session_enter_thread();
	chunks->result = vectors_read(chunks->session, chunks->folder_fd, chunk->ids, chunk->count,
	                              chunk->vectors, NULL, chunk->results);
	return NULL;
}

/* Begin to read the next, in a thread of its own if there can be one. */
static void begin(struct chunks *chunks)
{
	struct chunk *chunk = &chunks->pair[chunks->turn];
	size_t left = chunks->list->count - chunks->next;

	chunk->ids = chunks->list->ids + chunks->next;
	chunk->count = left < chunks->room ? left : chunks->room;
	chunks->next += chunk->count;
	chunks->has_thread = chunk->count > 0 && chunks->session->target.elsewhere &&
	                     pthread_create(&chunks->thread, NULL, read_chunk, chunks) == 0;
}

/* Wait for its end, or do it now. */
static void end(struct chunks *chunks)
{
	if (chunks->has_thread)
		(void)pthread_join(chunks->thread, NULL); /* cannot fail: joined once */
	else if (chunks->pair[chunks->turn].count > 0)
		(void)read_chunk(chunks); /* the result is there */
	chunks->has_thread = false;
}

int chunks_next(struct chunks *chunks, const struct chunk **chunk)
{
	if (chunks->next == 0)
		begin(chunks);
	end(chunks);
	*chunk = chunks->pair[chunks->turn].count > 0 ? &chunks->pair[chunks->turn] : NULL;
	if (chunks->result < 0 || *chunk == NULL)
		return chunks->result;
	chunks->turn = 1 - chunks->turn;
	begin(chunks);
	return 0;
}

void chunks_close(struct chunks *chunks)
{
	if (chunks->has_thread)
		end(chunks);
	if (chunks->folder_fd >= 0)
		(void)close(chunks->folder_fd); /* it was only read */
	for (unsigned i = 0; i < 2; i++) {
		free(chunks->pair[i].vectors);
		free(chunks->pair[i].results);
	}
}
