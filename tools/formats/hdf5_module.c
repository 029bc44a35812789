/*
 * hdf5_module.c - the module that links the HDF5 library.
 */
#include "tools/formats/hdf5_module.h"

#include <errno.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Chunks that are read together, one beside the other; larger ones are refused. */
#define CHUNK_ROW_BYTES_MAX (UINT64_C(256) << 20)
/* Chunks that are written. */
#define CHUNK_BYTES (1u << 20)
/* Entries of the table in which the library looks for chunks: a prime, as it advises. */
#define CHUNK_TABLE 12421u

struct state {
	hid_t file, set, space, memory_type;
};

/* Set the reason. */
static int refuse(struct hdf5_array *array, int result, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct hdf5_array *array, int result, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	(void)vsnprintf(array->reason, sizeof(array->reason), text, arguments);
	va_end(arguments);
	return result;
}

/* Keeps the words of the first error of the stack, which is where it began. But of a filter that is
 * not there it names last the folders where it looked, which tells nobody what is missing. */
static herr_t keep_words(unsigned n, const H5E_error2_t *error, void *to)
{
	if (error->desc != NULL && (n == 0 || strstr(error->desc, "required filter") != NULL))
		(void)snprintf(to, HDF5_REASON_BYTES / 2, "%s", error->desc);
	return 0;
}

/* Refuse with what the library says. */
static int refuse_library(struct hdf5_array *array, int result, const char *what)
{
	char words[HDF5_REASON_BYTES / 2] = "no reason given";

	(void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_words, words);
	return refuse(array, result, "%s: %s", what, words);
}

/* Refuse a file that cannot be opened. Of the many reasons people meet one that is not the file's:
 * who writes it holds its lock, or its filesystem has none. */
static int refuse_file(struct hdf5_array *array)
{
	char words[HDF5_REASON_BYTES / 2] = "no reason given";

	(void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_words, words);
	if (strstr(words, "unable to lock") == NULL)
		return refuse(array, -EINVAL, "not an HDF5 file, or a damaged one: %s", words);
	return refuse(array, -EINVAL,
	              "it cannot be locked: another program has it open for writing, or its "
	              "filesystem has no locks. Close it there. If nothing writes to it, set "
	              "HDF5_USE_FILE_LOCKING=FALSE in the environment. HDF5 says: %.150s",
	              words);
}

/* Links that lead to other files are not followed. */
static herr_t refuse_link(const char *parent, const char *group, const char *file,
                          const char *object, unsigned *flags, hid_t access, void *arg)
{
	(void)parent;
	(void)group;
	(void)file;
	(void)object;
	(void)flags;
	(void)access;
	(void)arg;
	return -1;
}

/* A little-endian float of 2 bytes, which not every version of the library has a name for. */
static hid_t make_narrow(size_t exponent_bits, size_t mantissa_bits, size_t bias)
{
	hid_t type = H5Tcopy(H5T_IEEE_F32LE);

	if (type >= 0 &&
	    (H5Tset_fields(type, 15, mantissa_bits, exponent_bits, 0, mantissa_bits) < 0 ||
	     H5Tset_size(type, 2) < 0 || H5Tset_ebias(type, bias) < 0)) {
		(void)H5Tclose(type);
		return H5I_INVALID_HID;
	}
	return type;
}

/* The library's type for one of ours; the caller's to close. */
static hid_t type_of(const char *name)
{
	if (strcmp(name, "f2") == 0)
		return make_narrow(5, 10, 15);
	if (strcmp(name, "bf2") == 0)
		return make_narrow(8, 7, 127);
	if (name[0] == 'f')
		return H5Tcopy(name[1] == '4' ? H5T_IEEE_F32LE : H5T_IEEE_F64LE);
	switch (name[1]) {
	case '1':
		return H5Tcopy(name[0] == 'i' ? H5T_STD_I8LE : H5T_STD_U8LE);
	case '2':
		return H5Tcopy(name[0] == 'i' ? H5T_STD_I16LE : H5T_STD_U16LE);
	case '4':
		return H5Tcopy(name[0] == 'i' ? H5T_STD_I32LE : H5T_STD_U32LE);
	default:
		return H5Tcopy(name[0] == 'i' ? H5T_STD_I64LE : H5T_STD_U64LE);
	}
}

static void set_type(struct hdf5_array *array, const char *name)
{
	(void)snprintf(array->type, sizeof(array->type), "%s", name);
}

/* Whether a type names 0 and 1, and is a byte: h5py's of numpy.bool_. */
static bool is_bool(hid_t type)
{
	int8_t number = 0;

	return H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1 &&
	       H5Tget_nmembers(type) == 2 && H5Tenum_valueof(type, "FALSE", &number) >= 0 &&
	       number == 0 && H5Tenum_valueof(type, "TRUE", &number) >= 0 && number == 1;
}

