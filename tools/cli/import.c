/*
 * import.c - quiverfs import: files of vectors into a store or a live mount.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/copy_rows.h"
#include "tools/cli/dtype.h"
#include "tools/cli/existing.h"
#include "tools/cli/folder_import.h"
#include "tools/cli/ids.h"
#include "tools/cli/live.h"
#include "tools/cli/new_store.h"
#include "tools/cli/outcome.h"
#include "tools/cli/room.h"
#include "tools/cli/row_arguments.h"
#include "tools/cli/rows.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"
#include "tools/formats/formats.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What malloc may keep: some batches, and what the log makes of them. */
#define KEPT_BYTES (8 << 20)

struct import_arguments {
	char *target;
	struct reach reach;
	struct rows_options rows;
	struct row_fit fit; /* of a store that is to be made; else its dim, if not 0, is expected */
	enum existing_mode on_duplicate;
	struct folder_options folder; /* of a folder alone */
	bool is_folder;
};

/* Make what was imported through a mount durable; closing a store does so by itself. 0 or a negative
 * errno, with nothing said. */
static int make_durable(struct session *session)
{
	return session->target.live ? session_flush(session) : 0;
}

/* Import rows that are open into an open session, and close them. Says errors. */
static int import_opened(struct import_arguments *arguments, struct session *session,
                         struct rows *rows, struct outcome *outcome)
{
	int result = 0;

	outcome->total = rows->total;
	/* An ID may come twice where the rows bring theirs. */
	if (rows->total != FORMAT_ROWS_UNKNOWN && !rows->brings_ids)
		result = room_for_vectors(session, rows->total);
	if (result == 0)
		result = copy_rows(session, rows, arguments->on_duplicate, outcome);
	outcome->flushed = outcome->done > 0 ? make_durable(session) : 0;
	if (result == 0 && outcome->flushed < 0) {
		result = outcome->flushed;
		say_error(session->target.path,
		          "the vectors are written, but control/flush failed: %s",
		          live_strerror(result));
	}
	if (result == 0 && outcome->complete)
		result = rows_finish(rows);
	outcome_take(rows, outcome);
	rows_close(rows);
	return result;
}

/* Whether the store is what --dim and --dtype say. Says so where not. */
static int check_geometry(const struct import_arguments *arguments, const struct session *session)
{
	const struct quiver_geometry *wanted = &arguments->fit.geometry, *is = &session->geometry;

	if ((wanted->dim == 0 || wanted->dim == is->dim) &&
	    (!arguments->fit.dtype_given || wanted->dtype == is->dtype))
		return 0;
	say_error(session->target.path,
	          "it is there already, with dim %" PRIu32
	          " and dtype %s; --dim and --dtype are for a store that is made",
	          is->dim, quiver_dtype_name(is->dtype));
	return -EINVAL;
}

/* Import into an open session. Says errors. */
static int import_rows(struct import_arguments *arguments, struct session *session,
                       struct outcome *outcome)
{
	struct rows rows;
	int result = check_geometry(arguments, session);

	arguments->rows.geometry = &session->geometry;
	arguments->rows.target = session->target.path;
	if (result == 0)
		result = rows_open(&arguments->rows, &rows);
	if (result == 0)
		result = import_opened(arguments, session, &rows, outcome);
	arguments->rows.geometry = NULL; /* the session's, which ends */
	arguments->rows.target = NULL;
	return result;
}

static error_t take_format(void *to, char *text, const struct argp_state *state)
{
	const char **format = to;

	if (format_by_name(text) == NULL && !folder_is_format(text))
		arguments_error(state,
		                "--format: '%s' is not a format; expected one of: %s, or dir", text,
		                FORMAT_NAMES);
	*format = text;
	return 0;
}

static error_t take_mode(void *to, char *text, const struct argp_state *state)
{
	if (existing_parse(text, to) < 0)
		arguments_error(state, "--on-duplicate: expected replace, skip or fail, got '%s'",
		                text);
	return 0;
}

static error_t take_start_id(void *to, char *text, const struct argp_state *state)
{
	if (!id_parse(text, to))
		arguments_error(state, "--start-id: '%s' is not an ID (0 to %" PRIu64 ")", text,
		                QUIVER_ID_MAX);
	return 0;
}

static error_t take_limit(void *to, char *text, const struct argp_state *state)
{
	uint64_t *limit = to;

	if (!id_parse(text, limit) || *limit == 0)
		arguments_error(state, "--limit: expected a number of rows, 1 or more, got '%s'",
		                text);
	return 0;
}

