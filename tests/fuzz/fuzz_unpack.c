/* fuzz_unpack.c - the stream under all formats, over what gzip or zstd may have packed: in
 * whatever pieces it is read, from a file and a pipe, it is the same; and what is packed here
 * comes back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "tools/formats/pack.h"
#include "tools/formats/stream.h"

/* What stands before the packed bytes in an input. */
#define SELECTORS 2u
/* No more is unpacked of one: two kilobytes of zstd may be gigabytes of zeros. */
#define UNPACKED_BYTES_MAX (1u << 20)
#define PIECE_BYTES_MAX 4096u
#define PATH_BYTES 32

struct bytes {
	uint8_t *at;
	size_t size;
};

/* What came out of a stream. */
struct outcome {
	struct bytes bytes;
	int result; /* of the end, or an error */
	bool full; /* there is more */
};

/* `path` must live as long. */
static void open_bytes(const uint8_t *data, size_t size, bool pipe, char path[PATH_BYTES],
                       struct stream *stream)
{
	int fd = memfd_create("packed", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, PATH_BYTES, "/proc/self/fd/%d", fd);
	FUZZ_CHECK(stream_open(path, stream) == 0 && close(fd) == 0);
	if (!pipe)
		return;
	stream->sized = false;
	stream->size = 0;
}

/* Read all of it in pieces; a rest in between is not noticed. */
static void read_bytes(const uint8_t *data, size_t size, bool pipe, bool cut_is_end, size_t piece,
                       struct outcome *outcome)
{
	struct stream stream;
	const unsigned char *peeked;
	char path[PATH_BYTES];
	int64_t got;

	open_bytes(data, size, pipe, path, &stream);
	outcome->bytes.size = 0;
	got = stream_unpack(&stream, true, cut_is_end);
	FUZZ_CHECK(got == 0 || (got == -EINVAL && stream.reason));
	while (got >= 0) {
		size_t left = UNPACKED_BYTES_MAX - outcome->bytes.size;

		if (outcome->bytes.size == piece)
			stream_rest(&stream);
		got = stream_read(&stream, outcome->bytes.at + outcome->bytes.size,
		                  piece < left ? piece : left);
		if (got > 0)
			outcome->bytes.size += (size_t)got;
		FUZZ_CHECK(stream.offset == outcome->bytes.size);
		if (got == 0)
			break;
	}
	if (got == 0)
		got = stream_peek(&stream, 1, &peeked);
	FUZZ_CHECK(got >= 0 || (got == -EINVAL && stream.reason && stream.reason[0]));
	outcome->full = got > 0;
	outcome->result = got < 0 ? (int)got : 0;
	stream_close(&stream);
}

/* The same bytes and the same end. How much comes out before an error depends on the pieces: zstd
 * keeps what it made of a block in which it finds one. */
static void check_same(const struct outcome *one, const struct outcome *other)
{
	size_t both = one->bytes.size < other->bytes.size ? one->bytes.size : other->bytes.size;

	FUZZ_CHECK(memcmp(one->bytes.at, other->bytes.at, both) == 0);
	if (one->result == 0 && other->result == 0)
		FUZZ_CHECK(one->bytes.size == other->bytes.size && one->full == other->full);
	else
		FUZZ_CHECK(one->result == other->result || one->full || other->full);
}

static int append(void *arg, const void *bytes, size_t length)
{
	struct bytes *packed = arg;

	FUZZ_CHECK(length <= UNPACKED_BYTES_MAX - packed->size);
	memcpy(packed->at + packed->size, bytes, length);
	packed->size += length;
	return 0;
}

static void pack(enum unpack_kind kind, const uint8_t *data, size_t size, struct bytes *packed)
{
	struct pack *packing = pack_begin(kind, append, packed);

	FUZZ_CHECK(packing);
	FUZZ_CHECK(pack_write(packing, data, size) == 0 && pack_finish(packing) == 0);
	pack_end(packing);
}

static struct outcome first, second;
static struct bytes packed;

static void make_room(void)
{
	struct bytes *const all[] = { &first.bytes, &second.bytes, &packed };

	for (size_t i = 0; i < 3 && !packed.at; i++) {
		all[i]->at = malloc(UNPACKED_BYTES_MAX);
		FUZZ_CHECK(all[i]->at);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool cut_is_end;
	size_t piece;

	if (size < SELECTORS)
		return 0;
	make_room();
	cut_is_end = data[0] & 1;
	piece = 1 + data[1] * 16u;
	FUZZ_CHECK(piece <= PIECE_BYTES_MAX);
	read_bytes(data + SELECTORS, size - SELECTORS, false, cut_is_end, PIECE_BYTES_MAX, &first);
	read_bytes(data + SELECTORS, size - SELECTORS, true, cut_is_end, piece, &second);
	check_same(&first, &second);
	read_bytes(data + SELECTORS, size - SELECTORS, false, cut_is_end, piece, &second);
	check_same(&first, &second);
	/* the same bytes, packed in two members or frames */
	packed.size = 0;
	pack(data[0] & 2 ? UNPACK_GZIP : UNPACK_ZSTD, data, SELECTORS, &packed);
	pack(data[0] & 4 ? UNPACK_GZIP : UNPACK_ZSTD, data + SELECTORS, size - SELECTORS, &packed);
	if (!(data[0] & 2) != !(data[0] & 4))
		return 0;
	read_bytes(packed.at, packed.size, data[0] & 8, cut_is_end, piece, &first);
	FUZZ_CHECK(first.result == 0 && first.bytes.size == size);
	FUZZ_CHECK(memcmp(first.bytes.at, data, size) == 0);
	return 0;
}

/* Some text, packed by either, whole and in two, and zeros. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	static const char text[] = "1 2 3 4\n1 2 3 4\n5 6 7 8\n5 6 7 8\n1 2 3 4\n";
	enum unpack_kind kind = number & 1 ? UNPACK_GZIP : UNPACK_ZSTD;
	uint8_t zeros[UINT16_MAX] = { 0 };

	if (number >= 8)
		return FUZZ_NO_SEED;
	make_room();
	packed.size = 0;
	if (number < 4)
		pack(kind, (const uint8_t *)text, sizeof(text) - 1, &packed);
	else
		pack(kind, zeros, sizeof(zeros), &packed);
	if (number & 2)
		pack(kind, (const uint8_t *)text, sizeof(text) / 2, &packed);
	to[0] = (uint8_t)number;
	to[1] = (uint8_t)(number * 16);
	FUZZ_CHECK(SELECTORS + packed.size <= room);
	memcpy(to + SELECTORS, packed.at, packed.size);
	return SELECTORS + packed.size;
}
