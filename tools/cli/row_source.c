/*
 * row_source.c - one of the files whose rows are imported: opened, and compared with the store.
 */
#include "tools/cli/row_source.h"
#include "tools/cli/say.h"
#include "tools/formats/formats.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* The header of a store's columns (engine/FORMAT.md), which no other program makes that long. */
#define STORE_HEADER_BYTES 4096u

/* Where a tar file has its mark, and the mark. */
#define TAR_MARK_OFFSET 257u
#define TAR_MARK "ustar"

/* Whether the file holds files, or is compressed by a program that is not known here: data sets
 * are often shipped so. Says which pipe brings it in. */
static bool say_archive(const char *path)
{
	size_t length = TAR_MARK_OFFSET + strlen(TAR_MARK);
	const unsigned char *at = NULL;
	struct stream stream;
	bool said = false;

	if (stream_open(path, &stream) < 0)
		return false;
	if (stream_unpack(&stream, true, true) < 0) {
		said = stream.reason != NULL;
		if (said)
			say_error(path, "%s", stream.reason);
	} else if (stream_peek(&stream, length, &at) == (int64_t)length &&
	           memcmp(at + TAR_MARK_OFFSET, TAR_MARK, strlen(TAR_MARK)) == 0) {
		said = true;
		say_error(path, "an archive of files: 'tar -xOf FILE MEMBER | quiverfs import "
		                "STORE - --format NAME' imports one of them");
	}
	stream_close(&stream);
	return said;
}

/* Say why a path has no format: of what is no file, that, else that nobody said which. */
static void say_no_format(const struct rows_options *options, const char *path)
{
	const char *option = options->format_option != NULL ? options->format_option : "--format";
	struct stat status;

	if (strcmp(path, "-") == 0)
		say_error("standard input",
		          "it has no name, so the format is not known; use %s, one of: %s", option,
		          FORMAT_NAMES);
	else if (stat(path, &status) < 0)
		say_errno(path, -errno);
	else if (S_ISDIR(status.st_mode))
		say_error(path, "a folder; expected a file of vectors, in one of the formats %s",
		          FORMAT_NAMES);
	else if (!S_ISREG(status.st_mode) || !say_archive(path))
		say_error(path, "its name does not tell the format; use %s, one of: %s", option,
		          FORMAT_NAMES);
}

/* The format of a path. Says errors. */
static const struct format *find_format(const struct rows_options *options, const char *path)
{
	const struct format *format = options->format != NULL ? format_by_name(options->format)
	                                                      : format_to_read(path);

	if (format == NULL)
		say_no_format(options, path);
	return format;
}

/* Say what a store of bits takes. */
static int refuse_bits(const struct rows_options *options, const struct row_source *source)
{
	const struct quiver_geometry *geometry = options->geometry;

	say_error(source->stream.path,
	          "its vectors have dim %" PRIu32 " and dtype %s, but %s has dim %" PRIu32
	          " and dtype b1; expected %" PRIu32 " bools, or %" PRIu32
	          " u1 with eight bits each (numpy.packbits), or with --convert %" PRIu32
	          " numbers that are 0 or 1",
	          source->reader.dim, element_name(source->reader.type), options->target,
	          geometry->dim, geometry->dim, geometry->vector_bytes, geometry->dim);
	return -EINVAL;
}

/* A type's name, with what it is where that is no type of C or NumPy. */
static const char *describe(enum element type)
{
	if (type == ELEMENT_BF2)
		return "bf2 (bfloat16)";
	return type == ELEMENT_B1 ? "b1 (bits)" : element_name(type);
}

/* Compare a file with the store. Says errors. */
static int compare(const struct rows_options *options, enum element type, struct row_source *source)
{
	const struct format_reader *reader = &source->reader;
	const struct quiver_geometry *geometry = options->geometry;
	/* not with a store that is yet to be made */
	bool with_first = options->fit != NULL && source->stream.path != options->paths[0];
	const char *other = with_first ? options->paths[0] : options->target;
	bool same_dim = reader->dim == geometry->dim;
	bool bits = type == ELEMENT_B1;

	source->as_it_is =
		(same_dim && reader->type == type) ||
		(bits && reader->type == ELEMENT_U1 && reader->dim == geometry->vector_bytes);
	if (source->as_it_is || (same_dim && options->convert) ||
	    (same_dim && bits && reader->type == ELEMENT_BOOL))
		return 0;
	if (bits)
		return refuse_bits(options, source);
	say_error(source->stream.path,
	          "its vectors have dim %" PRIu32 " and dtype %s, but %s has dim %" PRIu32
	          " and dtype %s%s",
	          reader->dim, describe(reader->type), other, geometry->dim, describe(type),
	          same_dim ? "; --convert converts them, and reports what is lost" : "");
	return -EINVAL;
}

/* What was asked for of columns fits the format. Says errors. */
static int check_columns(const struct rows_options *options, const struct row_source *source)
{
	const struct format *format = source->reader.format;

	if ((options->vector_column != NULL || options->id_column != NULL) &&
	    !format->has_columns) {
		say_error(source->stream.path, "%s: the format %s has no columns with names",
		          options->vector_column != NULL ? "--vector-column" : "--id-column",
		          format->name);
		return -EINVAL;
	}
	if ((options->header != FORMAT_HEADER_AUTO || options->delimiter != '\0') &&
	    !format->has_header) {
		say_error(source->stream.path, "%s is for CSV only, not for the format %s",
		          options->delimiter != '\0' ? "--delimiter" : "--header", format->name);
		return -EINVAL;
	}
	return 0;
}

/* See to it that packed bytes are unpacked, and that a format that needs a file has one. Says
 * errors. */
