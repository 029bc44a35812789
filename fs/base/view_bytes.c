/* view_bytes.c - a vector as the bytes of its views, and back. */
#include "fs/base/view_bytes.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/codec/element.h"
#include "engine/codec/npy.h"

#include "fs/base/printable.h"

/* The longest number that is written, "-2.2250738585072014e-308" and a newline. */
#define NUMBER_BYTES_MAX 32u
/* The longest number that is read: with all the digits that a double may have. */
#define TOKEN_BYTES_MAX 1100u
/* What a text may have for each number, and for all of them: np.savetxt writes 25. */
#define TEXT_BYTES_PER_NUMBER 64u
#define TEXT_BYTES_MORE 4096u

static enum element element_of(const struct quiver_geometry *geometry)
{
	enum element type = ELEMENT_F4;

	(void)element_parse(quiver_dtype_name(geometry->dtype), &type); /* has them all */
	return type;
}

size_t view_npy_bytes(const struct quiver_geometry *geometry)
{
	return NPY_WRITTEN_BYTES + (size_t)geometry->vector_bytes;
}

size_t view_bytes_max(const struct quiver_geometry *geometry, enum tree_form form)
{
	if (form == TREE_FORM_NPY)
		return NPY_PREFIX_BYTES_MAX + NPY_TEXT_BYTES_MAX + (size_t)geometry->vector_bytes;
	return (size_t)geometry->dim * TEXT_BYTES_PER_NUMBER + TEXT_BYTES_MORE;
}

/* ---- numbers ---- */

/* Read a whole word as an element. A float is rounded once, not by way of a double.
 * -EINVAL no number, -ERANGE one that does not fit the type. */
static int read_number(enum element type, const char *word, void *to)
{
	struct element_loss loss = { 0 };
	char *end = NULL;
	double number;

	number = type == ELEMENT_F4 ? (double)strtof(word, &end) : strtod(word, &end);
	if (end == word || *end != '\0')
		return -EINVAL;
	if (element_store(type, number, to, &loss) < 0 || loss.beyond > 0)
		return -ERANGE;
	if (!element_is_float(type) && loss.rounded > 0)
		return -ERANGE;
	/* 1e999 is infinity to strtod; the word itself says whether it is meant. */
	if (isinf(number) && strpbrk(word, "iI") == NULL)
		return -ERANGE;
	return 0;
}

/* Whether both are the same, but for the bits of a NaN. */
static bool same(enum element type, const void *a, const void *b)
{
	double one, other;

	if (memcmp(a, b, element_bytes(type)) == 0)
		return true;
	one = element_load(type, a, NULL);
	other = element_load(type, b, NULL);
	return isnan(one) && isnan(other) && signbit(one) == signbit(other);
}

/* How many digits every decimal number keeps in the type, how many every number of the type
 * needs, and below what it has fewer bits. */
struct precision {
	int kept, most;
	double normal;
};

static const struct precision *precision_of(enum element type)
{
	static const struct precision half = { 3, 5, 0x1p-14 };
	static const struct precision single = { FLT_DIG, FLT_DECIMAL_DIG, FLT_MIN };
	static const struct precision twice = { DBL_DIG, DBL_DECIMAL_DIG, DBL_MIN };

	return type == ELEMENT_F2 ? &half : type == ELEMENT_F8 ? &twice : &single;
}

/* The number of characters. Up to the digits that are kept %g drops the zeros behind, so
 * the first text that is read back is the shortest that rounds the number. */
static size_t write_number(enum element type, const void *element, char to[NUMBER_BYTES_MAX])
{
	const struct precision *precision = precision_of(type);
	double number = element_load(type, element, NULL);
	int digits = fabs(number) < precision->normal ? 1 : precision->kept;
	unsigned char back[8];
	int length;

	do
		length = snprintf(to, NUMBER_BYTES_MAX, "%.*g", digits, number);
	while ((read_number(type, to, back) < 0 || !same(type, element, back)) &&
	       ++digits <= precision->most);
	return (size_t)length;
}

/* ---- text ---- */

