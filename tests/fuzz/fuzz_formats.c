/* fuzz_formats.c - files of vectors to import, of every format but HDF5 and Parquet, whose
 * libraries do the parsing; that of .npz, which is linked, is tried as well. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "tools/formats/formats.h"

/* What stands before the bytes of the file in an input. */
#define SELECTORS 3u
#define DIM_MAX 4u
#define ROOM_MAX 3u
#define ELEMENT_BYTES_MAX 8u
/* No file of an input has more: a row of text takes two bytes, one of a binary one. */
#define ROWS_MAX 4096u
/* A longest text of each number of each row, or what headers take. */
#define FILE_BYTES_MAX (ROWS_MAX * DIM_MAX * 40u)

static const struct format *const formats[] = {
	&format_npy,   &format_fvecs,    &format_bvecs,  &format_ivecs,       &format_fbin,
	&format_u8bin, &format_i8bin,    &format_jsonl,  &format_safetensors, &format_csv,
	&format_glove, &format_word2vec, &format_w2vbin, &format_raw,         &format_f16bin,
	&format_dbin,  &format_ibin,     &format_json,   &format_tsv,         &format_npz,
	&format_arrow,
};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))
#define STORE_TYPES ELEMENT_STORE_COUNT

struct file {
	uint8_t *bytes;
	size_t size;
};

/* What came out of a file. */
struct outcome {
	bool opened; /* and of the dimension that is wanted */
	int result;
	uint64_t rows; /* read */
	uint64_t promised;
	enum element type;
	bool has_ids;
	struct file elements; /* of all rows */
	uint64_t *ids;
	uint64_t key_count;
	struct file keys; /* each ended by a NUL */
};

static int keep_key(void *arg, const char *key, size_t length)
{
	struct outcome *outcome = arg;
	struct file *keys = &outcome->keys;

	FUZZ_CHECK(memchr(key, '\0', length) == NULL);
	FUZZ_CHECK(length < FILE_BYTES_MAX - keys->size);
	memcpy(keys->bytes + keys->size, key, length);
	keys->bytes[keys->size + length] = '\0';
	keys->size += length + 1;
	outcome->key_count++;
	return 0;
}

/* Keep the rows of a batch. */
static void keep(struct outcome *outcome, const struct format_reader *reader,
                 const struct format_batch *batch, size_t file_bytes)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);

	FUZZ_CHECK(batch->count <= batch->room && outcome->rows + batch->count <= ROWS_MAX);
	for (size_t i = 0; i < batch->count; i++)
		FUZZ_CHECK(batch->offsets[i] < file_bytes || reader->format->needs_path);
	memcpy(outcome->elements.bytes + outcome->elements.size, batch->rows,
	       batch->count * row_bytes);
	outcome->elements.size += batch->count * row_bytes;
	if (reader->has_ids)
		memcpy(outcome->ids + outcome->rows, batch->ids,
		       batch->count * sizeof(*batch->ids));
	outcome->rows += batch->count;
	FUZZ_CHECK(reader->row == outcome->rows);
}

static void read_rows(struct format_reader *reader, size_t room, size_t file_bytes,
                      struct outcome *outcome)
{
	uint8_t *rows = malloc(room * element_row_bytes(reader->type, reader->dim));
	uint64_t ids[ROOM_MAX], offsets[ROOM_MAX];
	struct format_batch batch = { .room = room, .rows = rows, .ids = ids, .offsets = offsets };
	bool full = false;

	FUZZ_CHECK(rows);
	do {
		outcome->result = reader->format->calls->read(reader, &batch);
		FUZZ_CHECK(outcome->result == 0 || reader->reason[0]);
		keep(outcome, reader, &batch, file_bytes);
		/* a deflated member may have a thousand times the bytes of the file */
		full = reader->format->needs_path && outcome->rows + room > ROWS_MAX;
	} while (outcome->result == 0 && batch.count > 0 && !full);
	free(rows);
	if (outcome->result == 0 && !full && reader->rows != FORMAT_ROWS_UNKNOWN)
		FUZZ_CHECK(outcome->rows == reader->rows);
}

/* Read a file, as one or (`pipe`) as bytes that come one after another. */
static void read_file(const struct format *format, const struct file *file,
                      const struct format_wanted *wanted, bool pipe, size_t room,
                      struct outcome *outcome)
{
	struct stream stream;
	struct format_reader reader = { .format = format, .stream = &stream, .wanted = *wanted };
	char path[32];
	int fd = memfd_create("formats", MFD_CLOEXEC);

