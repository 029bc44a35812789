/*
 * export.c - quiverfs export: a store or a live mount into files of vectors.
 */
#include "engine/codec/npy.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/dtype.h"
#include "tools/cli/ids.h"
#include "tools/cli/keys_file.h"
#include "tools/cli/out_file.h"
#include "tools/cli/progress.h"
#include "tools/cli/room.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"
#include "tools/cli/vectors.h"
#include "tools/formats/formats.h"
#include "tools/formats/interrupt.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct export_arguments {
	char *target;
	char *file;
	const struct format *format;
	const char *dataset;
	const char *ids;
	const char *keys;
	uint64_t start_id;
	bool start_given;
	bool convert;
	bool dtype_given;
	enum element dtype; /* what to convert to, where it is given */
};

/* What is being written. */
struct outputs {
	const char *path; /* for messages */
	struct out_file vectors; /* not open where they go to standard output */
	struct out_file ids; /* not open where it is not wanted */
	struct format_writer writer;
	struct quiver_description description; /* which the writer points to */
	enum element type; /* of the store */
	uint32_t dim; /* of the store */
	enum element made; /* what rows are converted to */
	unsigned char *converted; /* a row of them; NULL where it is the same */
	struct element_loss loss;
	struct keys_file keys; /* not open where it is not wanted */
	uint64_t removed; /* vectors that went away meanwhile */
	uint64_t first_id;
	bool counting; /* the IDs so far count up by one */
};

/* The writer's bytes, to a file. */
static int write_file(void *arg, const void *bytes, size_t length)
{
	return out_file_write(arg, bytes, length);
}

static int write_file_start(void *arg, const void *bytes, size_t length)
{
	return out_file_write_start(arg, bytes, length);
}

/* And to standard output. */
static int write_stdout(void *arg, const void *bytes, size_t length)
{
	const struct outputs *outputs = arg;

	errno = 0;
	if (fwrite(bytes, 1, length, stdout) == length)
		return 0;
	say_error(outputs->path, "writing failed: %s", strerror(errno != 0 ? errno : EIO));
	return errno != 0 ? -errno : -EIO;
}

/* Say what the format has to say of an error; what it called has said the rest. */
static int say_writer(const struct outputs *outputs, int result)
{
	if (result < 0 && outputs->writer.reason[0] != '\0')
		say_error(outputs->path, "%s", outputs->writer.reason);
	else if (result == -ENOMEM)
		say_errno(outputs->path, result);
	return result;
}

/* Write the header of the file of IDs. Says errors. */
static int write_ids_header(struct outputs *outputs, uint64_t rows,
                            int (*write)(struct out_file *file, const void *bytes, size_t length))
{
	char header[NPY_WRITTEN_BYTES];
	int result;

	if (outputs->ids.path == NULL)
		return 0;
	result = npy_format_header(header, "u8", rows, 0);
	return result < 0 ? result : write(&outputs->ids, header, sizeof(header));
}

/* Bring a row to the writer's type. Says errors. */
static const void *convert(struct outputs *outputs, uint64_t id, const void *vector)
{
	size_t bad;

	if (outputs->converted == NULL)
		return vector;
	if (element_convert(outputs->type, vector, outputs->made, outputs->converted, outputs->dim,
	                    &outputs->loss, &bad) == 0)
		return outputs->converted;
	say_error(outputs->path, "element %zu of vector %" PRIu64 ": %s", bad, id,
	          element_refusal(outputs->type, outputs->made));
	return NULL;
}

/* Append one vector and its ID. Says errors. */
static int write_row(struct outputs *outputs, uint64_t id, const void *vector)
{
	uint64_t little = htole64(id);
	const void *row = convert(outputs, id, vector);
	const char *key = NULL;
	int result = row == NULL ? -EDOM : 0;

	if (result == 0 && outputs->keys.path != NULL)
		result = keys_file_find(&outputs->keys, id, &key);
	if (result == 0)
		result = say_writer(outputs, outputs->writer.format->calls->write_row(
						     &outputs->writer, id, row, key));
	if (result == 0 && outputs->ids.path != NULL)
		result = out_file_write(&outputs->ids, &little, sizeof(little));
	if (outputs->writer.rows == 0)
		outputs->first_id = id;
	else if (id != outputs->first_id + outputs->writer.rows)
		outputs->counting = false;
	outputs->writer.rows++;
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
			if (outputs->vectors.path != NULL)
				say_error(outputs->path, "stopped; nothing was exported");
			else
				say_error(outputs->path,
				          "stopped; what was written is not complete");
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
			result = write_row(outputs, list->ids[i], vector);
		progress_update(&progress, i + 1);
	}
	progress_end(&progress);
	return result;
}

