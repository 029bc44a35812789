/*
 * search.c - quiverfs search: the nearest neighbours of vectors, in a store or through a live mount.
 */
#include "engine/quiver.h"
#include "tools/cli/apart.h"
#include "tools/cli/command.h"
#include "tools/cli/live.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/cli/search_answers.h"
#include "tools/cli/search_arguments.h"
#include "tools/cli/search_ask.h"
#include "tools/cli/search_batch.h"
#include "tools/cli/search_filter.h"
#include "tools/cli/search_out.h"
#include "tools/cli/vectors.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All that is open for a search. */
struct search {
	struct search_arguments *arguments;
	struct session *session;
	struct search_asker asker;
	struct search_source source;
	struct search_batch batch;
	struct search_answers answers;
	struct search_out out;
};

/* ---- what is found ------------------------------------------------------ */

static int compare_ids(const void *one, const void *other)
{
	uint64_t a = ((const struct quiver_neighbour *)one)->id;
	uint64_t b = ((const struct quiver_neighbour *)other)->id;

	return (a > b) - (a < b);
}

/* Each pair is found from both sides: write it from that of the lower ID, in the order of the others. */
static int write_pairs(struct search *search, uint64_t id, const struct quiver_neighbour *list,
                       size_t count)
{
	struct quiver_neighbour *above = malloc((count > 0 ? count : 1) * sizeof(*above));
	size_t kept = 0;
	int result = 0;

	if (above == NULL) {
		say_errno(search->out.path, -ENOMEM);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		if (list[i].id > id)
			above[kept++] = list[i];
	}
	qsort(above, kept, sizeof(*above), compare_ids);
	for (size_t i = 0; i < kept && result == 0; i++)
		result = search_out_pair(&search->out, id, &above[i]);
	free(above);
	return result;
}

/* Write what was found to question `index` of the batch. */
static int write_answer(struct search *search, size_t index)
{
	const struct quiver_neighbour *list;
	uint64_t number = search->batch.numbers[index];
	const char *name;
	size_t count;
	int result = search_answers_get(&search->answers, index, &list, &count);

	if (result < 0)
		return result;
	if (search->arguments->self)
		return write_pairs(search, number, list, count);
	name = search->source.has_rows ? rows_name(&search->source.rows, index) : NULL;
	return search_out_answer(&search->out, name, number, list, count);
}

/* How many questions there are, or will be. */
static uint64_t total_of(const struct search *search, uint64_t done)
{
	if (search->source.total != FORMAT_ROWS_UNKNOWN)
		return search->source.total;
	return rows_estimate(&search->source.rows, done);
}

/* Ask the next batch and write the answers: how many questions there were. Says errors, but for -EINTR. */
static int64_t ask_batch(struct search *search, struct progress *progress, uint64_t done)
{
	int64_t got = search_source_read(&search->source, &search->batch);
	int result;

	if (got <= 0)
		return got;
	result = search_answers_begin(&search->answers);
	for (size_t i = 0; i < search->batch.count && result == 0; i++) {
		result = interrupted() ? -EINTR : write_answer(search, i);
		progress_update(progress, done + i);
	}
	if (result == 0)
		result = search_out_flush(&search->out);
	return result < 0 ? result : got;
}

/* A bar would be written between the lines that are found. */
static bool may_draw(const struct search *search)
{
	return !out_file_is_stdout(&search->out.file) || isatty(STDOUT_FILENO) != 1;
}

/* Ask all questions. Says errors. */
static int ask_all(struct search *search)
{
	struct progress progress;
	uint64_t done = 0;
	int64_t got;

	progress_start(&progress, "search", "questions", 0, total_of(search, 0));
	progress.shown = progress.shown && may_draw(search);
	while ((got = ask_batch(search, &progress, done)) > 0) {
		done += (uint64_t)got;
		progress.total = total_of(search, done);
		progress_update(&progress, done);
	}
	progress_end(&progress);
	if (got == -EINTR)
		say_error(search->session->target.path, "stopped%s",
		          out_file_is_whole(&search->out.file) ? "; nothing was written"
		                                               : "; the output is not complete");
	return (int)got;
}

/* ---- opening ------------------------------------------------------------ */

/* Tell which files are read, and open those that are written. Says errors. */
static int open_out(struct search *search)
{
	const struct search_arguments *arguments = search->arguments;
	struct apart apart = { 0 };
	int result = apart_store(&apart, search->session->target.path);

	if (result == 0 && arguments->ids_path != NULL)
		result = apart_read(&apart, arguments->ids_path);
	for (size_t i = 0; result == 0 && !search->batch.is_by_id && i < arguments->words_count;
	     i++)
		result = apart_read(&apart, arguments->words[i]);
	if (result == 0)
		result = search_out_open(&arguments->out, &apart, search->source.total,
		                         &search->out);
	apart_free(&apart);
	return result;
}

