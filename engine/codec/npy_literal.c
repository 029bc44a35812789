/*
 * npy_literal.c - the Python dictionary inside a .npy header.
 *
 * {'descr': '<f4', 'fortran_order': False, 'shape': (11925, 25), }
 *
 * A strict reader of just this: keys in any order, either quote, spaces
 * anywhere. It never reads past the text and keeps no memory.
 */
#include "engine/codec/npy_literal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Longest key or type name that means anything here. */
#define WORD_BYTES_MAX 32u

/* The text that is left to read. */
struct cursor {
	const char *at;
	const char *end;
	struct npy_reason *reason;
};

int npy_refuse(struct npy_reason *reason, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason->text, sizeof(reason->text), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void skip_spaces(struct cursor *cursor)
{
	while (cursor->at < cursor->end && is_space(*cursor->at))
		cursor->at++;
}

/* The next character that is no space, not taken; NUL at the end. */
static char peek(struct cursor *cursor)
{
	skip_spaces(cursor);
	return cursor->at < cursor->end ? *cursor->at : '\0';
}

/* Take `wanted` if it comes next. */
static bool take(struct cursor *cursor, char wanted)
{
	if (peek(cursor) != wanted || wanted == '\0')
		return false;
	cursor->at++;
	return true;
}

/* Take the letters `word` if they come next. */
static bool take_word(struct cursor *cursor, const char *word)
{
	size_t length = strlen(word);

	skip_spaces(cursor);
	if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0)
		return false;
	cursor->at += length;
	return true;
}

/* Take a quoted string without escapes. -EINVAL with a reason. */
static int take_string(struct cursor *cursor, char word[WORD_BYTES_MAX])
{
	size_t length = 0;
	char quote = peek(cursor);

	if (quote != '\'' && quote != '"')
		return npy_refuse(cursor->reason, "the header is broken: a quoted word is missing");
	cursor->at++;
	while (cursor->at < cursor->end && *cursor->at != quote) {
		unsigned char c = (unsigned char)*cursor->at;

		if (length + 1 >= WORD_BYTES_MAX || c < ' ' || c > '~' || c == '\\')
			return npy_refuse(
				cursor->reason,
				"the header is broken: a word in it is too long or not ASCII");
		word[length++] = (char)c;
		cursor->at++;
	}
	if (cursor->at == cursor->end)
		return npy_refuse(cursor->reason, "the header is broken: a quote is not closed");
	cursor->at++;
	word[length] = '\0';
	return 0;
}

/* Take a decimal number (Python 2 wrote an L behind it). -EINVAL. */
static int take_number(struct cursor *cursor, uint64_t *number)
{
	*number = 0;
	if (!is_digit(peek(cursor)))
		return npy_refuse(cursor->reason, "the header is broken: the shape holds something "
		                                  "that is not a whole number");
	while (cursor->at < cursor->end && is_digit(*cursor->at)) {
		if (__builtin_mul_overflow(*number, 10u, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*cursor->at - '0'), number))
			return npy_refuse(cursor->reason,
			                  "the shape holds a number that does not fit 64 bits");
		cursor->at++;
	}
	if (cursor->at < cursor->end && *cursor->at == 'L')
		cursor->at++;
	return 0;
}

/* Take the tuple of the shape. -EINVAL. */
static int take_shape(struct cursor *cursor, struct npy_array *array)
{
	int result;

	array->dimensions = 0;
	if (!take(cursor, '('))
		return npy_refuse(cursor->reason, "the header is broken: the shape is not a tuple");
	while (peek(cursor) != ')') {
		if (array->dimensions == NPY_DIMENSIONS_MAX)
			return npy_refuse(cursor->reason, "the shape has more than %u dimensions",
			                  NPY_DIMENSIONS_MAX);
		result = take_number(cursor, &array->shape[array->dimensions]);
		if (result < 0)
			return result;
		array->dimensions++;
		if (take(cursor, ','))
			continue;
		if (peek(cursor) != ')')
			return npy_refuse(cursor->reason,
			                  "the header is broken: the shape does not end");
		if (array->dimensions == 1)
			return npy_refuse(cursor->reason,
			                  "the header is broken: the shape is not a tuple");
	}
	cursor->at++;
	return 0;
}

/* Why a type with this kind letter is no array of plain numbers. */
static const char *kind_reason(char kind)
{
	switch (kind) {
	case 'O':
		return "it holds Python objects, which are never loaded";
	case 'c':
		return "it holds complex numbers";
	case 'S':
	case 'a':
	case 'U':
		return "it holds text";
	case 'V':
		return "it holds raw bytes (the only type of ml_dtypes known here is bfloat16)";
	case 'M':
	case 'm':
		return "it holds dates or time spans";
	default:
		return NULL;
	}
}