/* Choose what elements become. Of a format that has one type only, bits stay bits in u1. Says
 * errors. */
static int choose_element(const struct export_arguments *arguments, struct outputs *outputs)
{
	const char *only = arguments->format->type, *own = element_name(outputs->type);
	enum element wanted = arguments->dtype_given ? arguments->dtype : outputs->type;
	bool packed = wanted == ELEMENT_B1 && only != NULL && strcmp(only, "u1") == 0;

	outputs->made = wanted;
	if (only == NULL || packed || strcmp(only, element_name(wanted)) == 0)
		return 0;
	if (arguments->dtype_given) {
		say_error(outputs->path,
		          "the format %s holds elements of type %s, --dtype asks for %s",
		          arguments->format->name, only, element_name(wanted));
		return -EINVAL;
	}
	if (!arguments->convert) {
		say_error(outputs->path,
		          "the format %s holds elements of type %s, the store has %s; --convert "
		          "converts them, and says what is lost",
		          arguments->format->name, only, own);
		return -EINVAL;
	}
	return element_parse(only, &outputs->made);
}

/* Choose the type and the dimension of the rows to write: where there is no type for bits, bytes
 * of eight of them. Says errors. */
static int choose_type(const struct export_arguments *arguments, const struct session *session,
                       struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	bool bits;
	int result = element_parse(quiver_dtype_name(session->geometry.dtype), &outputs->type);

	outputs->dim = session->geometry.dim;
	if (result == 0)
		result = choose_element(arguments, outputs);
	if (result < 0)
		return result;
	bits = outputs->made == ELEMENT_B1;
	if (bits && outputs->dim % ELEMENT_BITS != 0) {
		say_error(outputs->path,
		          "--dtype b1 has eight elements in a byte, and dim %" PRIu32
		          " is no multiple of 8",
		          outputs->dim);
		return -EINVAL;
	}
	bits = bits && !arguments->format->is_text;
	writer->type = bits ? ELEMENT_U1 : outputs->made;
	writer->dim = bits ? outputs->dim / ELEMENT_BITS : outputs->dim;
	if (outputs->made == outputs->type)
		return 0;
	outputs->converted = malloc(element_row_bytes(outputs->made, outputs->dim));
	if (outputs->converted != NULL)
		return 0;
	say_errno(outputs->path, -ENOMEM);
	return -ENOMEM;
}

/* Open the files, or standard output. Says errors. */
static int open_files(const struct export_arguments *arguments, struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	int result = 0;

	if (strcmp(arguments->file, "-") != 0) {
		result = out_file_open(arguments->file, &outputs->vectors);
		writer->write = write_file;
		writer->write_start = write_file_start;
		writer->arg = &outputs->vectors;
		writer->path = outputs->vectors.opened;
	} else if (arguments->format->needs_path) {
		say_error(outputs->path, "%s is written to a file only, not to a pipe",
		          arguments->format->name);
		return -EINVAL;
	} else {
		writer->write = write_stdout;
		writer->arg = outputs;
	}
	if (result == 0 && arguments->ids != NULL)
		result = out_file_open(arguments->ids, &outputs->ids);
	if (result == 0 && arguments->keys != NULL)
		result = keys_file_open(arguments->keys, arguments->start_id, &outputs->keys);
	return result;
}

/* What the store says of itself, for formats that have a place for it. Says errors. */
static int describe(struct session *session, struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	int result = session_describe(session, &outputs->description);

	if (result < 0)
		return result == -ENOENT ? 0 : result;
	writer->dtype = element_name(outputs->made);
	writer->metric = quiver_metric_name(outputs->description.metric);
	writer->label = outputs->description.label;
	return 0;
}

/* Open the files and write their headers, for as many rows as there are now. Says
 * errors. */
static int open_outputs(const struct export_arguments *arguments, struct session *session,
                        uint64_t expected, struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	int result;

	writer->expected = expected;
	writer->dataset = arguments->dataset;
	result = choose_type(arguments, session, outputs);
	if (result == 0)
		result = describe(session, outputs);
	if (result == 0)
		result = open_files(arguments, outputs);
	if (result == 0 && outputs->vectors.path != NULL && !arguments->format->is_text)
		room_note_file(outputs->path,
		               expected * element_row_bytes(writer->type, writer->dim));
	if (result == 0 && writer->format->calls->write_header != NULL)
		result = say_writer(outputs, writer->format->calls->write_header(writer));
	if (result == 0)
		result = write_ids_header(outputs, expected, out_file_write);
	return result;
}

