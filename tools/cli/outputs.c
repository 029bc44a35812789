/*
 * outputs.c - the files that an export writes: vectors of one format, and their IDs beside them.
 */
#include "tools/cli/outputs.h"
#include "engine/quiver.h"
#include "tools/cli/room.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The writer's bytes, to a file. */
static int write_file(void *arg, const void *bytes, size_t length)
{
	return out_file_write(arg, bytes, length);
}

static int write_file_start(void *arg, const void *bytes, size_t length)
{
	return out_file_write_start(arg, bytes, length);
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

int outputs_write(struct outputs *outputs, uint64_t id, const void *vector)
{
	const void *row = convert(outputs, id, vector);
	const char *key = NULL;
	int result = row == NULL ? -EDOM : 0;

	if (result == 0 && outputs->keys.path != NULL)
		result = keys_file_find(&outputs->keys, id, &key);
	if (result == 0)
		result = say_writer(outputs, outputs->writer.format->calls->write_row(
						     &outputs->writer, id, row, key));
	if (result == 0 && outputs->ids.file.path != NULL)
		result = ids_out_write(&outputs->ids, id);
	if (outputs->writer.rows == 0)
		outputs->first_id = id;
	else if (id != outputs->first_id + outputs->writer.rows)
		outputs->counting = false;
	outputs->writer.rows++;
	return result;
}

/* Choose what elements become. Of a format that has one type only, bits stay bits in u1. Says
 * errors. */
static int choose_element(const struct outputs_options *options, struct outputs *outputs)
{
	const char *only = options->format->type, *own = element_name(outputs->type);
	enum element wanted = options->dtype_given ? options->dtype : outputs->type;
	bool packed = wanted == ELEMENT_B1 && only != NULL && strcmp(only, "u1") == 0;

	outputs->made = wanted;
	if (only == NULL || packed || strcmp(only, element_name(wanted)) == 0)
		return 0;
	if (options->dtype_given) {
		say_error(outputs->path,
		          "the format %s holds elements of type %s, but --dtype asks for %s",
		          options->format->name, only, element_name(wanted));
		return -EINVAL;
	}
	if (!options->convert) {
		say_error(outputs->path,
		          "the format %s holds elements of type %s, but the store has %s; "
		          "--convert converts them, and reports what is lost",
		          options->format->name, only, own);
		return -EINVAL;
	}
	return element_parse(only, &outputs->made);
}

/* Choose the type and the dimension of the rows to write: where there is no type for bits, bytes
 * of eight of them. Says errors. */
static int choose_type(const struct outputs_options *options, const struct session *session,
                       struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	bool bits;
	int result = element_parse(quiver_dtype_name(session->geometry.dtype), &outputs->type);

	outputs->dim = session->geometry.dim;
	if (result == 0)
		result = choose_element(options, outputs);
	if (result < 0)
		return result;
	bits = outputs->made == ELEMENT_B1;
	if (bits && outputs->dim % ELEMENT_BITS != 0) {
		say_error(outputs->path,
		          "--dtype b1 packs eight elements into a byte, but dim %" PRIu32
		          " is not a multiple of 8",
		          outputs->dim);
		return -EINVAL;
	}
	bits = bits && !options->format->is_text;
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

/* Open all files; nothing is written. Says errors. */
static int open_all(const struct outputs_options *options, const struct session *session,
                    struct outputs *outputs, struct apart *apart)
{
	int result = apart_store(apart, session->target.path);

	if (result == 0 && options->keys != NULL)
		result = apart_read(apart, options->keys);
	if (result == 0)
		result = out_file_open(options->file, 0, apart, &outputs->vectors);
	if (result == 0 && options->ids != NULL)
		result = ids_out_open(options->ids, apart, &outputs->ids);
	if (result == 0 && options->keys != NULL)
		result = keys_file_open(options->keys, options->start_id, &outputs->keys);
	return result;
}

/* See to it that what is written is packed, where its name ends like that, and that a format which
 * needs a file has one. Says errors. */
static int pack_vectors(const struct outputs_options *options, struct outputs *outputs)
{
	size_t length;
	enum unpack_kind kind = unpack_by_name(options->file, &length);

	if (options->format->writes_path && kind != UNPACK_NONE) {
		say_error(outputs->path,
		          "%s cannot be compressed during the export; export it to a file, and "
		          "compress that",
		          options->format->name);
		return -EINVAL;
	}
	if (options->format->writes_path && !out_file_can_restart(&outputs->vectors)) {
		say_error(outputs->path, "%s can be written only to a file, not to a pipe",
		          options->format->name);
		return -EINVAL;
	}
	return kind == UNPACK_NONE ? 0 : out_file_pack(&outputs->vectors, kind);
}

/* Open the files, and tell the writer of them. Says errors. */
static int open_files(const struct outputs_options *options, const struct session *session,
                      struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	struct apart apart = { 0 };
	int result = open_all(options, session, outputs, &apart);

	if (result == 0)
		result = pack_vectors(options, outputs);
	apart_free(&apart);
	writer->write = write_file;
	writer->write_start = out_file_can_restart(&outputs->vectors) ? write_file_start : NULL;
	writer->arg = &outputs->vectors;
	writer->path = outputs->vectors.opened;
	/* A pipe that nobody reads any more is an error: the file beside it must not stay behind. */
	if (result == 0 && options->ids != NULL)
		(void)signal(SIGPIPE, SIG_IGN); /* fails for wrong numbers only */
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

/* What the writer is told of what is wanted. */
static void tell_writer(const struct outputs_options *options, uint64_t expected,
                        struct format_writer *writer)
{
	writer->format = options->format;
	writer->expected = expected;
	writer->dataset = options->dataset;
	writer->header = options->header;
	writer->delimiter = options->delimiter;
	writer->vector_column = options->vector_column;
	writer->id_column = options->id_column;
}

/* Write the headers. Says errors. */
static int write_headers(struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	const struct format *format = writer->format;
	int result = 0;

	if (out_file_can_restart(&outputs->vectors) && !format->is_text)
		room_note_file(outputs->path, outputs->vectors.place.folder_fd,
		               writer->expected * element_row_bytes(writer->type, writer->dim));
	if (format->writes_path)
		result = out_file_begin(&outputs->vectors);
	if (result == 0 && format->calls->write_header != NULL)
		result = say_writer(outputs, format->calls->write_header(writer));
	if (result == 0 && outputs->ids.file.path != NULL)
		result = ids_out_begin(&outputs->ids, writer->expected);
	return result;
}

int outputs_open(const struct outputs_options *options, struct session *session, uint64_t expected,
                 struct outputs *outputs)
{
	int result;

	memset(outputs, 0, sizeof(*outputs));
	outputs->options = options;
	outputs->path = strcmp(options->file, "-") == 0 ? "standard output" : options->file;
	outputs->counting = true;
	tell_writer(options, expected, &outputs->writer);
	result = choose_type(options, session, outputs);
	if (result == 0)
		result = describe(session, outputs);
	if (result == 0)
		result = open_files(options, session, outputs);
	return result < 0 ? result : write_headers(outputs);
}

int outputs_finish(struct outputs *outputs)
{
	struct format_writer *writer = &outputs->writer;
	bool with_ids = outputs->ids.file.path != NULL;
	int result = 0;

	if (writer->format->calls->finish != NULL)
		result = say_writer(outputs, writer->format->calls->finish(writer));
	if (result == 0)
		result = out_file_sync(&outputs->vectors);
	if (result == 0 && with_ids)
		result = ids_out_sync(&outputs->ids, writer->expected, writer->rows);
	if (result == 0)
		result = out_file_end(&outputs->vectors);
	if (result == 0 && with_ids)
		result = out_file_end(&outputs->ids.file);
	return result;
}

void outputs_close(struct outputs *outputs)
{
	if (outputs->writer.format->calls->end != NULL)
		outputs->writer.format->calls->end(&outputs->writer);
	out_file_drop(&outputs->vectors);
	out_file_drop(&outputs->ids.file);
	keys_file_close(&outputs->keys);
	free(outputs->converted);
}