/* Our name for a type that is none of the library's numbers, or NULL. PyTables has a byte of bits
 * for a bool; h5py without a name for bfloat16 makes it, as np.save does, two bytes of no type. */
static const char *name_other(hid_t type)
{
	if (is_bool(type) || (H5Tget_class(type) == H5T_BITFIELD && H5Tget_size(type) == 1))
		return "bool";
	if (H5Tget_class(type) == H5T_OPAQUE && H5Tget_size(type) == 2)
		return "bf2";
	return NULL;
}

/* Find our name for the type of the dataset, whose bytes may be in either order. */
static int find_type(struct hdf5_array *array, struct state *state)
{
	static const char *const names[] = { "f4", "f2", "f8", "i1", "u1", "bf2",
		                             "i2", "u2", "i4", "u4", "i8", "u8" };
	hid_t fixed = H5Dget_type(state->set);
	hid_t type = fixed < 0 ? H5I_INVALID_HID : H5Tcopy(fixed);
	htri_t same = 0;

	if (fixed >= 0)
		(void)H5Tclose(fixed);
	if (type < 0)
		return refuse_library(array, -EINVAL, "its type cannot be read");
	if (H5Tget_size(type) > 1 && H5Tget_order(type) == H5T_ORDER_BE)
		(void)H5Tset_order(type, H5T_ORDER_LE); /* where it fails, no type is the same */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && same <= 0; i++) {
		hid_t mine = type_of(names[i]);

		same = mine < 0 ? 0 : H5Tequal(type, mine);
		if (same > 0) {
			state->memory_type = mine;
			set_type(array, names[i]);
		} else if (mine >= 0) {
			(void)H5Tclose(mine);
		}
	}
	if (same <= 0 && name_other(type) != NULL) {
		/* the bytes as they are; the library compares what else is in the type */
		set_type(array, name_other(type));
		state->memory_type = type;
		return 0;
	}
	(void)H5Tclose(type);
	return same > 0 ? 0 : refuse(array, -EINVAL, "the dataset does not hold plain numbers");
}

/* Shape: two dimensions. */
static int find_shape(struct hdf5_array *array, struct state *state)
{
	hsize_t shape[H5S_MAX_RANK];
	int dimensions;

	state->space = H5Dget_space(state->set);
	dimensions = state->space < 0 ? -1 : H5Sget_simple_extent_dims(state->space, shape, NULL);
	if (dimensions < 0)
		return refuse_library(array, -EINVAL, "its shape cannot be read");
	if (dimensions != 2)
		return refuse(
			array, -EINVAL,
			"the dataset has %d dimension%s; expected 2, with a vector in each row",
			dimensions, dimensions == 1 ? "" : "s");
	if (shape[1] < 1 || shape[1] > UINT32_MAX)
		return refuse(array, -EINVAL, "its rows have %" PRIu64 " elements",
		              (uint64_t)shape[1]);
	array->rows = shape[0];
	array->dim = (uint32_t)shape[1];
	return 0;
}

/* A shape is cheap to claim: what it tells of must be there. */
static int check_contiguous(struct hdf5_array *array, const struct state *state)
{
	uint64_t bytes = H5Tget_size(state->memory_type);
	uint64_t stored = H5Dget_storage_size(state->set);

	if (__builtin_mul_overflow(bytes, array->rows, &bytes) ||
	    __builtin_mul_overflow(bytes, (uint64_t)array->dim, &bytes) || bytes != stored)
		return refuse(array, -EINVAL,
		              "the dataset claims %" PRIu64 " rows of %" PRIu32
		              " elements, but holds %" PRIu64 " bytes",
		              array->rows, array->dim, stored);
	return 0;
}