/* Whether a folder is to be imported. What is wrong with its arguments is an error. */
static bool is_folder(const struct import_arguments *arguments, const struct argp_state *state)
{
	const struct rows_options *rows = &arguments->rows;
	const char *option = folder_option_given(&arguments->folder), *folder = NULL;
	bool asked = rows->format != NULL && folder_is_format(rows->format);

	for (size_t i = 0; i < rows->paths_count && folder == NULL; i++)
		folder = folder_is_at(rows->paths[i]) ? rows->paths[i] : NULL;
	if (folder == NULL && asked)
		arguments_error(state, "--format %s: '%s' is not a folder", rows->format,
		                rows->paths[0]);
	else if (folder == NULL && option != NULL)
		arguments_error(state, "%s is only for a folder of files, one for each vector",
		                option);
	else if (folder != NULL && rows->paths_count > 1)
		arguments_error(state, "'%s' is a folder; import it alone, without other files",
		                folder);
	else if (folder != NULL &&
	         ((rows->format != NULL && !asked) || rows->ids_path != NULL || rows->start_given ||
	          rows->keys_path != NULL || rows->limit != UINT64_MAX || rows->convert ||
	          arguments->fit.geometry.dim > 0 || arguments->fit.dtype_given))
		arguments_error(state,
		                "'%s' is a folder: each file in it is one vector, and its name is "
		                "the ID; --format, --ids, --start-id, --keys, --limit, --convert, "
		                "--dim and --dtype are only for files of rows",
		                folder);
	return folder != NULL;
}

static error_t take_skip(void *to, char *text, const struct argp_state *state)
{
	uint64_t *bytes = to;

	if (!id_parse(text, bytes) || *bytes > INT64_MAX)
		arguments_error(state, "--skip-bytes: expected a number of bytes, got '%s'", text);
	return 0;
}

static void check_arguments(void *to, const struct argp_state *state)
{
	struct import_arguments *arguments = to;

	arguments->is_folder = is_folder(arguments, state);

	if (arguments->rows.ids_path != NULL && arguments->rows.start_given)
		arguments_error(state, "--ids and --start-id cannot be used together");
	if (arguments->rows.add_keys && arguments->rows.keys_path == NULL)
		arguments_error(state, "--add-keys is only for use with --keys");
	if (arguments->rows.keys_path != NULL && arguments->rows.ids_path != NULL)
		arguments_error(state, "--ids and --keys cannot be used together: line r of the "
		                       "keys is for vector N + r, with --start-id N");
}

