/*
 * unpack.c - what gzip and zstd have packed, unpacked as bytes are asked for.
 */
#include "tools/formats/unpack.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* Packed bytes read at once. */
#define INPUT_BYTES (128u << 10)
/* For zlib: the largest window, and a gzip header before what is packed. */
#define GZIP_WINDOW (15 + 16)

struct unpack {
	enum unpack_kind kind;
	bool cut_is_end;
	int64_t (*more)(void *arg, void *to, size_t length);
	void *arg;
	z_stream gzip;
	ZSTD_DStream *zstd;
	unsigned char *input;
	size_t start, length; /* of the packed bytes that are not used yet */
	uint64_t offset; /* of the first of them in the file */
	bool within; /* a member or a frame has begun and not ended */
	unsigned long count; /* of those that have ended */
	bool ended;
	int result; /* the error that came before, which stays */
	char reason[UNPACK_REASON_BYTES];
};

static const struct {
	const char *suffix;
	enum unpack_kind kind;
} suffixes[] = {
	{ ".gz", UNPACK_GZIP },
	{ ".zst", UNPACK_ZSTD },
	{ ".zstd", UNPACK_ZSTD },
};

/* Of bzip2, then a digit, then what a block begins with: text may begin with the first alone. */
#define BZIP2_START "BZh"
#define BZIP2_BLOCK "1AY&SY"

/* How files begin. Of gzip all have the method 8. */
static const struct {
	const char *bytes;
	size_t length;
	enum unpack_kind kind;
	const char *program;
} starts[] = {
	{ "\x1f\x8b\x08", 3, UNPACK_GZIP, "gzip -dc FILE" },
	{ "\x28\xb5\x2f\xfd", 4, UNPACK_ZSTD, "zstd -dc FILE" },
	{ "\xfd\x37zX", 4, UNPACK_OTHER, "xz -dc FILE" },
	{ BZIP2_START, 3, UNPACK_OTHER, "bzip2 -dc FILE" },
	{ "\x04\x22\x4d\x18", 4, UNPACK_OTHER, "lz4 -dc FILE" },
	{ "PK\x03\x04", 4, UNPACK_OTHER, "unzip -p FILE MEMBER" },
};

/* A frame of zstd that holds nothing for this use: the first byte is 0x50 to 0x5f. */
static const unsigned char skipped[] = { 0x2a, 0x4d, 0x18 };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum unpack_kind unpack_by_name(const char *path, size_t *length)
{
	size_t whole = strlen(path);

	*length = whole;
	for (size_t i = 0; i < LENGTH(suffixes); i++) {
		size_t bytes = strlen(suffixes[i].suffix);

		if (whole <= bytes || strcasecmp(path + whole - bytes, suffixes[i].suffix) != 0)
			continue;
		*length = whole - bytes;
		return suffixes[i].kind;
	}
	return UNPACK_NONE;
}

static bool begins(size_t which, const unsigned char *at, size_t length)
{
	size_t bytes = starts[which].length;

	if (length < bytes || memcmp(at, starts[which].bytes, bytes) != 0)
		return false;
	return strcmp(starts[which].bytes, BZIP2_START) != 0 ||
	       (length >= UNPACK_LOOK_BYTES &&
	        memcmp(at + bytes + 1, BZIP2_BLOCK, sizeof(BZIP2_BLOCK) - 1) == 0);
}

/* Which of `starts` it is, or LENGTH(starts). */
static size_t find_start(const unsigned char *at, size_t length)
{
	size_t which = 0;

	while (which < LENGTH(starts) && !begins(which, at, length))
		which++;
	return which;
}

enum unpack_kind unpack_by_start(const unsigned char *at, size_t length)
{
	size_t which = find_start(at, length);

	if (which < LENGTH(starts))
		return starts[which].kind;
	if (length > sizeof(skipped) && (at[0] & 0xf0) == 0x50 &&
	    memcmp(at + 1, skipped, sizeof(skipped)) == 0)
		return UNPACK_ZSTD;
	return UNPACK_NONE;
}

const char *unpack_program(const unsigned char *at, size_t length)
{
	size_t which = find_start(at, length);

	return which < LENGTH(starts) ? starts[which].program : NULL;
}

struct unpack *unpack_begin(enum unpack_kind kind, bool cut_is_end,
                            int64_t (*more)(void *arg, void *to, size_t length), void *arg)
{
	struct unpack *unpack = calloc(1, sizeof(*unpack));
	bool ready = false;

	if (unpack == NULL)
		return NULL;
	unpack->kind = kind;
	unpack->cut_is_end = cut_is_end;
	unpack->more = more;
	unpack->arg = arg;
	unpack->input = malloc(INPUT_BYTES);
	if (kind == UNPACK_GZIP) {
		ready = inflateInit2(&unpack->gzip, GZIP_WINDOW) == Z_OK;
	} else {
		unpack->zstd = ZSTD_createDStream();
		ready = unpack->zstd != NULL;
	}
	if (unpack->input != NULL && ready)
		return unpack;
	unpack_end(unpack);
	return NULL;
}

void unpack_end(struct unpack *unpack)
{
	if (unpack == NULL)
		return;
	if (unpack->kind == UNPACK_GZIP)
		(void)inflateEnd(&unpack->gzip); /* also of one that was not begun */
	else
		(void)ZSTD_freeDStream(unpack->zstd); /* always 0 */
	free(unpack->input);
	free(unpack);
}