/* Bring all to standard output. Says errors. */
static int finish_stdout(const struct outputs *outputs)
{
	errno = 0;
	if (fflush(stdout) != 0) {
		int result = errno != 0 ? -errno : -EIO;

		say_error(outputs->path, "writing failed: %s", strerror(-result));
		return result;
	}
	return 0;
}

/* Write what follows the rows and the final headers, and let the files appear once both are safe. Says
 * errors. */
static int finish_outputs(struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	bool with_ids = outputs->ids.path != NULL;
	bool with_vectors = outputs->vectors.path != NULL;
	int result = 0;

	if (writer->format->calls->finish != NULL)
		result = say_writer(outputs, writer->format->calls->finish(writer));
	if (result == 0)
		result = write_ids_header(outputs, writer->rows, out_file_write_start);
	if (result == 0)
		result = with_vectors ? out_file_sync(&outputs->vectors) : finish_stdout(outputs);
	if (result == 0 && with_ids)
		result = out_file_sync(&outputs->ids);
	if (result == 0 && with_vectors)
		result = out_file_rename(&outputs->vectors);
	if (result == 0 && with_ids)
		result = out_file_rename(&outputs->ids);
	return result;
}

/* Give back everything; files that were not finished go. */
static void close_outputs(struct outputs *outputs)
{
	if (outputs->writer.format->calls->end != NULL)
		outputs->writer.format->calls->end(&outputs->writer);
	out_file_drop(&outputs->vectors);
	out_file_drop(&outputs->ids);
	keys_file_close(&outputs->keys);
	free(outputs->converted);
}

/* Tell what conversion changed. */
static void say_loss(const struct outputs *outputs)
{
	const struct element_loss *loss = &outputs->loss;
	const char *type = element_name(outputs->made);

	if (outputs->converted == NULL)
		return;
	if (loss->rounded + loss->beyond == 0)
		say_note(outputs->path, "conversion to %s: %" PRIu64 " elements, all of them exact",
		         type, loss->elements);
	else
		say_note(outputs->path,
		         "conversion to %s: of %" PRIu64 " elements %" PRIu64
		         " were rounded (by %.3g at most), and %" PRIu64
		         " were beyond its range and became its nearest",
		         type, loss->elements, loss->rounded, loss->largest, loss->beyond);
}

/* Tell what the files alone do not. */
static void say_notes(const struct export_arguments *arguments, const struct outputs *outputs)
{
	if (outputs->removed > 0)
		say_note(outputs->path,
		         "%" PRIu64 " vectors were removed meanwhile and are not in it",
		         outputs->removed);
	say_loss(outputs);
	if (arguments->ids != NULL || outputs->writer.rows == 0 || arguments->format->writes_ids)
		return;
	if (!outputs->counting)
		say_note(outputs->path,
		         "the IDs have gaps and are not in it; --ids FILE writes them");
	else if (outputs->first_id != 0)
		say_note(outputs->path,
		         "row 0 is vector %" PRIu64 "; import it with --start-id %" PRIu64,
		         outputs->first_id, outputs->first_id);
}

/* Say what was done; what goes to standard output goes alone. */
static void say_exported(const struct export_arguments *arguments, const struct outputs *outputs)
{
	say_notes(arguments, outputs);
	if (strcmp(arguments->file, "-") == 0)
		return;
	say_result("%" PRIu64 " vectors exported to %s", outputs->writer.rows, arguments->file);
}

/* Export an open session. Says errors. */
static int export_session(const struct export_arguments *arguments, struct session *session)
{
	struct outputs outputs = {
		.path = arguments->file,
		.writer.format = arguments->format,
		.counting = true,
	};
	struct vectors_list list = { 0 };
	int folder_fd = -1;
	void *vector = malloc(session->geometry.vector_bytes);
	int result = vectors_list(session, &list);

	if (strcmp(outputs.path, "-") == 0)
		outputs.path = "standard output";
	if (result == 0 && vector == NULL) {
		result = -ENOMEM;
		say_errno(session->target.path, result);
	}
	if (result == 0)
		result = open_outputs(arguments, session, list.count, &outputs);
	if (result == 0)
		result = vectors_open_folder(session, &folder_fd);
	if (result == 0)
		result = write_rows(session, &list, folder_fd, vector, &outputs);
	if (result == 0)
		result = finish_outputs(&outputs);
	close_outputs(&outputs);
	if (folder_fd >= 0 && close(folder_fd) < 0 && result == 0) {
		result = -errno;
		say_errno(session->target.path, result);
	}
	vectors_list_free(&list);
	free(vector);
	if (result == 0)
		say_exported(arguments, &outputs);
	return result;
}

