/*
 * json_scan.c - where in a text of JSON a value begins and ends.
 */
#include "tools/formats/json_scan.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

/* Brackets within brackets: more than anyone has around a vector. */
#define DEPTH_MAX 512u
#define REPLACEMENT 0xfffdu

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

const char *json_scan_space(const char *at, const char *end)
{
	while (at < end && is_space(*at))
		at++;
	return at;
}

/* Behind the string that begins at `at`, or NULL. */
static const char *pass_string(const char *at, const char *end)
{
	for (at++; at < end; at++) {
		if (*at == '"')
			return at + 1;
		if (*at == '\\' && ++at == end)
			break;
	}
	return NULL;
}

/* Behind a number or a word. */
static const char *pass_word(const char *at, const char *end)
{
	static const bool ends[UCHAR_MAX + 1] = {
		['\0'] = true, [' '] = true, ['\t'] = true, ['\n'] = true,
		['\r'] = true, [','] = true, [':'] = true,  ['['] = true,
		[']'] = true,  ['{'] = true, ['}'] = true,  ['"'] = true,
	};

	while (at < end && !ends[(unsigned char)*at])
		at++;
	return at;
}

/* Brackets that are open, and what may come next. */
struct nest {
	uint64_t objects[DEPTH_MAX / 64]; /* a bit each: {, not [ */
	unsigned depth;
	bool wants_value; /* else a separator or a closing bracket */
	bool may_close; /* an empty pair, where a value is wanted */
	bool wants_key; /* the value is a key, then a colon and a value */
};

static bool in_object(const struct nest *nest)
{
	unsigned top = nest->depth - 1;

	return (nest->objects[top / 64] >> top % 64 & 1) != 0;
}

static bool open_bracket(struct nest *nest, bool object)
{
	unsigned top = nest->depth;
	uint64_t bit = UINT64_C(1) << top % 64;

	if (!nest->wants_value || nest->wants_key || top == DEPTH_MAX)
		return false;
	if (object)
		nest->objects[top / 64] |= bit;
	else
		nest->objects[top / 64] &= ~bit;
	nest->depth++;
	nest->may_close = true;
	nest->wants_key = object;
	return true;
}

static bool close_bracket(struct nest *nest, bool object)
{
	if (nest->depth == 0 || in_object(nest) != object ||
	    (nest->wants_value && !nest->may_close))
		return false;
	nest->depth--;
	nest->wants_value = nest->may_close = nest->wants_key = false;
	return true;
}

static bool separate(struct nest *nest)
{
	if (nest->depth == 0 || nest->wants_value)
		return false;
	nest->wants_value = true;
	nest->wants_key = in_object(nest);
	return true;
}

/* A string, a number or a word was passed: behind it, and behind the colon after a key. NULL where
 * the text ends before that; *wrong where it is not that. */
static const char *took(struct nest *nest, bool string, const char *at, const char *end,
                        bool *wrong)
{
	*wrong = !nest->wants_value || (nest->wants_key && !string);
	nest->may_close = false;
	if (!nest->wants_key) {
		nest->wants_value = false;
		return at;
	}
	nest->wants_key = false;
	at = json_scan_space(at, end);
	if (at == end)
		return NULL;
	*wrong = *wrong || *at != ':';
	return at + 1;
}

/* One step from `at`, which is no space. As took. */
static const char *step(struct nest *nest, const char *at, const char *end, bool *wrong)
{
	const char *behind;

	switch (*at) {
	case '{':
	case '[':
		*wrong = !open_bracket(nest, *at == '{');
		return at + 1;
	case '}':
	case ']':
		*wrong = !close_bracket(nest, *at == '}');
		return at + 1;
	case ',':
		*wrong = !separate(nest);
		return at + 1;
	case '"':
		behind = pass_string(at, end);
		return behind != NULL ? took(nest, true, behind, end, wrong) : NULL;
	default:
		behind = pass_word(at, end);
		if (behind != at)
			return took(nest, false, behind, end, wrong);
		*wrong = true;
		return at;
	}
}

const char *json_scan_pass(const char *at, const char *end, const char **fault)
{
	struct nest nest = { .wants_value = true };
	bool wrong = false;

	if (fault != NULL)
		*fault = NULL;
	do {
		const char *from = json_scan_space(at, end);

		if (from == end)
			return NULL;
		at = step(&nest, from, end, &wrong);
		if (wrong && fault != NULL)
			*fault = from;
		if (wrong || at == NULL)
			return NULL;
	} while (nest.depth > 0);
	return at;
}

/* Whether the string `span` is the name. */
static bool is_name(struct json_span span, const struct json_member *member)
{
	char text[256];
	size_t length = (size_t)(span.end - span.at) - 2;

	if (length == member->length && memcmp(span.at + 1, member->name, length) == 0)
		return true;
	/* it may be written with escapes, which make it longer */
	if (length <= member->length || length > sizeof(text) - 2 ||
	    memchr(span.at, '\\', length + 1) == NULL)
		return false;
	return json_scan_string(span, text) == member->length &&
	       memcmp(text, member->name, member->length) == 0;
}