/* Whether it is a kind and a size, as "U10", or "M8[ns]"; not a name, as "complex64". */
static bool is_kind(const char *type)
{
	return type[0] != '\0' && (type[1] == '\0' || is_digit(type[1]) || type[1] == '[');
}

static bool is_number_type(const char *type)
{
	return type[0] != '\0' && strchr("fiu", type[0]) != NULL && type[1] != '\0' &&
	       strchr("1248", type[1]) != NULL && type[2] == '\0' && strcmp(type, "f1") != 0;
}

/* Set the type of *array from a word like <f4. -EINVAL with a reason. */
static int parse_type(struct cursor *cursor, const char *word, struct npy_array *array)
{
	/* how ml_dtypes calls it, as those write it who write the header by hand */
	bool named = strcmp(word, "bfloat16") == 0;
	char order = named ? '<' : word[0];
	const char *type = named                                            ? NPY_BFLOAT16
	                   : strchr("<>|=", order) != NULL && order != '\0' ? word + 1
	                                                                    : word;
	bool known = is_number_type(type) || strcmp(type, NPY_BOOL) == 0;
	bool pair = strcmp(type, NPY_BFLOAT16) == 0;
	const char *reason = pair || !is_kind(type) ? NULL : kind_reason(type[0]);

	if (reason != NULL)
		return npy_refuse(cursor->reason, "its type is '%s': %s", word, reason);
	if (!known && !pair)
		return npy_refuse(cursor->reason, "its type '%s' is not known here", word);
	array->item_bytes = (uint32_t)(type[1] - '0');
	array->big_endian = array->item_bytes > 1 && order == '>';
	/* once loaded without its package, a bfloat16 is a void, which has no order */
	if (array->item_bytes > 1 && order != '<' && order != '>' && !(pair && order == '|'))
		return npy_refuse(cursor->reason,
		                  "its type '%s' does not say little-endian; expected '<%s'", word,
		                  type);
	memcpy(array->type, type, 3);
	return 0;
}

/* Take the value of descr. -EINVAL with a reason. */
static int take_descr(struct cursor *cursor, struct npy_array *array)
{
	char word[WORD_BYTES_MAX] = "";
	int result;

	if (peek(cursor) == '[')
		return npy_refuse(
			cursor->reason,
			"it holds records with named fields; expected an array of plain numbers");
	result = take_string(cursor, word);
	if (result < 0)
		return result;
	return parse_type(cursor, word, array);
}

/* Take the value of fortran_order. -EINVAL. */
static int take_order(struct cursor *cursor, struct npy_array *array)
{
	array->fortran = take_word(cursor, "True");
	if (array->fortran || take_word(cursor, "False"))
		return 0;
	return npy_refuse(cursor->reason,
	                  "the header is broken: fortran_order is not True or False");
}

/* Take one key and its value; *seen has a bit for each key. -EINVAL. */
static int take_entry(struct cursor *cursor, struct npy_array *array, unsigned *seen)
{
	static const char *const keys[] = { "descr", "fortran_order", "shape" };
	char key[WORD_BYTES_MAX];
	unsigned which = 0;
	int result = take_string(cursor, key);

	if (result < 0)
		return result;
	while (which < 3 && strcmp(key, keys[which]) != 0)
		which++;
	if (which == 3)
		return npy_refuse(cursor->reason, "the header is broken: unknown key '%s'", key);
	if ((*seen & 1u << which) != 0)
		return npy_refuse(cursor->reason, "the header is broken: '%s' is there twice", key);
	*seen |= 1u << which;
	if (!take(cursor, ':'))
		return npy_refuse(cursor->reason, "the header is broken: no ':' after '%s'", key);
	if (which == 0)
		return take_descr(cursor, array);
	if (which == 1)
		return take_order(cursor, array);
	return take_shape(cursor, array);
}

int npy_parse_literal(const char *text, size_t length, struct npy_array *array,
                      struct npy_reason *reason)
{
	struct cursor cursor = { .at = text, .end = text + length, .reason = reason };
	unsigned seen = 0;
	int result;

	if (!take(&cursor, '{'))
		return npy_refuse(reason, "the header is broken: it is not a Python dictionary");
	while (peek(&cursor) != '}') {
		result = take_entry(&cursor, array, &seen);
		if (result < 0)
			return result;
		if (!take(&cursor, ',') && peek(&cursor) != '}')
			return npy_refuse(reason, "the header is broken: it ends too early");
	}
	cursor.at++;
	if (peek(&cursor) != '\0' || cursor.at != cursor.end)
		return npy_refuse(reason,
		                  "the header is broken: there is text after the dictionary");
	if (seen != 7u)
		return npy_refuse(reason,
		                  "the header is broken: one of descr, fortran_order and shape is "
		                  "missing");
	return 0;
}
