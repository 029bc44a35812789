/*
 * json_wrapped.c - rows that one object of JSON holds together, and how jq takes them out.
 */
#include "tools/formats/json_wrapped.h"
#include "tools/formats/format.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const usual_vectors[] = FORMAT_VECTOR_NAMES;
static const char *const lists_of_ids[] = { "ids", "id", "_id", "ID" };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
/* Rows of services are no deeper: Elasticsearch has hits.hits, Qdrant result.points. */
#define DEPTH_MAX 4u
/* A vector within its row: _source.embedding, embeddings.values. */
#define ROW_DEPTH_MAX 2u
/* A longer name is none that a person has to type. */
#define NAME_BYTES_MAX 40
/* A longer path is left out; the longest program has it twice. */
#define PATH_BYTES 48
#define PROGRAM_BYTES 192

struct wrapped {
	char path[PATH_BYTES]; /* to the rows, as jq has it: ".result.points" */
	char program[PROGRAM_BYTES]; /* of jq, which makes a row of each */
};

static bool begins(struct json_span value, char c)
{
	return value.at != NULL && value.at < value.end && *value.at == c;
}

static struct json_span first_of(struct json_span array)
{
	return json_scan_element(array.at, array.end, 0);
}

static bool is_number(struct json_span value)
{
	return value.at != NULL && (*value.at == '-' || isdigit((unsigned char)*value.at));
}

static bool is_numbers(struct json_span value)
{
	return begins(value, '[') && is_number(first_of(value));
}

static struct json_span member(struct json_span object, const char *name)
{
	struct json_member found = { .name = name, .length = strlen(name) };

	(void)json_scan_find(object.at, object.end, &found, 1); /* the value tells */
	return found.value;
}

/* Whether a value is an object in which a vector is. */
static bool is_object_row(struct json_span value, unsigned depth)
{
	struct json_span name, inner;

	if (!begins(value, '{'))
		return false;
	for (size_t i = 0; i < LENGTH(usual_vectors); i++) {
		if (begins(member(value, usual_vectors[i]), '"'))
			return true; /* one in base64, or of pgvector */
	}
	while (json_scan_member(&value, &name, &inner)) {
		if (is_numbers(inner) || (depth < ROW_DEPTH_MAX && is_object_row(inner, depth + 1)))
			return true;
	}
	return false;
}

/* Whether a value is an array of which an element is a vector: [7, [1, 2, 3]]. */
static bool is_record(struct json_span value)
{
	struct json_span element;

	if (!begins(value, '['))
		return false;
	for (size_t i = 0; i < LENGTH(lists_of_ids); i++) {
		element = json_scan_element(value.at, value.end, i);
		if (is_numbers(element))
			return true;
	}
	return false;
}

static bool is_row(struct json_span value)
{
	return is_numbers(value) || is_object_row(value, 1) || is_record(value);
}

static bool is_index(struct json_span name)
{
	for (const char *at = name.at + 1; at < name.end - 1; at++) {
		if (!isdigit((unsigned char)*at))
			return false;
	}
	return name.end - name.at > 2;
}

/* Whether the first two members of an object are rows: then they have their IDs for names. Of the
 * whole value the names must be numbers, since a row may have two members with vectors. */
static bool is_map(struct json_span object, bool whole)
{
	struct json_span name, value;
	unsigned rows = 0;

	while (rows < 2 && json_scan_member(&object, &name, &value)) {
		if (!is_object_row(value, 1) || (whole && !is_index(name)))
			return false;
		rows++;
	}
	return rows == 2 || (rows == 1 && whole);
}

/* Whether it is a column of pandas, {"0": [1, 2, 3], "1": [4, 5, 6]}. */
static bool is_column(struct json_span value)
{
	struct json_span name, inner;

	return begins(value, '{') && json_scan_member(&value, &name, &inner) && is_index(name) &&
	       is_numbers(inner);
}

/* Add a member to a path. False where a shell or a person would not take its name. */
static bool add_name(char path[PATH_BYTES], struct json_span name)
{
	size_t used = strlen(path), length = (size_t)(name.end - name.at);
	bool plain = length > 2 && !isdigit((unsigned char)name.at[1]);

	if (length > NAME_BYTES_MAX || used + length + 2 > PATH_BYTES)
		return false;
	for (const char *at = name.at + 1; at < name.end - 1; at++) {
		if (!isprint((unsigned char)*at) || *at == '\'')
			return false;
		plain = plain && (isalnum((unsigned char)*at) || *at == '_');
	}
	(void)snprintf(path + used, PATH_BYTES - used, ".%.*s", (int)length - 2 * plain,
	               name.at + plain);
	return true;
}