/* The same for one in chunks; *cache_bytes is what a row of chunks needs. */
static int check_chunked(struct hdf5_array *array, const struct state *state, hid_t properties,
                         uint64_t *cache_bytes)
{
	hsize_t chunk[2] = { 0 }, stored = 0;
	uint64_t needed, across;

	if (H5Pget_chunk(properties, 2, chunk) != 2 || chunk[0] == 0 || chunk[1] == 0 ||
	    H5Dget_num_chunks(state->set, state->space, &stored) < 0)
		return refuse_library(array, -EINVAL, "its chunks cannot be read");
	across = (array->dim + chunk[1] - 1) / chunk[1];
	needed = array->rows / chunk[0] + (array->rows % chunk[0] != 0);
	if (__builtin_mul_overflow(needed, across, &needed) || needed != stored)
		return refuse(array, -EINVAL,
		              "the dataset claims %" PRIu64 " rows of %" PRIu32
		              " elements, but holds %" PRIu64 " chunks of %" PRIu64 " x %" PRIu64,
		              array->rows, array->dim, (uint64_t)stored, (uint64_t)chunk[0],
		              (uint64_t)chunk[1]);
	*cache_bytes = H5Tget_size(state->memory_type);
	if (__builtin_mul_overflow(*cache_bytes, chunk[0], cache_bytes) ||
	    __builtin_mul_overflow(*cache_bytes, chunk[1], cache_bytes) ||
	    __builtin_mul_overflow(*cache_bytes, across, cache_bytes) ||
	    *cache_bytes > CHUNK_ROW_BYTES_MAX)
		return refuse(array, -EINVAL,
		              "its chunks of %" PRIu64 " x %" PRIu64
		              " elements are too large; repack it with h5repack",
		              (uint64_t)chunk[0], (uint64_t)chunk[1]);
	return 0;
}

/* How the dataset is stored; opens it again with a cache that holds its chunks. */
static int check_layout(struct hdf5_array *array, struct state *state, const char *name)
{
	hid_t properties = H5Dget_create_plist(state->set);
	hid_t access = H5I_INVALID_HID;
	uint64_t cache_bytes = 0;
	int result = 0;

	if (properties < 0)
		return refuse_library(array, -EINVAL, "its layout cannot be read");
	if (H5Pget_external_count(properties) != 0 || H5Pget_layout(properties) == H5D_VIRTUAL)
		result = refuse(array, -EINVAL, "the dataset lies in other files");
	else if (H5Pget_layout(properties) != H5D_CHUNKED)
		result = check_contiguous(array, state);
	else
		result = check_chunked(array, state, properties, &cache_bytes);
	(void)H5Pclose(properties);
	if (result < 0 || cache_bytes == 0)
		return result;
	access = H5Pcreate(H5P_DATASET_ACCESS);
	(void)H5Dclose(state->set);
	state->set = H5I_INVALID_HID;
	if (access >= 0 && H5Pset_chunk_cache(access, CHUNK_TABLE, cache_bytes, 1.0) >= 0)
		state->set = H5Dopen2(state->file, name, access);
	if (state->set < 0)
		result = refuse_library(array, -EINVAL, "the dataset cannot be read");
	if (access >= 0)
		(void)H5Pclose(access);
	return result;
}

/* Open the dataset, where it is within the file. */
static int open_set(struct hdf5_array *array, struct state *state, const char *name)
{
	hid_t access = H5Pcreate(H5P_DATASET_ACCESS);

	if (access >= 0 && H5Pset_elink_cb(access, refuse_link, NULL) >= 0)
		state->set = H5Dopen2(state->file, name, access);
	if (access >= 0)
		(void)H5Pclose(access);
	return state->set >= 0
	               ? 0
	               : refuse(array, -EINVAL,
	                        "it has no dataset '%.100s'; choose one with --dataset NAME", name);
}

