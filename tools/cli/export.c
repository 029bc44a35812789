/*
 * export.c - quiverfs export: a store or a live mount into files of vectors.
 */
#include "tools/cli/arguments.h"
#include "tools/cli/chunks.h"
#include "tools/cli/command.h"
#include "tools/cli/dtype.h"
#include "tools/cli/folder_export.h"
#include "tools/cli/ids.h"
#include "tools/cli/live.h"
#include "tools/cli/outputs.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"
#include "tools/cli/vectors.h"
#include "tools/formats/formats.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct export_arguments {
	char *target;
	struct reach reach;
	struct outputs_options outputs;
	bool start_given, header_given;
	struct folder_options folder; /* of a folder alone */
	bool folder_asked; /* --format dir */
	bool is_folder;
};

static int say_stopped(const struct outputs *outputs)
{
	say_error(outputs->path, "%s",
	          out_file_is_whole(&outputs->vectors) ? "stopped; nothing was exported"
	                                               : "stopped; the output is not complete");
	return -EINTR;
}

/* Say why vector `id` cannot be had. */
static void say_unread(const struct session *session, uint64_t id, int result)
{
	say_error(session->target.path, "vector %" PRIu64 " cannot be read: %s", id,
	          result == -EIO ? "it does not match its checksum, or the disk failed; 'quiverfs "
	                           "verify' counts the damaged vectors"
	                         : live_strerror(result));
}

/* Write what has been read, but for what has been removed meanwhile. Says errors. */
static int write_chunk(const struct session *session, const struct chunk *chunk,
                       struct outputs *outputs)
{
	for (size_t i = 0; i < chunk->count; i++) {
		int result = chunk->results[i];

		if (result == -ENOENT)
			continue;
		if (result < 0)
			say_unread(session, chunk->ids[i], result);
		else
			result = outputs_write(outputs, chunk->ids[i],
			                       chunk->vectors + i * session->geometry.vector_bytes);
		if (result < 0)
			return result;
		if (interrupted())
			return say_stopped(outputs);
	}
	return 0;
}

/* Write all vectors of the list. Says errors; -EINTR after a signal. */
static int write_chunks(struct session *session, struct chunks *chunks, struct outputs *outputs)
{
	struct progress progress;
	const struct chunk *chunk;
	uint64_t done = 0;
	int result;

	progress_start(&progress, "export", "vectors", 0, chunks->list->count);
	do {
		result = chunks_next(chunks, &chunk);
		if (interrupted())
			result = say_stopped(outputs);
		else if (result < 0)
			say_error(session->target.path, "reading vectors failed: %s",
			          live_strerror(result));
		else if (chunk != NULL)
			result = write_chunk(session, chunk, outputs);
		done += chunk != NULL ? chunk->count : 0;
		progress_update(&progress, done);
	} while (result == 0 && chunk != NULL);
	progress_end(&progress);
	return result;
}

/* The same, with what it takes. */
static int write_rows(struct session *session, const struct vectors_list *list,
                      struct outputs *outputs)
{
	struct chunks chunks;
	int result = chunks_open(session, list, &chunks);

	if (result == 0)
		result = write_chunks(session, &chunks, outputs);
	chunks_close(&chunks);
	return result;
}

/* Tell what conversion changed. */
static void say_loss(const struct outputs *outputs)
{
	const struct element_loss *loss = &outputs->loss;
	const char *type = element_name(outputs->made);

	if (outputs->converted == NULL)
		return;
	if (loss->rounded + loss->beyond == 0)
		say_note(outputs->path, "conversion to %s: %" PRIu64 " elements, all exact", type,
		         loss->elements);
	else
		say_note(outputs->path,
		         "conversion to %s: %" PRIu64 " elements, %" PRIu64
		         " rounded (by %.3g at most), %" PRIu64
		         " out of range (each became the nearest value)",
		         type, loss->elements, loss->rounded, loss->largest, loss->beyond);
}

/* Tell what the files alone do not. */
static void say_notes(const struct outputs *outputs)
{
	const struct format_writer *writer = &outputs->writer;

	if (writer->rows < writer->expected)
		say_note(outputs->path,
		         "%" PRIu64 " vectors were removed during the export and are not in it",
		         writer->expected - writer->rows);
	say_loss(outputs);
	if (outputs->options->ids != NULL || writer->rows == 0 || writer->format->writes_ids)
		return;
	if (!outputs->counting)
		say_note(outputs->path, "the IDs have gaps, and this format does not hold IDs; "
		                        "--ids FILE writes them");
	else if (outputs->first_id != 0)
		say_note(outputs->path,
		         "row 0 is vector %" PRIu64 "; import it with --start-id %" PRIu64,
		         outputs->first_id, outputs->first_id);
}