/* Note a member of an object. */
static void note(struct json_member *members, size_t count, struct json_span name,
                 struct json_span value)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_name(name, &members[i]))
			continue;
		members[i].twice = members[i].value.at != NULL;
		if (!members[i].twice)
			members[i].value = value;
	}
}

const char *json_scan_find(const char *at, const char *end, struct json_member *members,
                           size_t count)
{
	at = json_scan_space(at + 1, end);
	if (at < end && *at == '}')
		return at + 1;
	while (at < end && *at == '"') {
		struct json_span name = { at, pass_string(at, end) }, value;

		if (name.end == NULL)
			return NULL;
		at = json_scan_space(name.end, end);
		if (at == end || *at != ':')
			return NULL;
		value.at = json_scan_space(at + 1, end);
		value.end = json_scan_pass(value.at, end, NULL);
		if (value.end == NULL)
			return NULL;
		note(members, count, name, value);
		at = json_scan_space(value.end, end);
		if (at < end && *at == '}')
			return at + 1;
		if (at == end || *at != ',')
			return NULL;
		at = json_scan_space(at + 1, end);
	}
	return NULL;
}

struct json_span json_scan_element(const char *at, const char *end, size_t index)
{
	struct json_span element = { NULL, NULL };

	at = json_scan_space(at + 1, end);
	for (;; index--) {
		const char *behind = at < end && *at != ']' ? json_scan_pass(at, end, NULL) : NULL;

		if (behind == NULL)
			return element;
		if (index == 0) {
			element.at = at;
			element.end = behind;
			return element;
		}
		at = json_scan_space(behind, end);
		if (at == end || *at != ',')
			return element;
		at = json_scan_space(at + 1, end);
	}
}

size_t json_scan_count(struct json_span span)
{
	const char *at = json_scan_space(span.at + 1, span.end);
	size_t count = 0;

	while (at != NULL && at < span.end && *at != ']') {
		at = json_scan_pass(at, span.end, NULL);
		if (at == NULL)
			break;
		count++;
		at = json_scan_space(at, span.end);
		if (at < span.end && *at == ',')
			at = json_scan_space(at + 1, span.end);
	}
	return count;
}

/* Four hexadecimal digits. False where they are none. */
static bool read_hex(const char *at, const char *end, uint32_t *value)
{
	*value = 0;
	if (end - at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = (char)(at[i] | ' ');

		if (at[i] >= '0' && at[i] <= '9')
			*value = *value << 4 | (uint32_t)(at[i] - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

static size_t put_utf8(uint32_t c, char *to)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The character of an escape \uXXXX at *at, behind its u, or of a pair of them; '?' where it is
 * none, since it may be shorter than U+FFFD. */
static uint32_t read_unicode(const char **at, const char *end)
{
	uint32_t high, low;

	if (!read_hex(*at, end, &high))
		return '?';
	*at += 4;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' ||
	    !read_hex(*at + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
		return REPLACEMENT;
	*at += 6;
	return 0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff);
}

size_t json_scan_string(struct json_span span, char *to)
{
	static const char letters[] = "bfnrt\"\\/", meant[] = "\b\f\n\r\t\"\\/";
	const char *at = span.at + 1, *end = span.end - 1;
	size_t used = 0;

	while (at < end) {
		const char *letter;

		if (*at != '\\') {
			to[used++] = *at++;
			continue;
		}
		at++;
		letter = *at != '\0' ? strchr(letters, *at) : NULL;
		if (*at == 'u') {
			at++;
			used += put_utf8(read_unicode(&at, end), to + used);
			continue;
		}
		if (letter != NULL)
			to[used++] = meant[letter - letters];
		else
			to[used++] = *at;
		at++;
	}
	return used;
}

bool json_scan_member(struct json_span *rest, struct json_span *name, struct json_span *value)
{
	const char *end = rest->end, *at;

	if (rest->at >= end || (*rest->at != '{' && *rest->at != ','))
		return false;
	name->at = json_scan_space(rest->at + 1, end);
	name->end = name->at < end && *name->at == '"' ? pass_string(name->at, end) : NULL;
	at = name->end != NULL ? json_scan_space(name->end, end) : end;
	if (at == end || *at != ':')
		return false;
	value->at = json_scan_space(at + 1, end);
	value->end = json_scan_pass(value->at, end, NULL);
	if (value->end == NULL)
		return false;
	rest->at = json_scan_space(value->end, end);
	return true;
}

void json_scan_names(struct json_span span, char *to, size_t size)
{
	struct json_span name, value;
	size_t used = 0;

	to[0] = '\0';
	while (json_scan_member(&span, &name, &value)) {
		size_t length = (size_t)(name.end - name.at) - 2;

		if (used + length + sizeof(", ") > size)
			return;
		if (used > 0) {
			memcpy(to + used, ", ", 2);
			used += 2;
		}
		memcpy(to + used, name.at + 1, length);
		used += length;
		to[used] = '\0';
	}
}
