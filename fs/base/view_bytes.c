/* view_bytes.c - a vector as the bytes of its views, and back. */
#include "fs/base/view_bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/codec/element.h"
#include "engine/codec/element_text.h"
#include "engine/codec/npy.h"

#include "fs/base/printable.h"

/* The longest number that is read: with all the digits that a double may have. */
#define TOKEN_BYTES_MAX 1100u
/* What a text may have for each number, and for all of them: np.savetxt writes 25. */
#define TEXT_BYTES_PER_NUMBER 64u
#define TEXT_BYTES_MORE 4096u
/* Around the numbers: of a vector, or of an array that has this one row. */
#define BRACKETS_MAX 2u
/* What editors and spreadsheets begin UTF-8 with. */
#define BOM "\xef\xbb\xbf"
#define BOM_BYTES 3u

static enum element element_of(const struct quiver_geometry *geometry)
{
	enum element type = ELEMENT_F4;

	(void)element_parse(quiver_dtype_name(geometry->dtype), &type); /* has them all */
	return type;
}

size_t view_fixed_bytes(const struct quiver_geometry *geometry, enum tree_form form)
{
	switch (form) {
	case TREE_FORM_NPY:
		return NPY_WRITTEN_BYTES + (size_t)geometry->vector_bytes;
	case TREE_FORM_SAME:
		return geometry->vector_bytes;
	default:
		return 0;
	}
}

size_t view_bytes_max(const struct quiver_geometry *geometry, enum tree_form form)
{
	if (form == TREE_FORM_SAME)
		return geometry->vector_bytes;
	/* of bits a file may have a bool for each */
	if (form == TREE_FORM_NPY)
		return NPY_PREFIX_BYTES_MAX + NPY_TEXT_BYTES_MAX +
		       (geometry->dtype == QUIVER_B1 ? geometry->dim : geometry->vector_bytes);
	return (size_t)geometry->dim * TEXT_BYTES_PER_NUMBER + TEXT_BYTES_MORE;
}

/* ---- text ---- */

static int encode_text(const struct quiver_geometry *geometry, const unsigned char *vector,
                       char **bytes, size_t *size, size_t *room)
{
	enum element type = element_of(geometry);
	char *text = malloc((size_t)geometry->dim * ELEMENT_TEXT_BYTES);
	size_t used = 0;
	char *fitting;

	if (text == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < geometry->dim; i++) {
		used += element_write(type, vector, i, text + used);
		text[used++] = '\n';
	}
	fitting = realloc(text, used);
	*bytes = fitting != NULL ? fitting : text;
	*size = used;
	*room = used;
	return 0;
}

/* A place in a text. */
struct cursor {
	const char *at;
	const char *end;
	unsigned line;
};

/* What stands between two numbers, which is the same between all of them: "0,1 0,2" may be two
 * numbers or four, so it is none. */
enum parting { PARTED_ANYHOW, PARTED_BY_BLANKS, PARTED_BY_COMMAS };

/* How far a text is read. */
struct text {
	struct cursor cursor;
	enum parting parting;
	unsigned open; /* brackets */
	bool closed; /* one, so that no number can follow */
	bool comma; /* since the last number */
	uint32_t count; /* of numbers */
};

static bool is_part_of_word(char c)
{
	return !is_blank(c) && c != ',' && c != '[' && c != ']';
}

/* Past blanks. The character there, which may be a NUL of the text; false at the end. */
static bool next_character(struct cursor *cursor, char *c)
{
	for (; cursor->at < cursor->end && is_blank(*cursor->at); cursor->at++)
		cursor->line += *cursor->at == '\n';
	if (cursor->at == cursor->end)
		return false;
	*c = *cursor->at;
	return true;
}

/* Copy the word there to `word`. -E2BIG, and `word` is its start. */
static int take_word(struct cursor *cursor, char word[TOKEN_BYTES_MAX])
{
	unsigned length = 0;

	for (; cursor->at < cursor->end && is_part_of_word(*cursor->at); cursor->at++) {
		if (length + 1 == TOKEN_BYTES_MAX) {
			word[length] = '\0';
			return -E2BIG;
		}
		/* A NUL would end the word unseen. */
		word[length++] = *cursor->at == '\0' ? '?' : *cursor->at;
	}
	word[length] = '\0';
	return 0;
}

static int refuse_word(struct view_reason *reason, const struct cursor *cursor,
                       const struct quiver_geometry *geometry, char *word, int err)
{
	printable_replace(word);
	if (err == -ERANGE)
		snprintf(reason->text, sizeof(reason->text),
		         "line %u: %.40s is not a value of %s%s", cursor->line, word,
		         quiver_dtype_name(geometry->dtype),
		         geometry->dtype == QUIVER_B1 ? " (0 or 1)" : "");
	else
		snprintf(reason->text, sizeof(reason->text), "line %u: '%.40s' is not a number",
		         cursor->line, word);
	return -EINVAL;
}