/* Export an open session. Says errors. */
static int export_session(const struct export_arguments *arguments, struct session *session)
{
	struct vectors_list list = { 0 };
	struct outputs outputs;
	bool to_stdout;
	int result = vectors_list(session, &list);

	if (result < 0)
		return result;
	result = outputs_open(&arguments->outputs, session, list.count, &outputs);
	to_stdout = result == 0 && out_file_is_stdout(&outputs.vectors);
	if (result == 0)
		result = write_rows(session, &list, &outputs);
	if (result == 0)
		result = outputs_finish(&outputs);
	outputs_close(&outputs);
	vectors_list_free(&list);
	if (result < 0)
		return result;
	say_notes(&outputs);
	/* What goes to standard output goes alone. */
	if (!to_stdout)
		say_result("%" PRIu64 " vectors exported to %s", outputs.writer.rows,
		           arguments->outputs.file);
	return 0;
}

static const char export_help[] =
	"Export all vectors to a file, from a store that is not mounted or through a live mount.\v"
	"FILE '-' is standard output. The rows are in ascending order of their IDs. So what "
	"'quiverfs import' read comes back as it was. jsonl, json, csv, tsv and parquet hold the "
	"IDs, too. Each vector is compared with its checksum. A file that exists is replaced in "
	"one step, when the new one is complete and on stable storage. It keeps its owner and "
	"mode. A device, a FIFO, /dev/stdout and the like are written directly. On a live mount "
	"each vector is whole, but the file is not a snapshot: it may or may not hold what is "
	"committed during the export.";

/* Does the format have what was asked for? */
static void check_format(const struct outputs_options *options, const struct argp_state *state)
{
	const struct format *format = options->format;
	bool names = options->vector_column != NULL || options->id_column != NULL;

	if (options->dataset != NULL && !format->has_datasets)
		arguments_error(
			state,
			"--dataset: a file of the format %s has one array, and no name for it",
			format->name);
	else if (options->keys != NULL && !format->reads_keys)
		arguments_error(state, "--keys: the format %s has no place for keys", format->name);
	else if ((options->header || options->delimiter != '\0') && !format->has_header)
		arguments_error(state, "%s is for CSV only, not for the format %s",
		                options->delimiter != '\0' ? "--delimiter" : "--header",
		                format->name);
	else if (names && !format->has_columns)
		arguments_error(state, "%s: the format %s has no columns with names",
		                options->vector_column != NULL ? "--vector-column" : "--id-column",
		                format->name);
}

/* Whether a folder is to be written. What is wrong with its arguments is an error. */
static bool is_folder(const struct export_arguments *arguments, const struct argp_state *state)
{
	const struct outputs_options *outputs = &arguments->outputs;
	const char *option = folder_option_given(&arguments->folder);
	size_t length = strlen(outputs->file);
	bool is = arguments->folder_asked ||
	          (outputs->format == NULL && ((length > 0 && outputs->file[length - 1] == '/') ||
	                                       folder_is_at(outputs->file)));

	if (!is && option != NULL)
		arguments_error(
			state,
			"%s is only for a folder: give a name that ends in '/', or --format dir",
			option);
	else if (is && folder_is_at(outputs->file) && quiver_is_folder(arguments->target) &&
	         !folder_is_at(arguments->target))
		arguments_error(state,
		                "'%s' is a folder and '%s' is not; give STORE or MNT first, then "
		                "the FILE or folder to write",
		                outputs->file, arguments->target);
	else if (is && strcmp(outputs->file, "-") == 0)
		arguments_error(state, "a folder cannot be written to standard output");
	else if (is && (outputs->ids != NULL || outputs->keys != NULL || arguments->start_given ||
	                outputs->convert || outputs->dtype_given))
		arguments_error(state,
		                "'%s' is a folder: each file in it is one vector, and its name is "
		                "the ID; --ids, --keys, --start-id, --convert and --dtype are only "
		                "for files of rows",
		                outputs->file);
	return is;
}

/* All arguments are there: do they fit together? */
static void check_arguments(void *to, const struct argp_state *state)
{
	struct export_arguments *all = to;
	struct outputs_options *arguments = &all->outputs;

	if (arguments->ids != NULL && !ids_out_is_name(arguments->ids))
		arguments_error(state, "--ids: expected a name that ends in .npy or .txt, got '%s'",
		                arguments->ids);
	all->is_folder = is_folder(all, state);
	if (all->is_folder)
		return;
	if (arguments->format == NULL)
		arguments->format = format_by_suffix(arguments->file);
	if (arguments->format == NULL)
		arguments_error(state,
		                "the name '%s' does not tell the format; give --format, one of: %s",
		                arguments->file, FORMAT_NAMES);
	else
		check_format(arguments, state);
	if (arguments->vector_column != NULL || arguments->id_column != NULL) {
		if (all->header_given && !arguments->header)
			arguments_error(state, "--header no: names of columns were given, and they "
			                       "stand in the first line");
		arguments->header = true;
	}
	if (arguments->keys == NULL && all->start_given)
		arguments_error(state, "--start-id is only for use with --keys");
}

static error_t take_format(void *to, char *text, const struct argp_state *state)
{
	struct export_arguments *arguments = to;

	arguments->folder_asked = folder_is_format(text);
	arguments->outputs.format = format_by_name(text);
	if (arguments->outputs.format == NULL && !arguments->folder_asked)
		arguments_error(state,
		                "--format: '%s' is not a format; expected one of: %s, or dir", text,
		                FORMAT_NAMES);
	return 0;
}