	outcome->opened = false;
	outcome->result = 0;
	outcome->rows = 0;
	outcome->elements.size = 0;
	FUZZ_CHECK(fd >= 0 && write(fd, file->bytes, file->size) == (ssize_t)file->size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FUZZ_CHECK(stream_open(path, &stream) == 0 && close(fd) == 0);
	if (pipe) {
		stream.sized = false;
		stream.size = 0;
	}
	outcome->key_count = outcome->keys.size = 0;
	reader.wanted.on_key_arg = outcome;
	outcome->result = format->calls->open(&reader);
	FUZZ_CHECK(outcome->result == 0 || reader.reason[0]);
	/* the file is to tell it, as for a store that is made for it */
	if (outcome->result == 0 && wanted->dim == 0 && reader.dim <= DIM_MAX)
		reader.wanted.dim = reader.dim;
	if (outcome->result == 0 && reader.dim > 0 && reader.dim == reader.wanted.dim) {
		outcome->opened = true;
		outcome->type = reader.type;
		outcome->has_ids = reader.has_ids;
		outcome->promised = reader.rows;
		FUZZ_CHECK(!reader.is_text || reader.type == wanted->type);
		read_rows(&reader, room, file->size, outcome);
		FUZZ_CHECK(!wanted->on_key || !reader.has_keys ||
		           outcome->key_count >= outcome->rows);
	}
	if (format->calls->close)
		format->calls->close(&reader);
	stream_close(&stream);
}

/* ---- written again ------------------------------------------------------------------ */

static int append(void *arg, const void *bytes, size_t length)
{
	struct file *file = arg;

	FUZZ_CHECK(length <= FILE_BYTES_MAX - file->size);
	memcpy(file->bytes + file->size, bytes, length);
	file->size += length;
	return 0;
}

static int overwrite(void *arg, const void *bytes, size_t length)
{
	struct file *file = arg;

	FUZZ_CHECK(length <= file->size);
	memcpy(file->bytes, bytes, length);
	return 0;
}

/* What the format's library wrote. */
static void take_written(int fd, struct file *file)
{
	ssize_t got = pread(fd, file->bytes, FILE_BYTES_MAX, 0);

	FUZZ_CHECK(got >= 0 && close(fd) == 0);
	file->size = (size_t)got;
}

/* Write the rows of a file that was read. False where the format refuses, as JSON does NaN. */
static bool write_file(const struct format *format, const struct outcome *outcome, uint32_t dim,
                       struct file *file)
{
	struct format_writer writer = {
		.format = format,
		.dim = dim,
		.type = outcome->type,
		.expected = outcome->rows,
		.write = append,
		.write_start = overwrite,
		.arg = file,
	};
	size_t row_bytes = element_row_bytes(outcome->type, dim);
	char path[32];
	const char *key = (const char *)outcome->keys.bytes;
	int result = 0, fd = -1;

