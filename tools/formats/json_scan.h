/*
 * json_scan.h - where in a text of JSON a value begins and ends.
 *
 * It finds what is wanted and passes over the rest, whatever that holds: an integer of any
 * size, NaN, half a pair of surrogates. No numbers are read here, so the reader of a number
 * has its own text. Text is `at` up to `end`; any thread.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct json_span {
	const char *at; /* NULL: there is none */
	const char *end;
};

/* Whether a value is an object or an array, or a string. */
static inline bool json_begins_with(struct json_span value, char bracket)
{
	return value.at < value.end && *value.at == bracket;
}

/* What is not space from `at` on, or `end`. */
const char *json_scan_space(const char *at, const char *end);

/*
 * Behind the value that begins at `at`, or NULL where it does not end before `end` or is none.
 * Then *fault, which may be NULL, is where no JSON goes on so, or NULL where more text might
 * make it a value. Of what is in it only strings, brackets and what stands between them are
 * looked at; words are any.
 */
const char *json_scan_pass(const char *at, const char *end, const char **fault);

/* A member to look for. */
struct json_member {
	const char *name;
	size_t length;
	struct json_span value; /* set: of the first of that name */
	bool twice; /* set */
};

/* Find members of the object at `at`: behind it, or NULL as json_scan_pass. */
const char *json_scan_find(const char *at, const char *end, struct json_member *members,
                           size_t count);

/*
 * Take the next member off `rest`, which is an object at first: its name with its quotes, and its
 * value. False at the end, or where no member is whole.
 */
bool json_scan_member(struct json_span *rest, struct json_span *name, struct json_span *value);

/* Element `index` of the array at `at`; its at is NULL where there is none. */
struct json_span json_scan_element(const char *at, const char *end, size_t index);

/* How many elements the array `span` has. */
size_t json_scan_count(struct json_span span);

/* The names of the members of the object `span` to `to`, ", " between them, as many as fit. */
void json_scan_names(struct json_span span, char *to, size_t size);

/*
 * The characters of the string `span` to `to`, which has room for as many bytes as the span
 * is long: their number. Half a pair of surrogates becomes U+FFFD, an escape that is none '?'.
 */
size_t json_scan_string(struct json_span span, char *to);

#endif