/* The list of IDs in an object, or NULL. */
static const char *ids_beside(struct json_span object, char kind)
{
	for (size_t i = 0; i < LENGTH(lists_of_ids); i++) {
		if (begins(member(object, lists_of_ids[i]), kind))
			return lists_of_ids[i];
	}
	return NULL;
}

/* What jq does with a list of rows that is a member of `object`. `path` leads to it, its first
 * `above` characters to the object. */
static void program_for(struct json_span object, struct json_span list, int above,
                        struct wrapped *wrapped)
{
	const char *path = wrapped->path;
	const char *ids = ids_beside(object, *list.at);
	struct json_span first = first_of(list);
	bool many = begins(first, '[') && begins(first_of(first), '[');
	const char *of_first = many ? "[0]" : "";

	if (begins(list, '{') && ids != NULL && is_column(list))
		(void)snprintf(wrapped->program, sizeof(wrapped->program),
		               "%.*s.%s as $i | %s | to_entries[] | {id: $i[.key], vector: .value}",
		               above, path, ids, path);
	else if (ids != NULL && (many || is_numbers(first)))
		(void)snprintf(wrapped->program, sizeof(wrapped->program),
		               "[%.*s.%s%s, %s%s] | transpose[] | {id: .[0], vector: .[1]}", above,
		               path, ids, of_first, path, of_first);
	else if (is_record(first) && !many && begins(member(object, "columns"), '['))
		(void)snprintf(wrapped->program, sizeof(wrapped->program),
		               "%.*s.columns as $c | %s[] | [$c, .] | transpose | "
		               "map({(.[0] | tostring): .[1]}) | add",
		               above, path, path);
	else
		(void)snprintf(wrapped->program, sizeof(wrapped->program), "%s%s[]", path,
		               many ? "[]" : "");
}

static bool find(struct json_span object, unsigned depth, struct wrapped *wrapped)
{
	size_t above = strlen(wrapped->path);
	struct json_span rest = object, name, value;

	while (json_scan_member(&rest, &name, &value)) {
		bool list = begins(value, '[') && is_row(first_of(value));
		bool map = begins(value, '{') && (is_map(value, false) || is_column(value));

		wrapped->path[above] = '\0';
		if ((!list && !map && !begins(value, '{')) || !add_name(wrapped->path, name))
			continue;
		if (list || map)
			program_for(object, value, (int)above, wrapped);
		if (list || map || (depth < DEPTH_MAX && find(value, depth + 1, wrapped)))
			return true;
	}
	wrapped->path[above] = '\0';
	return false;
}

/* Whether a member has one of the names of lists that are beside rows, and no vectors. */
static bool is_beside(struct json_span name)
{
	static const char *const beside[] = { "\"columns\"", "\"index\"", "\"ids\"", "\"id\"" };

	for (size_t i = 0; i < LENGTH(beside); i++) {
		if (strlen(beside[i]) == (size_t)(name.end - name.at) &&
		    memcmp(beside[i], name.at, strlen(beside[i])) == 0)
			return true;
	}
	return false;
}

/* Whether an object has a vector under whatever name: then it is a row, though it may have lists of
 * others, too. */
static bool has_vector(struct json_span object, uint32_t dim)
{
	struct json_span name, value;

	while (json_scan_member(&object, &name, &value)) {
		if (!is_beside(name) && is_numbers(value) && json_scan_count(value) == dim)
			return true;
	}
	return false;
}

static bool find_all(struct json_span value, struct wrapped *wrapped)
{
	if (!begins(value, '{'))
		return false;
	if (!is_map(value, true))
		return find(value, 1, wrapped);
	(void)snprintf(wrapped->path, sizeof(wrapped->path), ".");
	(void)snprintf(wrapped->program, sizeof(wrapped->program), ".[]");
	return true;
}

bool json_wrapped_tell(struct json_span value, uint32_t dim, bool in_array,
                       char to[JSON_WRAPPED_BYTES])
{
	struct wrapped wrapped = { 0 };

	if ((dim > 0 && has_vector(value, dim)) || !find_all(value, &wrapped))
		return false;
	(void)snprintf(to, JSON_WRAPPED_BYTES,
	               "holds its rows in %s; to import them: jq -c '%s%s' FILE | quiverfs import "
	               "STORE - --format jsonl",
	               wrapped.path, in_array ? ".[] | " : "", wrapped.program);
	return true;
}