const char *unpack_reason(const struct unpack *unpack)
{
	return unpack->reason;
}

static int refuse(struct unpack *unpack, const char *text, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct unpack *unpack, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	(void)vsnprintf(unpack->reason, sizeof(unpack->reason), text, arguments);
	va_end(arguments);
	return -EINVAL;
}

static const char *name_of(const struct unpack *unpack)
{
	return unpack->kind == UNPACK_GZIP ? "gzip" : "zstd";
}

static int refuse_damage(struct unpack *unpack, const char *what)
{
	return refuse(unpack, "damaged at byte %" PRIu64 " of the compressed file: %s says '%s'",
	              unpack->offset, name_of(unpack), what);
}

/* Have packed bytes ready. 1, 0 at their end, or an error. */
static int refill(struct unpack *unpack)
{
	int64_t got;

	if (unpack->length > 0)
		return 1;
	if (interrupted())
		return -EINTR;
	got = unpack->more(unpack->arg, unpack->input, INPUT_BYTES);
	if (got <= 0)
		return (int)got;
	unpack->start = 0;
	unpack->length = (size_t)got;
	return 1;
}

static void use(struct unpack *unpack, size_t length)
{
	unpack->start += length;
	unpack->length -= length;
	unpack->offset += length;
}

/* Between members: gzip ends at zeros that fill the last block of a tape, and says that of
 * other bytes, which are no mistake to be passed over here. 1 where a member follows, 0 at the
 * end, or an error. */
static int next_member(struct unpack *unpack)
{
	int result = refill(unpack);

	if (unpack->count == 0)
		return result;
	while (result > 0 && unpack->input[unpack->start] == 0) {
		use(unpack, 1);
		result = refill(unpack);
	}
	if (result > 0 && unpack->input[unpack->start] != 0x1f)
		return refuse(unpack,
		              "damaged at byte %" PRIu64
		              " of the compressed file: what follows is not gzip's",
		              unpack->offset);
	return result;
}

/* Unpack some of a member of gzip: what was made to *made. */
static int inflate_some(struct unpack *unpack, void *to, size_t length, size_t *made)
{
	z_stream *gzip = &unpack->gzip;
	size_t room = length < UINT_MAX ? length : UINT_MAX;
	size_t given = unpack->length;
	int result;

	gzip->next_in = unpack->input + unpack->start;
	gzip->avail_in = (uInt)given;
	gzip->next_out = to;
	gzip->avail_out = (uInt)room;
	result = inflate(gzip, Z_NO_FLUSH);
	use(unpack, given - gzip->avail_in);
	*made = room - gzip->avail_out;
	if (result == Z_MEM_ERROR)
		return -ENOMEM;
	if (result == Z_STREAM_END) {
		unpack->within = false;
		unpack->count++;
		return inflateReset(gzip) == Z_OK ? 0 : -ENOMEM;
	}
	unpack->within = true;
	if (result == Z_OK || result == Z_BUF_ERROR)
		return 0;
	return refuse_damage(unpack, gzip->msg != NULL ? gzip->msg : "a dictionary is needed");
}

/* The same of a frame of zstd. */
static int unzstd_some(struct unpack *unpack, void *to, size_t length, size_t *made)
{
	ZSTD_inBuffer in = { unpack->input + unpack->start, unpack->length, 0 };
	ZSTD_outBuffer out = { to, length, 0 };
	size_t result = ZSTD_decompressStream(unpack->zstd, &out, &in);

	use(unpack, in.pos);
	*made = out.pos;
	if (!ZSTD_isError(result)) {
		unpack->within = result != 0;
		unpack->count += result == 0;
		return 0;
	}
	if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
		return -ENOMEM;
	if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge)
		return refuse(unpack,
		              "it is compressed with a window of more than 128 MiB; pipe it "
		              "through 'zstd -dc --long=31' instead");
	return refuse_damage(unpack, ZSTD_getErrorName(result));
}

/* No packed byte is left. */
static int end_of_input(struct unpack *unpack)
{
	unpack->ended = true;
	if ((!unpack->within && unpack->count > 0) || unpack->cut_is_end)
		return 0;
	return refuse(unpack, "cut off: the compressed file ends at byte %" PRIu64 ", within a %s",
	              unpack->offset,
	              unpack->kind == UNPACK_GZIP ? "member of gzip" : "frame of zstd");
}

/* Unpack some of what there is; what was made to *made. */
static int unpack_some(struct unpack *unpack, void *to, size_t length, size_t *made)
{
	bool zstd = unpack->kind == UNPACK_ZSTD;
	int result = !zstd && !unpack->within ? next_member(unpack) : refill(unpack);
	size_t left = unpack->length;

	if (result < 0)
		return result;
	/* without input they hand out what they have held back */
	result = 0;
	if (left > 0 || unpack->within)
		result = zstd ? unzstd_some(unpack, to, length, made)
		              : inflate_some(unpack, to, length, made);
	return result == 0 && *made == 0 && left == 0 ? end_of_input(unpack) : result;
}

int64_t unpack_read(struct unpack *unpack, void *to, size_t length)
{
	size_t made = 0;

	while (made == 0 && length > 0 && !unpack->ended && unpack->result == 0) {
		int result = unpack_some(unpack, to, length, &made);

		if (result == -EINTR)
			return result;
		unpack->result = result;
	}
	/* what was made before an error goes ahead of it */
	return made > 0 ? (int64_t)made : unpack->result;
}
