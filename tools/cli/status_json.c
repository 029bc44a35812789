/*
 * status_json.c - what is known of a store, as one flat JSON object.
 */
#include "tools/cli/status.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* Keys that are yes or no, told as 1 and 0. */
static bool is_yes_or_no(const char *key)
{
	return strcmp(key, "failed") == 0 || strcmp(key, "read_only") == 0 ||
	       strcmp(key, "nearest_building") == 0;
}

/* Text, which may hold any bytes where it is a path: JSON is UTF-8, so others
 * become '?'. NULL without memory. */
static json_t *make_text(const char *text)
{
	json_t *value = json_string(text);
	char *ascii;

	if (value != NULL)
		return value;
	ascii = strdup(text);
	if (ascii == NULL)
		return NULL;
	for (char *at = ascii; *at != '\0'; at++) {
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	}
	value = json_string(ascii);
	free(ascii);
	return value;
}

/* A value as what it is: a whole number, another number, or text. */
static json_t *make_value(const char *text)
{
	char *end;
	long long whole;
	double real;

	if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0')
		return make_text(text);
	errno = 0;
	whole = strtoll(text, &end, 10);
	if (errno == 0 && *end == '\0')
		return json_integer(whole);
	real = strtod(text, &end);
	if (*end == '\0' && isfinite(real))
		return json_real(real);
	return make_text(text);
}

/* Whether the key is a version or a name, which stays text whatever it looks like. */
static bool is_text(const char *key)
{
	static const char *const keys[] = { "version", "uuid",         "store",      "mount",
		                            "label",   "snapshot_max", "pool",       "user",
		                            "cluster", "health",       "collection", "namespace",
		                            "state" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i]) == 0)
			return true;
	}
	return false;
}

static int add_fact(json_t *object, const struct fact *fact)
{
	json_t *value;

	if (is_yes_or_no(fact->key))
		value = json_boolean(strcmp(fact->value, "0") != 0);
	else if (is_text(fact->key))
		value = make_text(fact->value);
	else if (facts_is_unknown(fact->value))
		value = json_null();
	else
		value = make_value(fact->value);
	return json_object_set_new(object, fact->key, value);
}

int status_print_json(const struct session *session, const struct facts *facts, bool one_line)
{
	json_t *object = json_object();
	bool live = session->target.live;
	bool failed = object == NULL;
	size_t layout = one_line ? 0 : JSON_INDENT(1);

	if (!failed)
		failed = json_object_set_new(object, "mounted", json_boolean(live)) < 0 ||
		         json_object_set_new(object, live ? "mount" : "store",
		                             make_text(session->target.path)) < 0;
	for (size_t i = 0; i < facts->count && !failed; i++)
		failed = add_fact(object, &facts->list[i]) < 0;
	if (!failed && facts_find(facts, "label") == NULL)
		failed = json_object_set_new(object, "label", json_string("")) < 0;
	if (!failed && facts_find(facts, "snapshots") != NULL &&
	    facts_find(facts, "snapshot_max") == NULL)
		failed = json_object_set_new(object, "snapshot_max", json_string("")) < 0 ||
		         json_object_set_new(object, "snapshot_max_bytes", json_integer(0)) < 0;
	if (!failed)
		failed = json_dumpf(object, stdout,
		                    layout | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9)) < 0 ||
		         putchar('\n') == EOF;
	json_decref(object);
	return failed ? -ENOMEM : 0;
}
