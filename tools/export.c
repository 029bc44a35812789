/*
 * export.c - quiverfs export: a store or a live mount into .npy files.
 */
#include "command.h"
#include "formats/npy.h"
#include "interrupt.h"
#include "out_file.h"
#include "progress.h"
#include "say.h"
#include "session.h"
#include "vectors.h"

#include <argp.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_IDS = 256 };

struct export_arguments {
	char *target;
	char *file;
	const char *ids;
};

/* What is being written. */
struct outputs {
	struct out_file vectors;
	struct out_file ids; /* not open where it is not wanted */
	uint64_t rows;
	uint64_t removed; /* vectors that went away meanwhile */
	uint64_t first_id;
	bool counting; /* the IDs so far count up by one */
};

/* Write the header of an array of outputs->rows rows. Says errors. */
static int write_header(struct out_file *file, const char *type, uint64_t rows, uint32_t columns)
{
	char header[NPY_WRITTEN_BYTES];
	int result = npy_format_header(header, type, rows, columns);

	if (result < 0) {
		say_errno(file->path, result);
		return result;
	}
	return out_file_write_start(file, header, sizeof(header));
}

/* Write the headers with the number of rows known so far. Says errors. */
static int write_headers(const struct session *session, struct outputs *outputs)
{
	int result = write_header(&outputs->vectors, quiver_dtype_name(session->geometry.dtype),
	                          outputs->rows, session->geometry.dim);

	if (result == 0 && outputs->ids.path != NULL)
		result = write_header(&outputs->ids, "u8", outputs->rows, 0);
	return result;
}

/* Append one vector and its ID. Says errors. */
static int write_row(struct outputs *outputs, uint64_t id, const void *vector, size_t length)
{
	uint64_t little = htole64(id);
	int result = out_file_write(&outputs->vectors, vector, length);

	if (result == 0 && outputs->ids.path != NULL)
		result = out_file_write(&outputs->ids, &little, sizeof(little));
	if (outputs->rows == 0)
		outputs->first_id = id;
	else if (id != outputs->first_id + outputs->rows)
		outputs->counting = false;
	outputs->rows++;
	return result;
}

/* Write all vectors of the list. Says errors; -EINTR after a signal. */
static int write_rows(struct session *session, const struct vectors_list *list, int folder_fd,
                      void *vector, struct outputs *outputs)
{
	struct progress progress;
	int result = 0;

	progress_start(&progress, "export", "vectors", 0, list->count);
	for (size_t i = 0; i < list->count && result == 0; i++) {
		if (interrupted()) {
			progress_end(&progress);
			say_error(outputs->vectors.path, "stopped; nothing was exported");
			result = -EINTR;
			break;
		}
		result = vectors_read(session, folder_fd, list->ids[i], vector);
		if (result == -ENOENT) {
			outputs->removed++;
			result = 0;
			continue;
		}
		if (result == 0)
			result = write_row(outputs, list->ids[i], vector,
			                   session->geometry.vector_bytes);
		progress_update(&progress, i + 1);
	}
	progress_end(&progress);
	return result;
}

/* Open the files and leave room for their headers. Says errors. */
static int open_outputs(const struct export_arguments *arguments, const struct session *session,
                        struct outputs *outputs)
{
	int result;

	memset(outputs, 0, sizeof(*outputs));
	outputs->counting = true;
	result = out_file_open(arguments->file, &outputs->vectors);
	if (result == 0 && arguments->ids != NULL)
		result = out_file_open(arguments->ids, &outputs->ids);
	if (result == 0)
		result = write_headers(session, outputs);
	return result;
}

/* Write the final headers, and let the files appear once both are safe. Says
 * errors. */
static int finish_outputs(const struct session *session, struct outputs *outputs)
{
	bool with_ids = outputs->ids.path != NULL;
	int result = write_headers(session, outputs);

	if (result == 0)
		result = out_file_sync(&outputs->vectors);
	if (result == 0 && with_ids)
		result = out_file_sync(&outputs->ids);
	if (result == 0)
		result = out_file_rename(&outputs->vectors);
	if (result == 0 && with_ids)
		result = out_file_rename(&outputs->ids);
	return result;
}