static const char import_help[] =
	"Import the rows of files as vectors, into a store that is not mounted or through a "
	"live mount. If there is no STORE, one is made that fits the first FILE.\v"
	"FILE has the dim and dtype of the store (text is read as that dtype). '-' is standard "
	"input. Memory does not grow with the file. "
	"Row r becomes vector N + r, or the vector that the file itself or --ids names. Rows "
	"count from 0, through all files. "
	"Headers, sizes and dimensions are checked before the first vector is written. A fault "
	"further on ends the import, and the message says where it is. The rows before it are "
	"imported. Run the same import again: it replaces vectors by the same ones, which does "
	"no harm. When the command succeeds, all vectors are on stable storage. Ctrl-C stops "
	"early and says how many rows are imported.";

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct import_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "format", 0, "NAME",
		  "One of: " FORMAT_NAMES "; without it the suffix of each FILE tells",
		  .take = take_format, .to = &parsed->rows.format },
		{ "dataset", 0, "NAME",
		  "The name of the array in a .hdf5 (default 'train'), .npz or .safetensors "
		  "(default: the only one of 2 dimensions)",
		  .keeps = &parsed->rows.dataset },
		{ "skip-bytes", 0, "N", "Skip N bytes at the start of each raw file",
		  .take = take_skip, .to = &parsed->rows.skip_bytes },
		{ "vector-column", 0, "NAME",
		  "The column or member that holds the vector (default: 'vector', 'embedding', "
		  "'embeddings', 'values' or 'emb'); in JSON also a path as data.embedding",
		  .keeps = &parsed->rows.vector_column },
		{ "id-column", 0, "NAME",
		  "The column or member that holds the ID (default: 'id', '_id' or 'ID')",
		  .keeps = &parsed->rows.id_column },
		{ "header", 0, "WHAT",
		  "Whether the first line of CSV names the columns: 'yes', 'no' or 'auto' "
		  "(default: yes if none of its fields is a number)",
		  .take = row_arguments_header, .to = &parsed->rows.header },
		{ "delimiter", 0, "CHAR",
		  "The character between the fields of CSV: 'comma', 'semicolon', 'tab', 'space', "
		  "'pipe' or the character itself (default: taken from the first line)",
		  .take = row_arguments_delimiter, .to = &parsed->rows.delimiter },
		{ "dim", 0, "D",
		  "Of a STORE that is made: elements of a vector (default: the file's)",
		  .take = dtype_take_dim, .to = &parsed->fit.geometry.dim },
		{ "dtype", 0, "TYPE",
		  "Of a STORE that is made: type of an element (default: the file's; f4 of text)",
		  .sets = &parsed->fit.dtype_given, .take = dtype_take,
		  .to = &parsed->fit.geometry.dtype },
		{ "ids", 0, "FILE",
		  "The ID of each row: a .npy of type <u8, <i8, <u4 or <i4, or a .txt with one per "
		  "line",
		  .keeps = &parsed->rows.ids_path },
		{ "start-id", 0, "N",
		  "The ID of the first row; the others count up (default 0, or the IDs in the "
		  "file)",
		  .sets = &parsed->rows.start_given, .take = take_start_id,
		  .to = &parsed->rows.start_id },
		{ "keys", 0, "FILE",
		  "Number the rows, and write their own keys to this new file, one per line; keys "
		  "are words, or IDs that are not numbers",
		  .keeps = &parsed->rows.keys_path },
		{ "words", 0, NULL, NULL },
		{ "add-keys", 0, NULL,
		  "The file of --keys may exist: a key in it keeps its number, and new keys are "
		  "added",
		  .sets = &parsed->rows.add_keys },
		{ "limit", 0, "N", "Only the first N rows of all files", .take = take_limit,
		  .to = &parsed->rows.limit },
		{ "partial", 0, NULL,
		  "If a file is cut off, import the rows that are whole, and say how many",
		  .sets = &parsed->rows.partial },
		{ "on-duplicate", 0, "WHAT",
		  "If a vector exists already: 'replace' it (default), 'skip' the row, or 'fail' "
		  "at it",
		  .take = take_mode, .to = &parsed->on_duplicate },
		{ "convert", 0, NULL,
		  "Convert other types of element to the store's, and big-endian and "
		  "Fortran-ordered .npy, and report what is lost",
		  .sets = &parsed->rows.convert },
		{ "reject-nonfinite", 0, NULL,
		  "Stop before a row with a NaN or an infinity; without this option such rows are "
		  "imported",
		  .sets = &parsed->rows.reject_nonfinite },
		{ "update", 'u', NULL,
		  "From a folder: only files whose size, time, mode or owner differ from those of "
		  "the vector",
		  .sets = &parsed->folder.update },
		{ "delete", 0, NULL, "From a folder: remove each vector that has no file in it",
		  .sets = &parsed->folder.remove },
		{ "exclude", 0, "PATTERN",
		  "From a folder: skip names that match this pattern with '*' and '?'; may be "
		  "given several times",
		  .take = folder_take_exclude, .to = &parsed->folder },
		{ "dry-run", 'n', NULL, "From a folder: say what would be done, and do nothing",
		  .sets = &parsed->folder.dry_run },
		REACH_OPTION(&parsed->reach),
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE|MNT FILE...\nSTORE|MNT DIR",
		.help = import_help,
		.options = options,
		.words = { &parsed->target },
		.rest = &parsed->rows.paths,
		.rest_count = &parsed->rows.paths_count,
		.least = 2,
		.missing = "STORE or MNT and at least one FILE are needed",
		.check = check_arguments,
		.to = parsed,
	};

	return arguments_parse(&arguments, argc, argv);
}

/* A batch takes buffers of a megabyte and gives them back: malloc is to keep them, or each of their
 * pages is asked of the kernel again, which is a seventh of the time. */
static void keep_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES);
}

/* Say what became of it; the exit status. */
static int say_outcome(const struct import_arguments *arguments, const char *path, int result,
                       const struct outcome *outcome)
{
	if (result == 0 && outcome->complete) {
		outcome_say(path, arguments->on_duplicate, outcome);
		return STATUS_OK;
	}
	if (result == 0)
		outcome_say_incomplete(path, "stopped: ", outcome);
	else if (result == -EINTR && outcome->done == 0)
		say_error(path, "stopped; nothing was imported");
	else if (outcome->done > 0)
		outcome_say_incomplete(path, "", outcome);
	return STATUS_FAILED;
}