static int refuse_text(struct view_reason *reason, const struct text *text, const char *why)
{
	snprintf(reason->text, sizeof(reason->text), "line %u: %s", text->cursor.line, why);
	return -EINVAL;
}

/* A comma or a bracket. -EINVAL where it cannot be there. */
static int take_mark(struct text *text, char mark, struct view_reason *reason)
{
	text->cursor.at++;
	if (mark == '[') {
		if (text->count > 0 || text->closed || text->open == BRACKETS_MAX)
			return refuse_text(reason, text, "a '[' that does not begin a vector");
		text->open++;
		return 0;
	}
	if (mark == ']') {
		if (text->open == 0)
			return refuse_text(reason, text, "a ']' without its '['");
		text->open--;
		text->closed = true;
		return 0;
	}
	if (text->count == 0 || text->comma || text->closed)
		return refuse_text(reason, text, "a ',' without a number before it");
	text->comma = true;
	return 0;
}

/* A number begins: does it go with those before? */
static int check_parting(struct text *text, struct view_reason *reason)
{
	enum parting parting = text->comma ? PARTED_BY_COMMAS : PARTED_BY_BLANKS;

	text->comma = false;
	if (text->closed)
		return refuse_text(reason, text, "a number after the ']'");
	if (text->count == 0)
		return 0;
	if (text->parting != PARTED_ANYHOW && text->parting != parting)
		return refuse_text(reason, text,
		                   "commas between some numbers and blanks between others; a comma "
		                   "may be a decimal point");
	text->parting = parting;
	return 0;
}

/* Read the number there to `vector`. -EINVAL. */
static int take_number(struct text *text, const struct quiver_geometry *geometry,
                       unsigned char *vector, struct view_reason *reason)
{
	char word[TOKEN_BYTES_MAX];
	int err = check_parting(text, reason);

	if (err != 0)
		return err;
	err = take_word(&text->cursor, word);
	if (err == 0 && text->count == geometry->dim) {
		snprintf(reason->text, sizeof(reason->text),
		         "line %u: more than %" PRIu32 " numbers", text->cursor.line,
		         geometry->dim);
		return -EINVAL;
	}
	if (err == 0)
		err = element_read_word(element_of(geometry), word, vector, text->count);
	if (err != 0)
		return refuse_word(reason, &text->cursor, geometry, word, err);
	text->count++;
	return 0;
}

static int decode_text(const struct quiver_geometry *geometry, const char *bytes, size_t size,
                       unsigned char *vector, struct view_reason *reason)
{
	size_t mark = size >= BOM_BYTES && memcmp(bytes, BOM, BOM_BYTES) == 0 ? BOM_BYTES : 0;
	struct text text = {
		.cursor = { .at = bytes + mark, .end = bytes + size, .line = 1 },
	};
	int err = 0;
	char c;

	while (err == 0 && next_character(&text.cursor, &c))
		err = is_part_of_word(c) ? take_number(&text, geometry, vector, reason)
		                         : take_mark(&text, c, reason);
	if (err != 0)
		return err;
	if (text.count != geometry->dim)
		snprintf(reason->text, sizeof(reason->text),
		         "got %" PRIu32 " of %" PRIu32 " numbers", text.count, geometry->dim);
	else if (text.open > 0)
		snprintf(reason->text, sizeof(reason->text), "the ']' at its end is missing");
	else
		return 0;
	return -EINVAL;
}

/* ---- NumPy ---- */

/* NumPy has neither bfloat16 nor bits: what stands for them in a header. */
static const char *npy_type(const struct quiver_geometry *geometry)
{
	switch (geometry->dtype) {
	case QUIVER_BF2:
		return "u2";
	case QUIVER_B1:
		return "u1";
	default:
		return quiver_dtype_name(geometry->dtype);
	}
}

static uint32_t npy_length(const struct quiver_geometry *geometry)
{
	return geometry->dtype == QUIVER_B1 ? geometry->vector_bytes : geometry->dim;
}

int view_npy_header(const struct quiver_geometry *geometry, uint64_t count, char *to)
{
	return npy_format_header(to, npy_type(geometry), count, npy_length(geometry));
}

static int encode_npy(const struct quiver_geometry *geometry, const void *vector, char **bytes,
                      size_t *size, size_t *room)
{
	char *file = malloc(view_fixed_bytes(geometry, TREE_FORM_NPY));
	int err;

	if (file == NULL)
		return -ENOMEM;
	err = npy_format_header(file, npy_type(geometry), npy_length(geometry), 0);
	if (err != 0) {
		free(file);
		return err;
	}
	memcpy(file + NPY_WRITTEN_BYTES, vector, geometry->vector_bytes);
	*bytes = file;
	*size = view_fixed_bytes(geometry, TREE_FORM_NPY);
	*room = *size;
	return 0;
}