/* Open all but the session. Says errors. */
static int open_all(struct search *search)
{
	struct search_arguments *arguments = search->arguments;
	uint32_t k = arguments->all ? 0 : arguments->out.k;
	size_t room = search_answers_room(search->session, k);
	int result = search_asker_open(search->session, &arguments->wanted, &search->asker);

	search->source.asker = &search->asker;
	if (search->source.ids == NULL) {
		arguments->rows.geometry = &search->session->geometry;
		arguments->rows.target = search->session->target.path;
		search->source.rows_options = &arguments->rows;
	}
	if (result == 0)
		result = search_batch_make(search->session, room, &search->batch);
	if (result == 0)
		result = search_source_open(&search->source, room);
	search->batch.is_by_id = !search->source.has_rows;
	if (result == 0)
		result = search_answers_open(&search->source, &search->batch, k, &search->answers);
	return result < 0 ? result : open_out(search);
}

static void close_all(struct search *search)
{
	search_out_close(&search->out);
	search_answers_close(&search->answers);
	search_batch_free(&search->batch);
	search_source_close(&search->source);
	search_asker_close(&search->asker);
}

/* Tell what became of it. */
static int say_end(const struct search *search, bool to_stdout)
{
	const struct search_source *source = &search->source;
	const struct search_out *out = &search->out;

	if (source->passed > 0)
		say_note(search->session->target.path,
		         "%" PRIu64 " vectors have no distances, and are in no pair: they hold a "
		         "NaN or an infinity or, with cosine, only zeros",
		         source->passed);
	if (source->denied > 0)
		say_error(search->session->target.path,
		          "%" PRIu64 " vectors cannot be read, and are in no pair: %s",
		          source->denied, live_strerror(-EACCES));
	if (search->arguments->wanted.has_ids && out->questions > 0 && out->neighbours == 0)
		say_note(search->arguments->ids_path,
		         "none of its %zu IDs belongs to a vector that can be an answer",
		         search->arguments->wanted.id_count);
	if (to_stdout)
		return source->failed > 0 ? -EINVAL : 0;
	if (search->arguments->self)
		say_result("%" PRIu64 " pair%s written to %s", out->pairs,
		           out->pairs == 1 ? "" : "s", out->path);
	else
		say_result("the neighbours of %" PRIu64 " vector%s written to %s", out->questions,
		           out->questions == 1 ? "" : "s", out->path);
	return source->failed > 0 ? -EINVAL : 0;
}

/* Search an open session. 0, or a negative errno after having said what is wrong. */
static int search_session(struct search_arguments *arguments, struct session *session,
                          const uint64_t *ids, size_t id_count)
{
	struct search search = {
		.arguments = arguments,
		.session = session,
		.source = { .ids = ids,
		            .id_count = id_count,
		            .is_all = arguments->self,
		            .get_fd = -1,
		            .folder_fd = -1 },
	};
	bool to_stdout = false;
	int result = open_all(&search);

	if (result == 0) {
		to_stdout = out_file_is_stdout(&search.out.file);
		result = ask_all(&search);
	}
	if (result == 0)
		result = search_source_finish(&search.source);
	if (result == 0)
		result = search_out_finish(&search.out);
	close_all(&search);
	return result < 0 ? result : say_end(&search, to_stdout);
}

/* The same with the IDs that are asked for. Says errors. */
static int search_with_ids(struct search_arguments *arguments, struct session *session)
{
	struct vectors_list list = { 0 };
	const uint64_t none = 0;
	int result;

	if (!arguments->self)
		return search_session(arguments, session, arguments->ids, arguments->id_count);
	result = vectors_list(session, &list);
	if (result == 0 && arguments->wanted.has_ids)
		search_filter_cut(&arguments->wanted, list.ids, &list.count);
	if (result == 0)
		result = search_session(arguments, session, list.count > 0 ? list.ids : &none,
		                        list.count);
	vectors_list_free(&list);
	return result;
}

int search_command(int argc, char **argv)
{
	struct search_arguments arguments;
	struct session session;
	int result, closed;

	if (search_arguments_parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	result = search_open(arguments.target, &arguments.reach, &session);
	if (result == 0) {
		if (arguments.ids_path != NULL)
			result = search_filter_read(arguments.ids_path, &arguments.wanted);
		if (result == 0)
			result = search_with_ids(&arguments, &session);
		closed = session_close(&session);
		result = result < 0 ? result : closed;
	}
	search_arguments_free(&arguments);
	return result == 0 ? STATUS_OK : STATUS_FAILED;
}
