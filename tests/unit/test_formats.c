/*
 * test_formats.c - each format: what is written is read back, and what is cut or changed
 * anywhere is refused or read as something else, but never leads astray.
 */
#include "unit.h"

#include "tools/formats/formats.h"

#include <endian.h>
#include <math.h>

#define PATH_BYTES (UNIT_PATH_BYTES + 32)
#define DIM 3u
#define ROWS 4u
#define FILE_BYTES 4096

/* A format and a type of element that it can hold. */
struct which {
	const struct format *format;
	enum element type;
};

static const struct which all[] = {
	{ &format_npy, ELEMENT_F4 },         { &format_npy, ELEMENT_I1 },
	{ &format_fvecs, ELEMENT_F4 },       { &format_bvecs, ELEMENT_U1 },
	{ &format_ivecs, ELEMENT_I4 },       { &format_fbin, ELEMENT_F4 },
	{ &format_u8bin, ELEMENT_U1 },       { &format_i8bin, ELEMENT_I1 },
	{ &format_safetensors, ELEMENT_F2 }, { &format_safetensors, ELEMENT_F8 },
	{ &format_jsonl, ELEMENT_F4 },       { &format_jsonl, ELEMENT_U1 },
	{ &format_csv, ELEMENT_F8 },         { &format_csv, ELEMENT_I1 },
	{ &format_glove, ELEMENT_F4 },       { &format_word2vec, ELEMENT_F2 },
	{ &format_npy, ELEMENT_BF2 },        { &format_safetensors, ELEMENT_BF2 },
	{ &format_jsonl, ELEMENT_BF2 },      { &format_csv, ELEMENT_BF2 },
	{ &format_glove, ELEMENT_BF2 },      { &format_jsonl, ELEMENT_B1 },
	{ &format_json, ELEMENT_F4 },        { &format_tsv, ELEMENT_F8 },
	{ &format_csv, ELEMENT_B1 },         { &format_word2vec, ELEMENT_B1 },
	{ &format_f16bin, ELEMENT_F2 },      { &format_dbin, ELEMENT_F8 },
	{ &format_ibin, ELEMENT_I4 },        { &format_w2vbin, ELEMENT_F4 },
	{ &format_raw, ELEMENT_BF2 },
};

#define COUNT (sizeof(all) / sizeof(all[0]))

/* A file in memory. */
struct file {
	unsigned char bytes[FILE_BYTES];
	size_t length;
};

static int append(void *arg, const void *bytes, size_t length)
{
	struct file *file = arg;

	assert_true(file->length + length <= FILE_BYTES);
	memcpy(file->bytes + file->length, bytes, length);
	file->length += length;
	return 0;
}

static int overwrite(void *arg, const void *bytes, size_t length)
{
	struct file *file = arg;

	assert_true(length <= file->length);
	memcpy(file->bytes, bytes, length);
	return 0;
}

/* Numbers that every type can hold, a few of them at its ends. */
static void make_rows(enum element type, unsigned char rows[ROWS * DIM * 8])
{
	struct element_loss loss = { 0 };
	double end = type == ELEMENT_I1 ? -128 : element_is_float(type) ? -0.375 : 0;

	for (unsigned i = 0; i < ROWS * DIM; i++) {
		double number = i % 5 == 0 ? end : type == ELEMENT_B1 ? i % 2 : i * 11.0;

		assert_int_equal(element_put(type, number,
		                             rows + i / DIM * element_row_bytes(type, DIM), i % DIM,
		                             &loss),
		                 0);
	}
	assert_true(loss.rounded == 0 && loss.beyond == 0);
}

/* Write `count` rows, having told the header of `expected`. */
static void write_file(const struct which *which, uint64_t expected, unsigned count,
                       const unsigned char *rows, struct file *file)
{
	const struct format *format = which->format;
	struct format_writer writer = {
		.format = format,
		.dim = DIM,
		.type = which->type,
		.expected = expected,
		.write = append,
		.write_start = overwrite,
		.arg = file,
	};
	size_t row_bytes = element_row_bytes(which->type, DIM);

	file->length = 0;
	if (format->calls->write_header != NULL)
		assert_int_equal(format->calls->write_header(&writer), 0);
	for (; writer.rows < count; writer.rows++)
		assert_int_equal(format->calls->write_row(&writer, writer.rows,
		                                          rows + writer.rows * row_bytes, NULL),
		                 0);
	if (format->calls->finish != NULL)
		assert_int_equal(format->calls->finish(&writer), 0);
	if (format->calls->end != NULL)
		format->calls->end(&writer);
}