static int encode_text(const struct quiver_geometry *geometry, const unsigned char *vector,
                       char **bytes, size_t *size, size_t *room)
{
	enum element type = element_of(geometry);
	char *text = malloc((size_t)geometry->dim * NUMBER_BYTES_MAX);
	size_t used = 0;
	char *fitting;

	if (text == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < geometry->dim; i++) {
		used += write_number(type, vector + (size_t)i * element_bytes(type), text + used);
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

/* Copy the next word to `word`. Its length; 0 at the end; -E2BIG, and `word` is its start. */
static int next_word(struct cursor *cursor, char word[TOKEN_BYTES_MAX])
{
	unsigned length = 0;

	for (; cursor->at < cursor->end && is_blank(*cursor->at); cursor->at++)
		cursor->line += *cursor->at == '\n';
	for (; cursor->at < cursor->end && !is_blank(*cursor->at); cursor->at++) {
		if (length + 1 == TOKEN_BYTES_MAX) {
			word[length] = '\0';
			return -E2BIG;
		}
		/* A NUL would end the word unseen. */
		word[length++] = *cursor->at == '\0' ? '?' : *cursor->at;
	}
	word[length] = '\0';
	return (int)length;
}

static int refuse_word(struct view_reason *reason, const struct cursor *cursor,
                       const struct quiver_geometry *geometry, char *word, int err)
{
	printable_replace(word);
	if (err == -ERANGE)
		snprintf(reason->text, sizeof(reason->text), "line %u: %.40s is no %s",
		         cursor->line, word, quiver_dtype_name(geometry->dtype));
	else
		snprintf(reason->text, sizeof(reason->text), "line %u: '%.40s' is no number",
		         cursor->line, word);
	return -EINVAL;
}

static int decode_text(const struct quiver_geometry *geometry, const char *bytes, size_t size,
                       unsigned char *vector, struct view_reason *reason)
{
	enum element type = element_of(geometry);
	struct cursor cursor = { .at = bytes, .end = bytes + size, .line = 1 };
	char word[TOKEN_BYTES_MAX];
	uint32_t count = 0;
	int length, err;

	while ((length = next_word(&cursor, word)) != 0) {
		unsigned char *to = vector + (size_t)count * element_bytes(type);

		if (length > 0 && count == geometry->dim) {
			snprintf(reason->text, sizeof(reason->text),
			         "line %u: more than %" PRIu32 " numbers", cursor.line,
			         geometry->dim);
			return -EINVAL;
		}
		err = length < 0 ? -EINVAL : read_number(type, word, to);
		if (err != 0)
			return refuse_word(reason, &cursor, geometry, word, err);
		count++;
	}
	if (count == geometry->dim)
		return 0;
	snprintf(reason->text, sizeof(reason->text), "got %" PRIu32 " of %" PRIu32 " numbers",
	         count, geometry->dim);
	return -EINVAL;
}

/* ---- NumPy ---- */

static int encode_npy(const struct quiver_geometry *geometry, const void *vector, char **bytes,
                      size_t *size, size_t *room)
{
	char *file = malloc(view_npy_bytes(geometry));
	int err;

	if (file == NULL)
		return -ENOMEM;
	err = npy_format_header(file, quiver_dtype_name(geometry->dtype), geometry->dim, 0);
	if (err != 0) {
		free(file);
		return err;
	}
	memcpy(file + NPY_WRITTEN_BYTES, vector, geometry->vector_bytes);
	*bytes = file;
	*size = view_npy_bytes(geometry);
	*room = *size;
	return 0;
}

static int decode_npy(const struct quiver_geometry *geometry, const char *bytes, size_t size,
                      void *vector, struct view_reason *reason)
{
	const char *wanted = quiver_dtype_name(geometry->dtype);
	struct npy_array array;
	struct npy_reason why = { "" };

	if (npy_parse(bytes, size, &array, &why) < 0) {
		snprintf(reason->text, sizeof(reason->text), "%s", why.text);
		return -EINVAL;
	}
	if (strcmp(array.type, wanted) != 0)
		snprintf(reason->text, sizeof(reason->text),
		         "its type is %s, not %s: save it with "
		         "array.astype('%s')",
		         array.type, wanted, wanted);
	else if (array.dimensions != 1 || array.shape[0] != geometry->dim)
		snprintf(reason->text, sizeof(reason->text), "its shape is not (%" PRIu32 ",)",
		         geometry->dim);
	else if (size - array.data_offset != geometry->vector_bytes)
		snprintf(reason->text, sizeof(reason->text),
		         "got %" PRIu64 " of %" PRIu32 " bytes behind the header",
		         (uint64_t)size - array.data_offset, geometry->vector_bytes);
	else {
		memcpy(vector, bytes + array.data_offset, geometry->vector_bytes);
		return 0;
	}
	return -EINVAL;
}

int view_encode(const struct quiver_geometry *geometry, enum tree_form form, const void *vector,
                char **bytes, size_t *size, size_t *room)
{
	if (form == TREE_FORM_NPY)
		return encode_npy(geometry, vector, bytes, size, room);
	return encode_text(geometry, vector, bytes, size, room);
}

int view_decode(const struct quiver_geometry *geometry, enum tree_form form, const char *bytes,
                size_t size, void *vector, struct view_reason *reason)
{
	if (form == TREE_FORM_NPY)
		return decode_npy(geometry, bytes, size, vector, reason);
	return decode_text(geometry, bytes, size, vector, reason);
}