static const char export_help[] =
	"Export all vectors to a file, from a store that is not mounted or through a mount that "
	"is live.\v"
	"FILE '-' is standard output. "
	"The rows are in ascending order of their IDs, so that what 'quiverfs import' read comes "
	"back as it was; jsonl and csv hold the IDs as well. Each vector is compared with its "
	"checksum. A file that exists is replaced, in one step, when the new one is complete and "
	"on stable storage. On a live mount each vector is whole, but the file is no snapshot: "
	"what is committed meanwhile may be in it or not.";

/* All arguments are there: do they fit together? */
static void check_arguments(void *to, const struct argp_state *state)
{
	struct export_arguments *arguments = to;
	struct stat status;

	if (arguments->ids != NULL && strcmp(arguments->ids, arguments->file) == 0)
		arguments_error(state, "the vectors and their IDs need two files");
	if (arguments->format == NULL)
		arguments->format = format_by_suffix(arguments->file);
	if (arguments->format == NULL && stat(arguments->file, &status) == 0 &&
	    S_ISDIR(status.st_mode))
		arguments_error(
			state,
			"'%s' is a folder; expected is STORE or MNT first, then the FILE to "
			"be written",
			arguments->file);
	else if (arguments->format == NULL)
		arguments_error(
			state,
			"the name of '%s' does not tell its format; --format does, one of: %s",
			arguments->file, FORMAT_NAMES);
	else if (arguments->dataset != NULL && !arguments->format->has_datasets)
		arguments_error(state,
		                "--dataset: a file of the format %s has one array, without a name",
		                arguments->format->name);
	else if (arguments->keys != NULL && !arguments->format->reads_keys)
		arguments_error(state, "--keys: the format %s has no place for them",
		                arguments->format->name);
	if (arguments->keys == NULL && arguments->start_given)
		arguments_error(state, "--start-id goes with --keys");
}

static error_t take_format(void *to, char *text, const struct argp_state *state)
{
	const struct format **format = to;

	*format = format_by_name(text);
	if (*format == NULL)
		arguments_error(state, "--format: '%s' is none of: %s", text, FORMAT_NAMES);
	return 0;
}

static error_t take_start_id(void *to, char *text, const struct argp_state *state)
{
	if (!id_parse(text, to))
		arguments_error(state, "--start-id: '%s' is no ID", text);
	return 0;
}

static error_t take_dtype(void *to, char *text, const struct argp_state *state)
{
	enum quiver_dtype dtype = QUIVER_F4;

	if (!dtype_parse(text, &dtype) || element_parse(quiver_dtype_name(dtype), to) < 0)
		arguments_error(state, "--dtype: expected " DTYPE_NAMES ", got '%s'", text);
	return 0;
}

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct export_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "format", 0, "NAME",
		  "One of: " FORMAT_NAMES "; without it the suffix of FILE tells",
		  .take = take_format, .to = &parsed->format },
		{ "dataset", 0, "NAME",
		  "What the array is called in a .hdf5 (default 'train') or .safetensors (default "
		  "'vectors')",
		  .keeps = &parsed->dataset },
		{ "ids", 0, "FILE", "Write the ID of each row to this .npy (<u8)",
		  .keeps = &parsed->ids },
		{ "keys", 0, "FILE",
		  "A line for each vector, its key, which is written in place of its ID",
		  .keeps = &parsed->keys },
		{ "words", 0, NULL, NULL },
		{ "start-id", 0, "N", "The first line of --keys is of vector N (default 0)",
		  .sets = &parsed->start_given, .take = take_start_id, .to = &parsed->start_id },
		{ "convert", 0, NULL,
		  "Convert elements to the type of the format; what is lost is told",
		  .sets = &parsed->convert },
		{ "dtype", 0, "TYPE", "Convert elements to " DTYPE_NAMES "; what is lost is told",
		  .sets = &parsed->dtype_given, .take = take_dtype, .to = &parsed->dtype },
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE|MNT FILE",
		.help = export_help,
		.options = options,
		.words = { &parsed->target, &parsed->file },
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
	if (session_begin(arguments.target, SESSION_READ_ONLY, &session) < 0)
		return STATUS_FAILED;
	result = export_session(&arguments, &session);
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}
