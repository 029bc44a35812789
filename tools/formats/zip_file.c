/*
 * zip_file.c - the members of a ZIP file as streams, by way of minizip.
 */
#include "tools/formats/zip_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unzip.h>

/* Bits of a member's flags and its methods, as the format numbers them. */
#define FLAG_ENCRYPTED 1u
#define METHOD_STORED 0u
#define METHOD_DEFLATED 8u
/* Bytes asked of the library at once: it counts in int. */
#define READ_BYTES_MAX (1u << 20)

static int refuse(struct zip_file *file, int result, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct zip_file *file, int result, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	(void)vsnprintf(file->reason, sizeof(file->reason), text, arguments);
	va_end(arguments);
	return result;
}

/* ---- what the library calls --------------------------------------------------------- */

static void *open_place(void *opaque, const void *name, int mode)
{
	(void)name;
	(void)mode;
	return opaque;
}

static uLong read_place(void *opaque, void *unused, void *to, uLong length)
{
	struct zip_file *file = opaque;
	int64_t got = stream_read_at(file->stream, to, length, file->position);

	(void)unused;
	if (got < 0)
		return 0;
	file->position += (uint64_t)got;
	return (uLong)got;
}

/* Nothing is written. */
static uLong write_place(void *opaque, void *unused, const void *from, uLong length)
{
	(void)opaque;
	(void)unused;
	(void)from;
	(void)length;
	return 0;
}

static ZPOS64_T tell_place(void *opaque, void *unused)
{
	const struct zip_file *file = opaque;

	(void)unused;
	return file->position;
}

static long seek_place(void *opaque, void *unused, ZPOS64_T offset, int origin)
{
	struct zip_file *file = opaque;

	(void)unused;
	if (origin == ZLIB_FILEFUNC_SEEK_CUR)
		offset += file->position;
	else if (origin == ZLIB_FILEFUNC_SEEK_END)
		offset += file->stream->size;
	if (offset > file->stream->size)
		return -1;
	file->position = offset;
	return 0;
}

static int close_place(void *opaque, void *unused)
{
	(void)opaque;
	(void)unused;
	return 0;
}

/* ---- members ------------------------------------------------------------------------ */

int zip_open(const struct stream *stream, struct zip_file *file)
{
	zlib_filefunc64_def calls = {
		.zopen64_file = open_place,
		.zread_file = read_place,
		.zwrite_file = write_place,
		.ztell64_file = tell_place,
		.zseek64_file = seek_place,
		.zclose_file = close_place,
		.zerror_file = close_place, /* what was not read is what is missing */
		.opaque = file,
	};

	memset(file, 0, sizeof(*file));
	file->stream = stream;
	file->zip = unzOpen2_64("", &calls);
	return file->zip != NULL
	               ? 0
	               : refuse(file, -EINVAL, "not a ZIP file, or one that is cut off or damaged");
}

void zip_close(struct zip_file *file)
{
	if (file->zip != NULL)
		(void)unzClose(file->zip); /* it was only read */
	file->zip = NULL;
}

/* The name of the member that `result` says is gone to. */
static int name_member(struct zip_file *file, int result, char name[ZIP_NAME_BYTES])
{
	if (result == UNZ_END_OF_LIST_OF_FILE)
		return 0;
	if (result == UNZ_OK)
		result = unzGetCurrentFileInfo64(file->zip, NULL, name, ZIP_NAME_BYTES - 1, NULL, 0,
		                                 NULL, 0);
	name[ZIP_NAME_BYTES - 1] = '\0'; /* one that is cut has none */
	return result == UNZ_OK
	               ? 1
	               : refuse(file, -EINVAL, "damaged: its list of members cannot be read");
}

int zip_first(struct zip_file *file, char name[ZIP_NAME_BYTES])
{
	unz_global_info64 all = { 0 };

	/* of an empty list there is no first */
	if (unzGetGlobalInfo64(file->zip, &all) == UNZ_OK && all.number_entry == 0)
		return 0;
	return name_member(file, unzGoToFirstFile(file->zip), name);
}

int zip_next(struct zip_file *file, char name[ZIP_NAME_BYTES])
{
	return name_member(file, unzGoToNextFile(file->zip), name);
}

/* The bytes of the member, as a stream's source. At the end the checksum is compared. */
static int64_t read_member(void *arg, void *to, size_t length)
{
	struct zip_file *file = arg;
	unsigned wanted = length < READ_BYTES_MAX ? (unsigned)length : READ_BYTES_MAX;
	int got;

	if (file->at_end)
		return 0;
	got = unzReadCurrentFile(file->zip, to, wanted);
	if (got > 0)
		return got;
	if (got < 0 || !unzeof(file->zip))
		return refuse(file, -EINVAL,
		              "damaged: the member of the ZIP file cannot be read on");
	file->opened = false;
	if (unzCloseCurrentFile(file->zip) == UNZ_CRCERROR)
		return refuse(file, -EINVAL,
		              "damaged: the member of the ZIP file does not match its checksum");
	file->at_end = true;
	return 0;
}

/* Open it in the library; what the list says of it to *info. */
static int open_member(struct zip_file *file, unz_file_info64 *info)
{
	if (unzGetCurrentFileInfo64(file->zip, info, NULL, 0, NULL, 0, NULL, 0) != UNZ_OK)
		return refuse(file, -EINVAL, "damaged: its list of members cannot be read");
	if (info->flag & FLAG_ENCRYPTED)
		return refuse(file, -EINVAL, "the member of the ZIP file is encrypted");
	if (info->compression_method != METHOD_STORED &&
	    info->compression_method != METHOD_DEFLATED)
		return refuse(file, -EINVAL,
		              "the member of the ZIP file is compressed by method %lu; only 0 "
		              "(stored) and 8 (deflate) are known",
		              info->compression_method);
	if (unzOpenCurrentFile(file->zip) != UNZ_OK)
		return refuse(file, -EINVAL,
		              "damaged: the member of the ZIP file cannot be opened");
	file->opened = true;
	return 0;
}

int zip_open_member(struct zip_file *file, struct stream *member)
{
	unz_file_info64 info;
	int result = open_member(file, &info);

	if (result < 0)
		return result;
	file->at_end = false;
	memset(member, 0, sizeof(*member));
	member->path = file->stream->path;
	member->fd = -1;
	member->source = read_member;
	member->source_arg = file;
	member->reason = file->reason;
	return 0;
}

void zip_close_member(struct zip_file *file, struct stream *member)
{
	stream_close(member);
	if (file->opened)
		(void)unzCloseCurrentFile(file->zip); /* what was not read has no checksum */
	file->opened = false;
}

int zip_place_member(struct zip_file *file, struct stream *member)
{
	uint64_t size = file->stream->size, offset;
	unz_file_info64 info;
	int result = open_member(file, &info);

	if (result < 0)
		return result;
	offset = unzGetCurrentFileZStreamPos64(file->zip);
	(void)unzCloseCurrentFile(file->zip); /* nothing was read of it */
	file->opened = false;
	if (info.compression_method != METHOD_STORED)
		return refuse(file, -ENOTSUP, "the member of the ZIP file is compressed");
	if (offset > size || info.uncompressed_size > size - offset)
		return refuse(file, -EINVAL,
		              "damaged: the member ends after the end of the ZIP file");
	memset(member, 0, sizeof(*member));
	member->path = file->stream->path;
	member->fd = file->stream->fd;
	member->sized = true;
	member->base = file->stream->base + offset;
	member->size = info.uncompressed_size;
	return 0;
}