static error_t take_start_id(void *to, char *text, const struct argp_state *state)
{
	if (!id_parse(text, to))
		arguments_error(state, "--start-id: '%s' is not an ID", text);
	return 0;
}

static error_t take_dtype(void *to, char *text, const struct argp_state *state)
{
	enum quiver_dtype dtype = QUIVER_F4;

	if (!dtype_parse(text, &dtype) || element_parse(quiver_dtype_name(dtype), to) < 0)
		arguments_error(state, "--dtype: expected " DTYPE_NAMES ", got '%s'", text);
	return 0;
}

static error_t take_header(void *to, char *text, const struct argp_state *state)
{
	bool *header = to;

	*header = strcmp(text, "yes") == 0;
	if (!*header && strcmp(text, "no") != 0)
		arguments_error(state, "--header: expected yes or no, got '%s'", text);
	return 0;
}

static error_t take_delimiter(void *to, char *text, const struct argp_state *state)
{
	if (format_delimiter(text, to) < 0)
		arguments_error(state, FORMAT_DELIMITER_ERROR, text);
	return 0;
}

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct export_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "format", 0, "NAME",
		  "One of: " FORMAT_NAMES
		  "; without it the suffix of FILE tells; one more suffix .gz or .zst compresses",
		  .take = take_format, .to = parsed },
		{ "dataset", 0, "NAME",
		  "The name of the array in a .hdf5 (default 'train'), .npz (default 'arr_0') or "
		  ".safetensors (default 'vectors')",
		  .keeps = &parsed->outputs.dataset },
		{ "vector-column", 0, "NAME",
		  "The name of the vector in JSON and Parquet (default 'vector'); in CSV, one "
		  "column of this name holds the whole vector, as [1,2,3] (default: a column for "
		  "each element, v0, v1 ...)",
		  .keeps = &parsed->outputs.vector_column },
		{ "id-column", 0, "NAME", "The name of the ID there (default 'id')",
		  .keeps = &parsed->outputs.id_column },
		{ "header", 0, "WHAT",
		  "Whether CSV begins with a line of column names: 'yes' (default if a name is "
		  "given), or 'no'",
		  .sets = &parsed->header_given, .take = take_header,
		  .to = &parsed->outputs.header },
		{ "delimiter", 0, "CHAR",
		  "The character between the fields of CSV: 'comma' (default), 'semicolon', 'tab' "
		  "(default in a .tsv), 'space', 'pipe' or the character itself",
		  .take = take_delimiter, .to = &parsed->outputs.delimiter },
		{ "ids", 0, "FILE",
		  "Write the ID of each row to this .npy (<u8) or .txt (one per line)",
		  .keeps = &parsed->outputs.ids },
		{ "keys", 0, "FILE",
		  "A file of keys, one line for each vector; the key is written in place of the ID",
		  .keeps = &parsed->outputs.keys },
		{ "words", 0, NULL, NULL },
		{ "start-id", 0, "N", "The first line of --keys is for vector N (default 0)",
		  .sets = &parsed->start_given, .take = take_start_id,
		  .to = &parsed->outputs.start_id },
		{ "convert", 0, NULL,
		  "Convert elements to the type of the format, and report what is lost",
		  .sets = &parsed->outputs.convert },
		{ "dtype", 0, "TYPE",
		  "Convert elements to " DTYPE_NAMES ", and report what is lost",
		  .sets = &parsed->outputs.dtype_given, .take = take_dtype,
		  .to = &parsed->outputs.dtype },
		{ "update", 'u', NULL,
		  "To a folder: write only vectors whose size, time, mode or owner differ from "
		  "those of the file",
		  .sets = &parsed->folder.update },
		{ "delete", 0, NULL,
		  "To a folder: remove each file whose name is an ID without a vector",
		  .sets = &parsed->folder.remove },
		{ "dry-run", 'n', NULL, "To a folder: say what would be done, and do nothing",
		  .sets = &parsed->folder.dry_run },
		REACH_OPTION(&parsed->reach),
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE|MNT FILE\nSTORE|MNT DIR/",
		.help = export_help,
		.options = options,
		.words = { &parsed->target, &parsed->outputs.file },
		.least = 2,
		.missing = "STORE or MNT and a FILE are needed",
		.check = check_arguments,
		.to = parsed,
	};

	return arguments_parse(&arguments, argc, argv);
}

int export_command(int argc, char **argv)
{
	struct export_arguments arguments = { 0 };
	struct session session;
	int result, closed;

	if (parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	if (arguments.is_folder)
		return folder_export_run(&(struct folder_export){ .target = arguments.target,
		                                                  .reach = &arguments.reach,
		                                                  .path = arguments.outputs.file,
		                                                  .options = &arguments.folder });
	if (session_begin(arguments.target, &arguments.reach, SESSION_READ_ONLY, &session) < 0)
		return STATUS_FAILED;
	result = export_session(&arguments, &session);
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}