static int unpack_source(struct row_source *source, const struct format *format)
{
	struct stream *stream = &source->stream;
	int result = stream_unpack(stream, !format->any_start,
	                           source->reader.wanted.partial && !format->is_text);

	if (result < 0 && result != -EINTR)
		say_error(stream->path, "%s",
		          stream->reason != NULL ? stream->reason : strerror(-result));
	if (result < 0 || !format->needs_path || stream->sized)
		return result;
	say_error(stream->path, "%s can be read only from a file, not from %s", format->name,
	          stream->packed != UNPACK_NONE
	                  ? "a compressed one: decompress it first, with gzip -dk or zstd -dk"
	                  : "a pipe: save it in a file first, and import that");
	return -EINVAL;
}

/* What was asked for fits the format. Says errors. */
static int check_options(const struct rows_options *options, const struct row_source *source)
{
	const struct format *format = source->reader.format;
	const char *path = source->stream.path;

	if (options->fit != NULL && options->geometry->dim == 0 && format == &format_raw) {
		say_error(path, "a raw file does not tell how many elements a vector has; give "
		                "--dim D, and --dtype TYPE if the type is not f4");
		return -EINVAL;
	}
	if (options->dataset != NULL && !format->has_datasets) {
		say_error(path,
		          "--dataset: a file of the format %s has one array, and no name for it",
		          format->name);
		return -EINVAL;
	}
	if (options->keys_path != NULL && !format->reads_keys) {
		say_error(path, "--keys: the format %s has no keys", format->name);
		return -EINVAL;
	}
	if (options->skip_bytes > 0 && !format->has_skip) {
		say_error(path,
		          "--skip-bytes is only for raw files; the format %s has its own header",
		          format->name);
		return -EINVAL;
	}
	return check_columns(options, source);
}

/* Say why a file of the format cannot be read. */
static void say_refused(const struct row_source *source, int result)
{
	if (result == -EINTR)
		return;
	if (source->stream.sized && source->stream.size == 0)
		say_error(source->stream.path, "the file is empty; expected the format %s",
		          source->reader.format->name);
	else if (source->reader.line > 0)
		say_error(source->stream.path, "line %" PRIu64 ": %s", source->reader.line,
		          source->reader.reason);
	else
		say_error(source->stream.path, "%s", source->reader.reason);
}

/* What the reader is asked for. */
static struct format_wanted wanted(const struct rows_options *options, enum element type,
                                   uint64_t limit, struct row_keys *keys, struct row_names *names)
{
	bool with_keys = options->keys_path != NULL;
	bool with_any = with_keys || options->with_names;

	return (struct format_wanted){
		.dim = options->geometry->dim,
		.type = type,
		.convert = options->convert,
		.dataset = options->dataset,
		.skip_bytes = options->skip_bytes,
		.vector_column = options->vector_column,
		.id_column = options->id_column,
		.header = options->header,
		.delimiter = options->delimiter,
		.partial = options->partial,
		.limit = limit,
		.one_row = options->compared,
		.ids_unused = options->start_given || options->ids_path != NULL,
		.on_key = !with_any   ? NULL
		          : with_keys ? row_keys_take
		                      : row_names_take,
		.on_key_arg = !with_any   ? NULL
		              : with_keys ? (void *)keys
		                          : names,
	};
}

/* A file that holds something, but no row, was not understood; others may be empty. Says errors. */
static int check_rows(const struct row_source *source)
{
	const struct format_reader *reader = &source->reader;

	if (reader->lacks_rows && source->stream.offset > 0) {
		say_error(source->stream.path,
		          "it holds no rows of the format %s, only blank lines, comments or names "
		          "of columns",
		          reader->format->name);
		return -EINVAL;
	}
	if (reader->rows == 0)
		say_note(source->stream.path, "it holds no rows");
	return 0;
}

int row_source_open(const struct rows_options *options, enum element type, uint64_t limit,
                    struct row_keys *keys, struct row_names *names, const char *path,
                    struct row_source *source)
{
	const struct format *format = find_format(options, path);
	struct format_reader *reader = &source->reader;
	int result;

	if (format == NULL)
		return -EINVAL;
	result = stream_open(path, &source->stream);
	if (result < 0) {
		say_errno(path, result);
		return result;
	}
	source->opened = true;
	reader->format = format;
	reader->stream = &source->stream;
	reader->wanted = wanted(options, type, limit, keys, names);
	result = unpack_source(source, format);
	if (result == 0)
		result = check_options(options, source);
	if (result < 0)
		return result;
	result = format->calls->open(reader);
	if (result < 0) {
		say_refused(source, result);
		return result;
	}
	if (reader->note[0] != '\0')
		say_note(source->stream.path, "%s", reader->note);
	stream_rest(&source->stream);
	result = check_rows(source);
	if (result == 0 && options->fit != NULL)
		result = row_fit_take(options->fit, options->convert, reader, &type);
	if (result == 0)
		result = compare(options, type, source);
	if (result == 0 && options->keys_path != NULL && reader->rows != 0 && !reader->has_keys) {
		say_error(source->stream.path, "--keys: its rows have neither keys nor IDs");
		return -EINVAL;
	}
	return result;
}

bool row_source_is_column(const struct row_source *source)
{
	return source->reader.format == &format_npy &&
	       source->reader.data_offset == STORE_HEADER_BYTES;
}

void row_source_close(struct row_source *source)
{
	if (!source->opened)
		return;
	if (source->reader.format->calls->close != NULL)
		source->reader.format->calls->close(&source->reader);
	stream_close(&source->stream);
	source->opened = false;
}
