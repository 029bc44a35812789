/*
 * pack.c - bytes packed as gzip and zstd pack them, as they come.
 */
#include "tools/formats/pack.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#define ZLIB_CONST /* what is packed is only read */
#include <zlib.h>
#include <zstd.h>

/* Packed bytes written at once. */
#define OUTPUT_BYTES (128u << 10)
/* For zlib: the largest window, and a gzip header before what is packed; its default memory. */
#define GZIP_WINDOW (15 + 16)
#define GZIP_MEMORY 8

struct pack {
	enum unpack_kind kind;
	int (*write)(void *arg, const void *bytes, size_t length);
	void *arg;
	z_stream gzip;
	ZSTD_CCtx *zstd;
	unsigned char output[OUTPUT_BYTES];
};

/* Begin with the library. */
static bool begin(struct pack *pack)
{
	if (pack->kind == UNPACK_GZIP)
		return deflateInit2(&pack->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW,
		                    GZIP_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK;
	pack->zstd = ZSTD_createCCtx();
	return pack->zstd != NULL &&
	       !ZSTD_isError(ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_checksumFlag, 1));
}

struct pack *pack_begin(enum unpack_kind kind,
                        int (*write)(void *arg, const void *bytes, size_t length), void *arg)
{
	struct pack *pack = calloc(1, sizeof(*pack));

	if (pack == NULL)
		return NULL;
	pack->kind = kind;
	pack->write = write;
	pack->arg = arg;
	if (begin(pack))
		return pack;
	pack_end(pack);
	return NULL;
}

/* Pack what is at *bytes, which it moves on, and write what comes out. 1 where all is packed, 0
 * where it is to be called again. */
static int step_gzip(struct pack *pack, const unsigned char **bytes, size_t *length, bool last)
{
	z_stream *gzip = &pack->gzip;
	uInt given = *length < UINT_MAX ? (uInt)*length : UINT_MAX;
	int result, ended;

	gzip->next_in = *bytes;
	gzip->avail_in = given;
	gzip->next_out = pack->output;
	gzip->avail_out = OUTPUT_BYTES;
	ended = deflate(gzip, last && given == *length ? Z_FINISH : Z_NO_FLUSH);
	if (ended == Z_STREAM_ERROR)
		return -EIO;
	*bytes += given - gzip->avail_in;
	*length -= given - gzip->avail_in;
	result = pack->write(pack->arg, pack->output, OUTPUT_BYTES - gzip->avail_out);
	if (result < 0)
		return result;
	return last ? ended == Z_STREAM_END : *length == 0 && gzip->avail_out > 0;
}

static int step_zstd(struct pack *pack, const unsigned char **bytes, size_t *length, bool last)
{
	ZSTD_inBuffer in = { .src = *bytes, .size = *length };
	ZSTD_outBuffer out = { .dst = pack->output, .size = OUTPUT_BYTES };
	size_t left =
		ZSTD_compressStream2(pack->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
	int result;

	if (ZSTD_isError(left))
		return -EIO;
	*bytes += in.pos;
	*length -= in.pos;
	result = pack->write(pack->arg, pack->output, out.pos);
	if (result < 0)
		return result;
	return last ? left == 0 : *length == 0;
}

static int run(struct pack *pack, const void *bytes, size_t length, bool last)
{
	const unsigned char *at = bytes;
	int result = 0;

	while (result == 0)
		result = pack->kind == UNPACK_GZIP ? step_gzip(pack, &at, &length, last)
		                                   : step_zstd(pack, &at, &length, last);
	return result < 0 ? result : 0;
}

int pack_write(struct pack *pack, const void *bytes, size_t length)
{
	return length > 0 ? run(pack, bytes, length, false) : 0;
}

int pack_finish(struct pack *pack)
{
	return run(pack, "", 0, true);
}

void pack_end(struct pack *pack)
{
	if (pack == NULL)
		return;
	if (pack->kind == UNPACK_GZIP)
		(void)deflateEnd(&pack->gzip); /* what is not finished is thrown away */
	(void)ZSTD_freeCCtx(pack->zstd); /* it fails for contexts of other threads only */
	free(pack);
}