/* Tell what the files alone do not. */
static void say_notes(const struct export_arguments *arguments, const struct outputs *outputs)
{
	if (outputs->removed > 0)
		say_note(arguments->file,
		         "%" PRIu64 " vectors were removed meanwhile and are not in it",
		         outputs->removed);
	if (arguments->ids != NULL || outputs->rows == 0)
		return;
	if (!outputs->counting)
		say_note(arguments->file,
		         "the IDs have gaps and are not in it; --ids FILE writes them");
	else if (outputs->first_id != 0)
		say_note(arguments->file,
		         "row 0 is vector %" PRIu64 "; import it with --start-id %" PRIu64,
		         outputs->first_id, outputs->first_id);
}

/* Export an open session. Says errors. */
static int export_session(const struct export_arguments *arguments, struct session *session)
{
	struct vectors_list list = { 0 };
	struct outputs outputs;
	int folder_fd = -1;
	void *vector = malloc(session->geometry.vector_bytes);
	int result = open_outputs(arguments, session, &outputs);

	if (result == 0 && vector == NULL) {
		result = -ENOMEM;
		say_errno(session->target.path, result);
	}
	if (result == 0)
		result = vectors_list(session, &list);
	if (result == 0)
		result = vectors_open_folder(session, &folder_fd);
	if (result == 0)
		result = write_rows(session, &list, folder_fd, vector, &outputs);
	if (result == 0)
		result = finish_outputs(session, &outputs);
	out_file_drop(&outputs.vectors);
	out_file_drop(&outputs.ids);
	if (folder_fd >= 0 && close(folder_fd) < 0 && result == 0) {
		result = -errno;
		say_errno(session->target.path, result);
	}
	vectors_list_free(&list);
	free(vector);
	if (result == 0) {
		say_notes(arguments, &outputs);
		(void)printf("%" PRIu64 " vectors exported to %s\n", outputs.rows, arguments->file);
	}
	return result;
}

static const struct argp_option options[] = {
	{ "ids", KEY_IDS, "FILE", 0, "Write the ID of each row to this .npy (<u8)", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct export_arguments *arguments = state->input;

	switch (key) {
	case KEY_IDS:
		arguments->ids = text;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			arguments->target = text;
		else if (state->arg_num == 1)
			arguments->file = text;
		else
			argp_error(state, "unexpected '%s'", text);
		return 0;
	case ARGP_KEY_END:
		if (arguments->target == NULL || arguments->file == NULL)
			argp_error(state, "STORE or MNT and a FILE are needed");
		else if (arguments->ids != NULL && strcmp(arguments->ids, arguments->file) == 0)
			argp_error(state, "the vectors and their IDs need two files");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	options,
	parse,
	"STORE|MNT FILE.npy",
	"Export all vectors to a .npy file, from a store that is not mounted or through a mount "
	"that is live.\v"
	"The rows are in ascending order of their IDs, so that what 'quiverfs import' read comes "
	"back as it was. Each vector is compared with its checksum. A file that exists is "
	"replaced, "
	"in one step, when the new one is complete and on stable storage. On a live mount each "
	"vector is whole, but the file is no snapshot: what is committed meanwhile may be in it or "
	"not.",
	NULL,
	NULL,
	NULL,
};

int export_command(int argc, char **argv)
{
	struct export_arguments arguments = { 0 };
	struct session session;
	int result, closed;

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return STATUS_USAGE;
	result = interrupt_catch();
	if (result < 0) {
		say_errno("signals", result);
		return STATUS_FAILED;
	}
	if (session_open(arguments.target, SESSION_READ_ONLY, &session) < 0)
		return STATUS_FAILED;
	result = export_session(&arguments, &session);
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}
