/*
 * outcome.c - what became of the rows of an import, and saying it.
 */
#include "tools/cli/outcome.h"
#include "tools/cli/say.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Add to where the IDs come from. */
__attribute__((format(printf, 2, 3))) static void add(struct outcome *outcome, const char *format,
                                                      ...)
{
	size_t used = strlen(outcome->from);
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(outcome->from + used, sizeof(outcome->from) - used, format, arguments);
	va_end(arguments);
}

/* Whether a file before it has its IDs from the same place. */
static bool told_before(const struct rows *rows, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		const struct format_reader *reader = &rows->sources[i].reader;

		if (reader->has_ids &&
		    strcmp(reader->ids_from, rows->sources[index].reader.ids_from) == 0)
			return true;
	}
	return false;
}

/* Where the files say that the IDs stand, and what is counted where they do not. */
static void add_files(const struct rows *rows, struct outcome *outcome)
{
	bool counted = rows->options->start_given || rows->sources_count == 0;
	const char *between = "taken from ";

	for (size_t i = 0; i < rows->sources_count; i++)
		counted = counted || !rows->sources[i].reader.has_ids;
	for (size_t i = 0; i < rows->sources_count && !rows->options->start_given; i++) {
		const struct format_reader *reader = &rows->sources[i].reader;

		if (!reader->has_ids || told_before(rows, i))
			continue;
		add(outcome, "%s%s", between,
		    reader->ids_from[0] != '\0' ? reader->ids_from : "the file");
		between = " and ";
	}
	if (counted)
		add(outcome, "%scounted from %" PRIu64, outcome->from[0] != '\0' ? ", others " : "",
		    rows->options->start_id);
}

void outcome_take(const struct rows *rows, struct outcome *outcome)
{
	outcome->ids = rows->tally;
	outcome->ids.groups = NULL;
	outcome->keys_path = rows->keys.path;
	outcome->keys = rows->keys.lines;
	outcome->new_keys = rows->keys.lines - rows->keys.known;
	outcome->from[0] = '\0';
	if (rows->ids.path != NULL)
		add(outcome, "taken from %s", rows->ids.path);
	else if (rows->keys.numbering)
		add(outcome, "numbered by their keys from %" PRIu64, rows->options->start_id);
	else
		add_files(rows, outcome);
}

/* Say which IDs there were. */
static void say_ids(const struct outcome *outcome)
{
	const struct id_tally *ids = &outcome->ids;

	if (ids->count == 0)
		return;
	if (ids->full)
		say_result("IDs: %" PRIu64 " to %" PRIu64
		           ", %s; distinct IDs were counted up to %" PRIu64 " only",
		           ids->least, ids->most, outcome->from, ids->distinct);
	else
		say_result("IDs: %" PRIu64 " to %" PRIu64 ", %s; %" PRIu64 " distinct", ids->least,
		           ids->most, outcome->from, ids->distinct);
}

void outcome_say(const char *target, enum existing_mode mode, const struct outcome *outcome)
{
	uint64_t vectors = outcome->done - outcome->skipped;
	uint64_t repeated = mode == EXISTING_REPLACE && !outcome->ids.full
	                            ? outcome->ids.count - outcome->ids.distinct
	                            : 0;

	if (repeated > 0)
		say_result("%" PRIu64 " vectors imported into %s, from %" PRIu64
		           " rows: if rows have the same ID, the last one counts",
		           vectors - repeated, target, vectors);
	else
		say_result("%" PRIu64 " vectors imported into %s", vectors, target);
	say_ids(outcome);
	/* of a file that says so it was told when it was opened */
	if (outcome->done == 0 && outcome->total == FORMAT_ROWS_UNKNOWN)
		say_note(target, "the input holds no rows");
	if (outcome->keys_path != NULL)
		say_result("keys: %" PRIu64 " in %s, %" PRIu64 " of them new", outcome->keys,
		           outcome->keys_path, outcome->new_keys);
	if (outcome->skipped > 0)
		say_note(target, "%" PRIu64 " rows skipped: their vectors exist", outcome->skipped);
}

void outcome_say_incomplete(const char *target, const char *how, const struct outcome *outcome)
{
	char all[40] = "";

	if (outcome->total != FORMAT_ROWS_UNKNOWN)
		(void)snprintf(all, sizeof(all), " of %" PRIu64, outcome->total);
	say_error(target,
	          "%sthe first %" PRIu64 "%s rows are imported%s; the same import can be run again",
	          how, outcome->done, all,
	          outcome->flushed < 0 ? ", though a power cut may lose some of them" : "");
}