	file->size = 0;
	if (format->writes_path) {
		fd = memfd_create("written", MFD_CLOEXEC);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		writer.path = path;
	}
	if (format->calls->write_header)
		result = format->calls->write_header(&writer);
	for (; result == 0 && writer.rows < outcome->rows; writer.rows++) {
		bool keyed = outcome->key_count > 0 && format->reads_keys;

		result = format->calls->write_row(
			&writer, outcome->has_ids ? outcome->ids[writer.rows] : writer.rows,
			outcome->elements.bytes + writer.rows * row_bytes, keyed ? key : NULL);
		if (keyed)
			key += strlen(key) + 1;
	}
	if (result == 0 && format->calls->finish)
		result = format->calls->finish(&writer);
	if (format->calls->end)
		format->calls->end(&writer);
	if (format->writes_path)
		take_written(fd, file);
	FUZZ_CHECK(result == 0 || writer.reason[0]);
	return result == 0;
}

static bool is_good(const struct outcome *outcome)
{
	return outcome->opened && outcome->result == 0;
}

/* The same elements; of a NaN text does not keep the bits. */
static void check_same(const struct outcome *first, const struct outcome *second, bool is_text)
{
	uint32_t bytes = first->type == ELEMENT_B1 ? 1 : element_bytes(first->type);

	FUZZ_CHECK(is_good(first) && is_good(second) && second->rows == first->rows);
	FUZZ_CHECK(second->type == first->type && second->elements.size == first->elements.size);
	for (size_t at = 0; at < first->elements.size; at += bytes) {
		const uint8_t *one = first->elements.bytes + at;
		size_t bad;

		if (memcmp(one, second->elements.bytes + at, bytes) != 0)
			FUZZ_CHECK(is_text && !element_all_finite(first->type, one, 1, &bad));
	}
}

/* ---- the target --------------------------------------------------------------------- */

static struct outcome as_file, as_pipe, again;
static struct file written;

static void make_room(void)
{
	struct outcome *const outcomes[] = { &as_file, &as_pipe, &again };

	if (written.bytes)
		return;
	written.bytes = malloc(FILE_BYTES_MAX);
	FUZZ_CHECK(written.bytes);
	for (size_t i = 0; i < 3; i++) {
		outcomes[i]->elements.bytes = malloc(ROWS_MAX * DIM_MAX * ELEMENT_BYTES_MAX);
		outcomes[i]->ids = malloc(ROWS_MAX * sizeof(uint64_t));
		outcomes[i]->keys.bytes = malloc(FILE_BYTES_MAX);
		FUZZ_CHECK(outcomes[i]->keys.bytes);
		FUZZ_CHECK(outcomes[i]->elements.bytes && outcomes[i]->ids);
	}
}

/* Types that a store has and this format can hold. */
static bool can_write(const struct format *format, enum element type)
{
	if (type >= STORE_TYPES || (type == ELEMENT_B1 && !format->is_text))
		return false;
	return !format->type || strcmp(format->type, element_name(type)) == 0;
}

/* Bring what was read to the type that was wanted, or be told why not; what is exact comes back as
 * it was, but for -0 and the bits of a NaN. */
static void convert(const struct outcome *outcome, enum element type, uint32_t dim)
{
	size_t row_bytes = element_row_bytes(outcome->type, dim);
	uint8_t to[DIM_MAX * ELEMENT_BYTES_MAX];

	for (uint64_t row = 0; row < outcome->rows; row++) {
		const uint8_t *from = outcome->elements.bytes + row * row_bytes;
		struct element_loss loss = { 0 };
		size_t bad = dim;
		int result = element_convert(outcome->type, from, type, to, dim, &loss, &bad);

		FUZZ_CHECK(result == 0 || (result == -EDOM && bad < dim &&
		                           element_refusal(outcome->type, type)[0]));
		if (result != 0 || loss.rounded > 0 || loss.beyond > 0)
			continue;
		for (size_t i = 0; i < dim; i++) {
			double was = element_get(outcome->type, from, i, NULL);
			double is = element_get(type, to, i, NULL);

			FUZZ_CHECK(was == is || (was != was && is != is));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct format_wanted wanted = { .limit = UINT64_MAX };
	const struct format *format;
	uint8_t copy[2048];
	struct file file = { copy, 0 };
	size_t room;
	bool is_text;

	if (size < SELECTORS || size - SELECTORS > sizeof(copy))
		return 0;
	make_room();
	format = formats[data[0] % FORMATS];
	wanted.type = (enum element)(data[1] % STORE_TYPES);
	wanted.partial = data[1] / STORE_TYPES & 1;
	wanted.convert = data[2] & 1;
	wanted.dim = 1 + (data[2] >> 1) % DIM_MAX;
	wanted.on_key = data[2] & 0x40 ? NULL : keep_key;
	if (format->has_columns && data[2] & 0x80)
		wanted.vector_column = "vector";
	if (format->has_header) {
		wanted.header = (enum format_header)(data[1] / STORE_TYPES / 2 % 3);
		wanted.delimiter = "\0,;\t |"[data[1] / STORE_TYPES / 6 % 6];
	}
	room = 1 + (data[2] >> 3) % ROOM_MAX;
	file.size = size - SELECTORS;
	if (file.size > 0)
		memcpy(copy, data + SELECTORS, file.size);

	if (format != &format_raw) {
		struct format_wanted found = wanted;

		found.dim = 0;
		read_file(format, &file, &found, false, room, &as_file);
	}
	read_file(format, &file, &wanted, false, room, &as_file);
	if (!format->needs_path)
		read_file(format, &file, &wanted, true, ROOM_MAX, &as_pipe);
	/* What a pipe cannot be read for (Fortran order) is refused when it is opened. */
	if (!format->needs_path && as_pipe.result != -ENOTSUP &&
	    (is_good(&as_file) || is_good(&as_pipe)))
		check_same(&as_file, &as_pipe, false);
	if (!is_good(&as_file))
		return 0;
	convert(&as_file, wanted.type, wanted.dim);
	if (!can_write(format, as_file.type) || !write_file(format, &as_file, wanted.dim, &written))
		return 0;
	is_text = format->calls->end != NULL;
	wanted.convert = wanted.partial = false;
	wanted.vector_column = NULL;
	wanted.header = FORMAT_HEADER_AUTO;
	wanted.delimiter = '\0';
	wanted.type = as_file.type; /* bf2 is read of <u2 where a store has it */
	read_file(format, &written, &wanted, false, ROOM_MAX, &again);
	if (as_file.rows > 0 || format->calls->write_header)
		check_same(&as_file, &again, is_text);
	/* A key comes back as it was, or is not written. */
	if (again.rows > 0 && as_file.key_count > 0)
		FUZZ_CHECK(again.keys.size == as_file.keys.size &&
		           memcmp(again.keys.bytes, as_file.keys.bytes, again.keys.size) == 0);
	if (again.rows > 0 && again.has_ids && as_file.has_ids)
		FUZZ_CHECK(memcmp(again.ids, as_file.ids, again.rows * sizeof(uint64_t)) == 0);
	return 0;
}

#define BYTES(text) (text), sizeof(text) - 1

/* Files that look otherwise than those that are written. */
static const struct {
	const struct format *format;
	enum element type;
	uint8_t flags;
	const char *bytes;
	size_t length;
} others[] = {
	{ &format_csv, ELEMENT_F4, 2, BYTES("id,a,b\n7,1.5,-2\n8,nan,1e30\n") },
	{ &format_csv, ELEMENT_I1, 3, BYTES("a,b\r\n1e2,-200\r\n\r\n 3 ,\t4\r\n") },
	{ &format_csv, ELEMENT_F4, 2, BYTES("0.123456789,16777215\n-1e-44,3.40282347e38\n") },
	{ &format_glove, ELEMENT_F8, 2, BYTES("a 0.12345678901234567 4.9e-324\n") },
	{ &format_jsonl, ELEMENT_F8, 2,
	  BYTES("{\"vector\":[0.5,2],\"id\":\"18446744073709551615\"}\n") },
	{ &format_jsonl, ELEMENT_U1, 2, BYTES("{\"vector\": [1, 2], \"more\": {\"x\": []}}\n\n") },
	{ &format_glove, ELEMENT_F4, 2, BYTES("new york 1 2\nthe 3\t4\n") },
	{ &format_word2vec, ELEMENT_F2, 2, BYTES("2 2\nthe 0.1 0.2\n</s> 1 -1\n") },
	{ &format_w2vbin, ELEMENT_F4, 2,
	  BYTES("2 2\nthe \0\0\x80\x3f\x0a\x20\0\0\nof \0\0\0\0\0\0\0\0") },
	{ &format_ibin, ELEMENT_F4, 3, BYTES("\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1\2\3\4\5\6\7\x8") },
	{ &format_csv, ELEMENT_F4, 0x42,
	  BYTES("\xef\xbb\xbf# two\n,0,1\n7,1.5,\"2\"\n\n9, 1,2\n") },
	{ &format_csv, ELEMENT_F4, 0x42, BYTES("id;t;vector\n7;\"a\"\"\nb\";[1, 2]\n9;;{3 4}\n") },
	{ &format_csv, ELEMENT_F4, 0xc2, BYTES("vector\n\"[1.\n 2.]\"\n[3,4]\n") },
	{ &format_tsv, ELEMENT_F4, 0x42, BYTES("k\tv_0\tv_1\tid\nx\t1\t2\t7\ny\t3\t4\t9\n") },
	{ &format_csv, ELEMENT_F4, 2, BYTES("#k 1 2\n# no key\nnew 3  4\n") },
	{ &format_json, ELEMENT_F4, 0x42,
	  BYTES("[\n{\"id\":7,\"embedding\":[1,2]},\n{\"id\":\"9\",\"embedding\":[NaN,-1e5]}]") },
	{ &format_json, ELEMENT_F4, 0x42, BYTES("[[1,2],\n[3,4]]\n") },
	{ &format_jsonl, ELEMENT_F4, 2, BYTES("[1,2]\r\n[3,4]") },
	{ &format_jsonl, ELEMENT_F4, 2,
	  BYTES("{\n\"_id\": \"\\u00e4\\ud83d\",\n\"values\": [1,\n2], \"t\": {\"a\": "
	        "[{}]}\n}\n") },
	{ &format_jsonl, ELEMENT_F4, 0x42,
	  BYTES("{\"vector\":[1,2]}\n{\"id\":1,\"vector\":[1,2]}\n") },
	{ &format_word2vec, ELEMENT_F4, 2, BYTES("2 2\nWindows 95 1 2\n  3 4\n") },
	{ &format_csv, ELEMENT_B1, 2, BYTES("True,False\n0,1.0\n") },
	{ &format_jsonl, ELEMENT_B1, 2, BYTES("{\"vector\": [true, 0], \"id\": 7}\n") },
	{ &format_csv, ELEMENT_BF2, 2, BYTES("1.00390625,-3.39e38\nnan,9.2e-41\n") },
	{ &format_npy, ELEMENT_BF2, 2,
	  BYTES("\x93NUMPY\x01\0\x45\0{'descr': '<V2', 'fortran_order': False, 'shape': (1, 2), }"
	        "         \n\x80\x3f\xc1\x7f") },
	{ &format_npy, ELEMENT_B1, 2,
	  BYTES("\x93NUMPY\x01\0\x45\0{'descr': '|b1', 'fortran_order': False, 'shape': (1, 2), }"
	        "         \n\x01\x02") },
	{ &format_safetensors, ELEMENT_B1, 2,
	  BYTES("\x3e\0\0\0\0\0\0\0{\"v\":{\"dtype\":\"BOOL\",\"shape\":[1,2],\"data_offsets\":[0,"
	        "2]}}     \x01\x00") },
	{ &format_safetensors, ELEMENT_F4, 3,
	  BYTES("\x52\0\0\0\0\0\0\0{\"__metadata__\":{\"a\":\"b\"},\"v\":{\"dtype\":\"BF16\","
	        "\"shape\":[1,"
	        "2],\"data_offsets\":[0,4]}}\x80\x3f\0\xc0") },
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

/* A file of each format and type as it is written, then the others. */
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room)
{
	const unsigned numbers = (unsigned)(FORMATS * STORE_TYPES);
	enum element type = (enum element)(number % STORE_TYPES);
	struct outcome rows = { .rows = 2, .type = type };
	uint8_t elements[2 * 2 * ELEMENT_BYTES_MAX];
	struct element_loss loss = { 0 };
	size_t which = number / STORE_TYPES;

	make_room();
	if (number >= numbers + OTHERS)
		return FUZZ_NO_SEED;
	memset(to, 0, SELECTORS);
	if (number >= numbers) {
		size_t length = others[number - numbers].length;

		for (which = 0; formats[which] != others[number - numbers].format; which++)
			continue;
		to[0] = (uint8_t)which;
		to[1] = (uint8_t)others[number - numbers].type;
		to[2] = others[number - numbers].flags;
		FUZZ_CHECK(SELECTORS + length <= room);
		memcpy(to + SELECTORS, others[number - numbers].bytes, length);
		return SELECTORS + length;
	}
	to[0] = (uint8_t)which;
	to[1] = (uint8_t)type;
	to[2] = 2; /* dim 2 */
	if (type == ELEMENT_B1 && !formats[which]->is_text)
		rows.type = ELEMENT_U1;
	for (unsigned i = 0; i < 4; i++)
		FUZZ_CHECK(element_put(rows.type, type == ELEMENT_B1 ? i % 2 : i * 31,
		                       elements + i / 2 * element_row_bytes(rows.type, 2), i % 2,
		                       &loss) == 0);
	rows.elements.bytes = elements;
	if (!write_file(formats[which], &rows, 2, &written))
		return SELECTORS; /* Arrow has no bf2 */
	FUZZ_CHECK(SELECTORS + written.size <= room);
	memcpy(to + SELECTORS, written.bytes, written.size);
	return SELECTORS + written.size;
}