/* What array.astype() is told, where it can be told anything. */
static void refuse_type(const struct quiver_geometry *geometry, const char *type,
                        struct view_reason *reason)
{
	if (geometry->dtype == QUIVER_B1)
		snprintf(reason->text, sizeof(reason->text),
		         "its type is %s; expected bool, or u1 with 8 bits in each; save "
		         "numpy.packbits(array)",
		         type);
	else if (geometry->dtype == QUIVER_BF2)
		snprintf(reason->text, sizeof(reason->text),
		         "its type is %s; expected bf2; save array.astype(ml_dtypes.bfloat16), or "
		         "the bits as u2",
		         type);
	else
		snprintf(reason->text, sizeof(reason->text),
		         "its type is %s; expected %s; save it with array.astype('%s')", type,
		         quiver_dtype_name(geometry->dtype), quiver_dtype_name(geometry->dtype));
}

/* Bools as a vector of bits. */
static int decode_bools(const struct quiver_geometry *geometry, const char *bools, void *vector,
                        struct view_reason *reason)
{
	struct element_loss loss = { 0 };
	size_t bad = 0;

	if (element_convert(ELEMENT_BOOL, bools, ELEMENT_B1, vector, geometry->dim, &loss, &bad) ==
	    0)
		return 0;
	snprintf(reason->text, sizeof(reason->text), "element %zu: %s", bad,
	         element_refusal(ELEMENT_BOOL, ELEMENT_B1));
	return -EINVAL;
}

/* A vector, or what models give for one text: an array of one row. */
static bool is_one_row(const struct npy_array *array, uint32_t length)
{
	unsigned last = array->dimensions - 1;

	return array->dimensions >= 1 && array->dimensions <= 2 && array->shape[last] == length &&
	       (last == 0 || array->shape[0] == 1);
}

static int decode_npy(const struct quiver_geometry *geometry, const char *bytes, size_t size,
                      void *vector, struct view_reason *reason)
{
	struct npy_array array;
	struct npy_reason why = { "" };
	bool bools, same;
	uint32_t length;

	if (npy_parse(bytes, size, &array, &why) < 0) {
		snprintf(reason->text, sizeof(reason->text), "%s", why.text);
		return -EINVAL;
	}
	bools = geometry->dtype == QUIVER_B1 && strcmp(array.type, NPY_BOOL) == 0;
	same = strcmp(array.type, npy_type(geometry)) == 0 ||
	       (geometry->dtype == QUIVER_BF2 && strcmp(array.type, NPY_BFLOAT16) == 0);
	length = bools ? geometry->dim : npy_length(geometry);
	if (!bools && !same)
		refuse_type(geometry, array.type, reason);
	else if (!is_one_row(&array, length))
		snprintf(reason->text, sizeof(reason->text),
		         "its shape is wrong; expected (%" PRIu32 ",) or (1, %" PRIu32 ")", length,
		         length);
	else if (size - array.data_offset != array.data_bytes)
		snprintf(reason->text, sizeof(reason->text),
		         "got %" PRIu64 " of %" PRIu64 " bytes after the header",
		         (uint64_t)size - array.data_offset, array.data_bytes);
	else if (bools)
		return decode_bools(geometry, bytes + array.data_offset, vector, reason);
	else {
		memcpy(vector, bytes + array.data_offset, geometry->vector_bytes);
		return 0;
	}
	return -EINVAL;
}

/* ---- as it is ---- */

static int encode_same(const struct quiver_geometry *geometry, const void *vector, char **bytes,
                       size_t *size, size_t *room)
{
	*size = *room = geometry->vector_bytes;
	*bytes = malloc(*size);
	if (*bytes == NULL)
		return -ENOMEM;
	memcpy(*bytes, vector, *size);
	return 0;
}

static int decode_same(const struct quiver_geometry *geometry, const char *bytes, size_t size,
                       void *vector, struct view_reason *reason)
{
	if (size != geometry->vector_bytes) {
		snprintf(reason->text, sizeof(reason->text), "got %zu of %" PRIu32 " bytes", size,
		         geometry->vector_bytes);
		return -EINVAL;
	}
	memcpy(vector, bytes, size);
	return 0;
}

int view_encode(const struct quiver_geometry *geometry, enum tree_form form, const void *vector,
                char **bytes, size_t *size, size_t *room)
{
	if (form == TREE_FORM_SAME)
		return encode_same(geometry, vector, bytes, size, room);
	if (form == TREE_FORM_NPY)
		return encode_npy(geometry, vector, bytes, size, room);
	return encode_text(geometry, vector, bytes, size, room);
}

int view_decode(const struct quiver_geometry *geometry, enum tree_form form, const char *bytes,
                size_t size, void *vector, struct view_reason *reason)
{
	if (form == TREE_FORM_SAME)
		return decode_same(geometry, bytes, size, vector, reason);
	if (form == TREE_FORM_NPY)
		return decode_npy(geometry, bytes, size, vector, reason);
	return decode_text(geometry, bytes, size, vector, reason);
}