/* What reading a file came to. */
struct outcome {
	int opened; /* result of open */
	int result; /* of the last read */
	unsigned count; /* rows */
	unsigned char rows[(ROWS + 4) * DIM * 8];
	struct format_reader reader;
};

static void read_file(const struct unit_dir *dir, const struct which *which,
                      const struct file *file, struct outcome *outcome)
{
	struct format_reader *reader = &outcome->reader;
	uint64_t ids[2], offsets[2];
	unsigned char rows[2 * DIM * 8];
	char path[PATH_BYTES];
	struct stream stream;

	memset(outcome, 0, sizeof(*outcome));
	unit_truncate(dir, "in", 0);
	unit_write(dir, "in", file->bytes, file->length, 0);
	snprintf(path, sizeof(path), "%s/in", dir->path);
	assert_int_equal(stream_open(path, &stream), 0);
	reader->format = which->format;
	reader->stream = &stream;
	reader->wanted.dim = DIM;
	reader->wanted.type = which->type;
	reader->wanted.limit = UINT64_MAX;
	outcome->opened = which->format->calls->open(reader);
	if (outcome->opened < 0)
		assert_true(reader->reason[0] != '\0');
	while (outcome->opened == 0 && reader->dim == DIM && reader->type == which->type) {
		struct format_batch batch = {
			.room = 2, .rows = rows, .ids = ids, .offsets = offsets
		};
		size_t row_bytes = element_row_bytes(which->type, DIM);

		outcome->result = which->format->calls->read(reader, &batch);
		assert_true(batch.count <= 2);
		for (size_t i = 0; i < batch.count; i++, outcome->count++) {
			assert_true(offsets[i] < file->length);
			if (outcome->count < ROWS + 4)
				memcpy(outcome->rows + outcome->count * row_bytes,
				       rows + i * row_bytes, row_bytes);
		}
		assert_int_equal(reader->row, outcome->count);
		if (outcome->result < 0)
			assert_true(reader->reason[0] != '\0');
		if (outcome->result < 0 || batch.count == 0)
			break;
	}
	if (which->format->calls->close != NULL)
		which->format->calls->close(reader);
	stream_close(&stream);
}

static int setup(void **state)
{
	int result = unit_setup_dir(state);

	unit_write(*state, "in", "", 0, 0);
	return result;
}

static void what_is_written_is_read_back(void **state)
{
	for (size_t i = 0; i < COUNT; i++) {
		size_t row_bytes = element_row_bytes(all[i].type, DIM);
		unsigned char rows[ROWS * DIM * 8];
		struct outcome outcome;
		struct file file;

		make_rows(all[i].type, rows);
		/* the second time one vector went away while it was written */
		for (unsigned less = 0; less < 2; less++) {
			write_file(&all[i], ROWS, ROWS - less, rows, &file);
			read_file(*state, &all[i], &file, &outcome);
			if (outcome.opened < 0)
				print_message("%s: %s\n", all[i].format->name,
				              outcome.reader.reason);
			assert_int_equal(outcome.opened, 0);
			assert_int_equal(outcome.result, 0);
			assert_int_equal(outcome.count, ROWS - less);
			assert_memory_equal(outcome.rows, rows, outcome.count * row_bytes);
		}
	}
}

/* A file that ends anywhere is refused, or gives fewer rows, all of them right: those of
 * binary formats are refused before the first row is read. */
static void what_is_cut_off_is_noticed(void **state)
{
	for (size_t i = 0; i < COUNT; i++) {
		size_t row_bytes = element_row_bytes(all[i].type, DIM);
		bool lines = all[i].format->calls->end != NULL;
		unsigned char rows[ROWS * DIM * 8];
		struct outcome outcome;
		struct file file;
		size_t whole;

		make_rows(all[i].type, rows);
		write_file(&all[i], ROWS, ROWS, rows, &file);
		whole = file.length;
		for (file.length = 0; file.length < whole; file.length++) {
			read_file(*state, &all[i], &file, &outcome);
			if (lines) {
				/* the last number may have lost digits */
				assert_true(outcome.count <= ROWS);
				if (outcome.count > 1)
					assert_memory_equal(outcome.rows, rows,
					                    (outcome.count - 1) * row_bytes);
			} else if (all[i].format == &format_w2vbin) {
				/* words have any length: only what is read tells */
				assert_true(outcome.count == ROWS || outcome.opened < 0 ||
				            outcome.result < 0);
				assert_memory_equal(outcome.rows, rows, outcome.count * row_bytes);
			} else if (outcome.opened == 0) {
				size_t lead = all[i].format == &format_raw ? 0 : 4;

				/* records without a header end at any of them */
				assert_true(all[i].format->calls->write_header == NULL);
				assert_int_equal(file.length % (lead + row_bytes), 0);
				assert_int_equal(outcome.result, 0);
				assert_memory_equal(outcome.rows, rows, outcome.count * row_bytes);
			}
		}
	}
}