/* The library would print its errors by itself, for each thread that is not told. */
static void be_quiet(void)
{
	(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* then it prints */
}

static struct state *make_state(struct hdf5_array *array)
{
	struct state *state = malloc(sizeof(*state));

	be_quiet();
	array->state = state;
	if (state == NULL) {
		(void)refuse(array, -ENOMEM, "%s", strerror(ENOMEM));
		return NULL;
	}
	state->file = state->set = state->space = state->memory_type = H5I_INVALID_HID;
	return state;
}

static int open_array(const char *path, const char *name, struct hdf5_array *array)
{
	struct state *state = make_state(array);
	int result;

	if (state == NULL)
		return -ENOMEM;
	state->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	if (state->file < 0)
		return refuse_file(array);
	result = open_set(array, state, name);
	if (result == 0)
		result = find_type(array, state);
	if (result == 0)
		result = find_shape(array, state);
	return result < 0 ? result : check_layout(array, state, name);
}

/* How a new dataset is stored: in chunks, so that it can be cut. */
static hid_t make_layout(const struct hdf5_array *array, size_t element_bytes)
{
	hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
	hsize_t chunk[2] = { CHUNK_BYTES / (array->dim * element_bytes), array->dim };

	if (chunk[0] == 0)
		chunk[0] = 1;
	if (properties >= 0 && H5Pset_chunk(properties, 2, chunk) < 0) {
		(void)H5Pclose(properties);
		return H5I_INVALID_HID;
	}
	return properties;
}

static int create_array(const char *path, const char *name, struct hdf5_array *array)
{
	struct state *state = make_state(array);
	hsize_t shape[2] = { array->rows, array->dim };
	hsize_t most[2] = { H5S_UNLIMITED, array->dim };
	hid_t properties;

	if (state == NULL)
		return -ENOMEM;
	state->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
	if (state->file < 0)
		return refuse_library(array, -EIO, "it cannot be made");
	state->memory_type = type_of(array->type);
	state->space = H5Screate_simple(2, shape, most);
	properties = make_layout(array, H5Tget_size(state->memory_type));
	if (state->space >= 0 && properties >= 0)
		state->set = H5Dcreate2(state->file, name, state->memory_type, state->space,
		                        H5P_DEFAULT, properties, H5P_DEFAULT);
	if (properties >= 0)
		(void)H5Pclose(properties);
	return state->set >= 0 ? 0 : refuse_library(array, -EIO, "the dataset cannot be made");
}

/* A string of any length, which h5py hands out as str. */
static hid_t make_text(void)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	if (type >= 0 &&
	    (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
		(void)H5Tclose(type);
		return H5I_INVALID_HID;
	}
	return type;
}

static int note_array(struct hdf5_array *array, const char *name, const char *text)
{
	const struct state *state = array->state;
	hid_t type = make_text(), space = H5Screate(H5S_SCALAR);
	hid_t attribute = H5I_INVALID_HID;
	int result = 0;

	if (type >= 0 && space >= 0)
		attribute = H5Acreate2(state->set, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
	if (attribute < 0 || H5Awrite(attribute, type, &text) < 0)
		result = refuse_library(array, -EIO, "an attribute cannot be written");
	if (attribute >= 0 && H5Aclose(attribute) < 0 && result == 0)
		result = refuse_library(array, -EIO, "an attribute cannot be written");
	if (space >= 0)
		(void)H5Sclose(space);
	if (type >= 0)
		(void)H5Tclose(type);
	return result;
}

/* Choose rows in the file; a space for as many in memory, or a negative number. */
static hid_t choose(const struct hdf5_array *array, uint64_t first, uint64_t count)
{
	const struct state *state = array->state;
	hsize_t start[2] = { first, 0 }, shape[2] = { count, array->dim };

	if (H5Sselect_hyperslab(state->space, H5S_SELECT_SET, start, NULL, shape, NULL) < 0)
		return H5I_INVALID_HID;
	return H5Screate_simple(2, shape, NULL);
}

/* Move rows between the file and memory: to `to`, or where that is NULL from `from`. */
static int move_rows(struct hdf5_array *array, uint64_t first, uint64_t count, void *to,
                     const void *from)
{
	const struct state *state = array->state;
	hid_t type = state->memory_type, memory = choose(array, first, count);
	herr_t moved = -1;
	int result = 0;

	be_quiet(); /* rows are read by a thread of their own */
	if (memory >= 0 && to != NULL)
		moved = H5Dread(state->set, type, memory, state->space, H5P_DEFAULT, to);
	else if (memory >= 0)
		moved = H5Dwrite(state->set, type, memory, state->space, H5P_DEFAULT, from);
	if (moved < 0) /* before the next call of the library, which forgets why */
		result = refuse_library(array, -EIO,
		                        to != NULL ? "reading failed" : "writing failed");
	if (memory >= 0)
		(void)H5Sclose(memory);
	return result;
}

static int read_array(struct hdf5_array *array, uint64_t first, uint64_t count, void *rows)
{
	return move_rows(array, first, count, rows, NULL);
}

static int write_array(struct hdf5_array *array, uint64_t first, uint64_t count, const void *rows)
{
	return move_rows(array, first, count, NULL, rows);
}

static int cut_array(struct hdf5_array *array, uint64_t rows)
{
	const struct state *state = array->state;
	hsize_t shape[2] = { rows, array->dim };

	return H5Dset_extent(state->set, shape) < 0
	               ? refuse_library(array, -EIO, "it cannot be cut to its rows")
	               : 0;
}

static int close_array(struct hdf5_array *array)
{
	struct state *state = array->state;
	int result = 0;

	if (state == NULL)
		return 0;
	if (state->memory_type >= 0)
		(void)H5Tclose(state->memory_type);
	if (state->space >= 0)
		(void)H5Sclose(state->space);
	if (state->set >= 0 && H5Dclose(state->set) < 0)
		result = refuse_library(array, -EIO, "writing the dataset failed");
	if (state->file >= 0 && H5Fclose(state->file) < 0)
		result = refuse_library(array, -EIO, "writing the file failed");
	free(state);
	array->state = NULL;
	return result;
}

extern const struct hdf5_calls quiverfs_hdf5;

const struct hdf5_calls quiverfs_hdf5 = {
	.open = open_array,
	.create = create_array,
	.note = note_array,
	.read = read_array,
	.write = write_array,
	.cut = cut_array,
	.close = close_array,
};