/* Close the session, which is where a store is written out; what became of it all. */
static int end_session(struct session *session, int result, struct outcome *outcome)
{
	int closed = session_close(session);

	if (closed < 0)
		outcome->flushed = closed;
	return result == 0 ? closed : result;
}

static int import_there(struct import_arguments *arguments)
{
	struct outcome outcome = { 0 };
	struct session session;
	int result;

	if (session_begin(arguments->target, &arguments->reach, 0, &session) < 0)
		return STATUS_FAILED;
	result = import_rows(arguments, &session, &outcome);
	result = end_session(&session, result, &outcome);
	return say_outcome(arguments, session.target.path, result, &outcome);
}

/* Make the store that fits the rows, which are open, and say so. Its absolute path to `path`. Says
 * errors. */
static int make_store(const struct import_arguments *arguments, const struct rows *rows,
                      char path[PATH_MAX])
{
	const struct quiver_geometry *geometry = &arguments->fit.geometry;
	const char *dtype = quiver_dtype_name(geometry->dtype);
	int result;

	if (rows->total == 0) {
		say_error(arguments->target,
		          "there are no rows to import, so no store was made; 'quiverfs create %s "
		          "--dim %" PRIu32 " --dtype %s' makes an empty one",
		          arguments->target, geometry->dim, dtype);
		return -ENODATA;
	}
	result = new_store_make(
		arguments->target, geometry, NULL,
		&(struct quiver_create_options){ .size = sizeof(struct quiver_create_options) });
	if (result < 0)
		return result;
	if (realpath(arguments->target, path) == NULL) {
		result = -errno;
		say_errno(arguments->target, result);
		return result;
	}
	say_result("made %s: %" PRIu32 " elements of %s, %" PRIu32 " bytes a vector, metric l2%s",
	           path, geometry->dim, dtype, geometry->vector_bytes,
	           arguments->fit.is_guess
	                   ? " (f4, because no type is given; --dtype gives another)"
	                   : "");
	return 0;
}

/* Import rows that are open into a store that is made for them. What nothing came into goes again. The
 * exit status. */
static int import_made(struct import_arguments *arguments, struct rows *rows, bool with_folder)
{
	struct outcome outcome = { 0 };
	struct session session;
	char path[PATH_MAX];
	int result = make_store(arguments, rows, path);
	bool gone;

	if (result == 0)
		result = session_open(arguments->target, &arguments->reach, 0, &session);
	else
		path[0] = '\0';
	if (result < 0) {
		rows_close(rows);
	} else {
		arguments->rows.target = session.target.path;
		result = import_opened(arguments, &session, rows, &outcome);
		arguments->rows.target = NULL; /* the session's, which ends */
		result = end_session(&session, result, &outcome);
	}
	if (path[0] == '\0')
		return STATUS_FAILED;
	if (outcome.done > 0)
		return say_outcome(arguments, path, result, &outcome);
	gone = new_store_unmake(path, with_folder);
	say_error(path, "%s; %s",
	          interrupted() ? "stopped, nothing was imported" : "nothing was imported",
	          gone ? "the store that was made for it is removed again"
	               : "the store that was made for it stays, and can be removed");
	return STATUS_FAILED;
}

/* Import into a store that does not exist yet. The exit status. */
static int import_new(struct import_arguments *arguments)
{
	const char *target = arguments->target;
	bool with_folder = access(target, F_OK) < 0;
	struct rows rows;
	int result;

	if (reach_check(&arguments->reach, target) < 0 || new_store_say_unfit(target))
		return STATUS_FAILED;
	result = interrupt_catch();
	if (result < 0) {
		say_errno("signals", result);
		return STATUS_FAILED;
	}
	arguments->rows.fit = &arguments->fit;
	arguments->rows.geometry = &arguments->fit.geometry;
	arguments->rows.target = target;
	result = rows_open(&arguments->rows, &rows);
	if (result == -EINTR)
		say_error(target, "stopped; no store was made");
	return result < 0 ? STATUS_FAILED : import_made(arguments, &rows, with_folder);
}

int import_command(int argc, char **argv)
{
	struct import_arguments arguments = { .rows.limit = UINT64_MAX };

	if (parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	keep_memory();
	if (arguments.is_folder)
		return folder_import_run(&(struct folder_import){
			.target = arguments.target,
			.reach = &arguments.reach,
			.path = arguments.rows.paths[0],
			.options = &arguments.folder,
			.on_duplicate = arguments.on_duplicate,
			.reject_nonfinite = arguments.rows.reject_nonfinite });
	if (new_store_is_free(arguments.target))
		return import_new(&arguments);
	return import_there(&arguments);
}