/* Every bit changed, one after another: whatever is read, no more than the file has. */
static void flipped_bits_never_lead_astray(void **state)
{
	for (size_t i = 0; i < COUNT; i++) {
		unsigned char rows[ROWS * DIM * 8];
		struct outcome outcome;
		struct file file;

		make_rows(all[i].type, rows);
		write_file(&all[i], ROWS, ROWS, rows, &file);
		for (size_t bit = 0; bit < file.length * 8; bit++) {
			file.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
			read_file(*state, &all[i], &file, &outcome);
			assert_true(outcome.count <= ROWS + 4);
			file.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
	}
}

/* Which type a reader tells of a file that means another than it says. */
static void what_stands_for_types_that_numpy_has_not(void **state)
{
	static const struct {
		const char *descr;
		enum element wanted, found;
	} cases[] = {
		{ "<u2", ELEMENT_BF2, ELEMENT_BF2 }, { "<u2", ELEMENT_F4, ELEMENT_U2 },
		{ "<V2", ELEMENT_BF2, ELEMENT_BF2 }, { "|V2", ELEMENT_F4, ELEMENT_BF2 },
		{ "|b1", ELEMENT_B1, ELEMENT_BOOL }, { "|b1", ELEMENT_U1, ELEMENT_BOOL },
		{ "|u1", ELEMENT_B1, ELEMENT_U1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct which which = { &format_npy, cases[i].wanted };
		struct outcome outcome;
		struct file file = { .length = 128 };

		memset(file.bytes, ' ', 128);
		memcpy(file.bytes, "\x93NUMPY\x01\x00\x76\x00", 10);
		snprintf((char *)file.bytes + 10, 118,
		         "{'descr': '%s', 'fortran_order': False, 'shape': (0, 3), }",
		         cases[i].descr);
		file.bytes[10 + strlen((char *)file.bytes + 10)] = ' ';
		read_file(*state, &which, &file, &outcome);
		assert_int_equal(outcome.opened, 0);
		assert_int_equal(outcome.reader.type, cases[i].found);
	}
}

/* More rows than 32 bits can tell: a header of two uint64, as cuVS writes it. */
static void more_rows_than_32_bits_can_tell(void **state)
{
	const struct which which = { &format_i8bin, ELEMENT_I1 };
	const uint64_t expected = UINT32_MAX + UINT64_C(2);
	unsigned char rows[ROWS * DIM * 8];
	struct outcome outcome;
	struct file file;
	uint64_t header[2];

	make_rows(ELEMENT_I1, rows);
	write_file(&which, expected, 1, rows, &file);
	assert_int_equal(file.length, sizeof(header) + DIM);
	memcpy(header, file.bytes, sizeof(header));
	assert_int_equal(le64toh(header[0]), 1); /* as many as came */
	assert_int_equal(le64toh(header[1]), DIM);
	read_file(*state, &which, &file, &outcome);
	assert_true(outcome.opened == 0 && outcome.result == 0 && outcome.count == 1);
	assert_memory_equal(outcome.rows, rows, DIM);
}

static void names_and_suffixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		char path[64];

		assert_ptr_equal(format_by_name(all[i].format->name), all[i].format);
		assert_non_null(strstr(FORMAT_NAMES, all[i].format->name));
		if (all[i].format->suffix[0] == '\0')
			continue;
		snprintf(path, sizeof(path), "a.b/c.d%s", all[i].format->suffix);
		assert_ptr_equal(format_by_suffix(path), all[i].format);
	}
	assert_ptr_equal(format_by_suffix("x.HDF5"), &format_hdf5);
	assert_ptr_equal(format_by_suffix("x.h5"), &format_hdf5);
	assert_ptr_equal(format_by_suffix("x.hbin"), &format_f16bin);
	/* several formats share it: what is read tells which, what is written does not */
	assert_ptr_equal(format_to_read("GoogleNews.bin.gz"), &format_w2vbin);
	assert_null(format_by_suffix("GoogleNews.bin"));
	assert_null(format_by_suffix("x"));
	assert_null(format_by_suffix("a.npy/x"));
	assert_null(format_by_suffix("-"));
	assert_null(format_by_name("NPY"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read_back, setup,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(what_is_cut_off_is_noticed, setup,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(flipped_bits_never_lead_astray, setup,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(what_stands_for_types_that_numpy_has_not, setup,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(more_rows_than_32_bits_can_tell, setup,
		                                unit_teardown_dir),
		cmocka_unit_test(names_and_suffixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
