/*
 * jsonl.c - rows of JSON, {"id": 1, "vector": [0.5, 2]} or [0.5, 2].
 *
 * A line each, or an array of them as the whole file, or one after another. An ID beyond
 * 2^63 - 1 is written as a string of its digits: JSON's numbers are not that exact everywhere.
 * Further members of an object are passed over, whatever they hold.
 */
#include "tools/formats/formats.h"
#include "tools/formats/interrupt.h"
#include "tools/formats/json_path.h"
#include "tools/formats/json_values.h"
#include "tools/formats/json_vector.h"
#include "tools/formats/json_wrapped.h"
#include "tools/formats/json_write.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const usual_vectors[] = FORMAT_VECTOR_NAMES;
static const char *const usual_ids[] = FORMAT_ID_NAMES;

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
/* Of a row: the vector, and the ID by any of its names. */
#define MEMBERS (1 + LENGTH(usual_ids))

struct rows {
	struct json_values values;
	bool plain; /* rows are arrays, not objects */
	struct json_path vector;
	struct json_path id; /* count 0: rows have none */
	char *key; /* room for one */
	size_t key_room;
};

/* A member that should be the vector is some text. */
static int refuse_text(struct format_reader *reader, const char *name, size_t length)
{
	if (reader->wanted.dim == 0)
		return format_refuse(reader,
		                     "its member \"%.*s\" is a text: expected is an array of "
		                     "numbers, or float32 in base64",
		                     (int)length, name);
	return format_refuse(
		reader,
		"its member \"%.*s\" is a text; expected an array of numbers, or exactly %" PRIu32
		" float32 in base64",
		(int)length, name, reader->wanted.dim);
}

/* Find which member is the vector in the first object. */
static int find_vector(struct format_reader *reader, struct rows *rows, struct json_span object,
                       struct json_span *vector)
{
	const char *wanted = reader->wanted.vector_column;
	char names[120], wrapped[JSON_WRAPPED_BYTES];
	const char *text = NULL;

	for (size_t i = 0; i < LENGTH(usual_vectors); i++) {
		const char *name = wanted != NULL ? wanted : usual_vectors[i];

		if (json_path_find(object, name, &rows->vector, vector) &&
		    json_vector_is(reader, *vector))
			return 0;
		if (text == NULL && vector->at != NULL && json_begins_with(*vector, '"'))
			text = name;
	}
	if (json_wrapped_tell(object, reader->wanted.dim, rows->values.layout == JSON_ARRAY,
	                      wrapped))
		return format_refuse(reader, "it is not a row, but %s", wrapped);
	if (text != NULL)
		return refuse_text(reader, text, strlen(text));
	json_scan_names(object, names, sizeof(names));
	return format_refuse(reader,
	                     "it has no array \"%s\"; choose the member that is the vector with "
	                     "--vector-column NAME%s%s",
	                     wanted != NULL ? wanted : usual_vectors[0], names[0] ? ": " : "",
	                     names);
}

/* A database writes null for an ID that a row does not have. */
static bool is_null(struct json_span value)
{
	return value.at != NULL && *value.at == 'n' && value.end - value.at == 4;
}

/* Find which member is the ID. */
static int find_id(struct format_reader *reader, struct rows *rows, struct json_span object)
{
	const char *wanted = reader->wanted.id_column;
	struct json_span id;
	char names[120];

	for (size_t i = 0; i < LENGTH(usual_ids); i++) {
		if (json_path_find(object, wanted != NULL ? wanted : usual_ids[i], &rows->id,
		                   &id) &&
		    (wanted != NULL || !is_null(id)))
			return 0;
	}
	rows->id.count = 0;
	if (wanted == NULL)
		return 0;
	json_scan_names(object, names, sizeof(names));
	return format_refuse(reader, "it has no \"%s\" for --id-column; its members are: %s",
	                     wanted, names);
}

/* The members of a row that matter: the vector is the first, then come those for an ID. */
static void want_members(const struct rows *rows, struct json_member members[MEMBERS])
{
	memset(members, 0, MEMBERS * sizeof(*members));
	members[0].name = rows->vector.parts[0].name;
	members[0].length = rows->vector.parts[0].length;
	for (size_t i = 0; i < LENGTH(usual_ids); i++) {
		bool own = rows->id.count > 0;

		members[1 + i].name = own ? rows->id.parts[0].name : usual_ids[i];
		members[1 + i].length = own ? rows->id.parts[0].length : strlen(usual_ids[i]);
	}
}

/* A row without ID follows others that have none, or is the first. */
static int refuse_late_id(struct format_reader *reader, const struct json_member *members)
{
	const struct json_member *id = &members[1];

	while (id < &members[MEMBERS - 1] && (id->value.at == NULL || is_null(id->value)))
		id++;
	if (id->value.at == NULL || is_null(id->value))
		return 0;
	return format_refuse(
		reader,
		"it has an \"%s\", %.*s, but the rows before it have none; --start-id N numbers "
		"all rows",
		id->name,
		(int)(id->value.end - id->value.at < 40 ? id->value.end - id->value.at : 40),
		id->value.at);
}

/* Whether it matters that a row has an ID though the first has none. */
static bool minds_late_ids(const struct format_reader *reader, const struct rows *rows)
{
	return !rows->plain && rows->id.count == 0 && !reader->wanted.ids_unused;
}

/*
 * Look through the whole file whether any row has an ID, where the first has none: rows that
 * were numbered until then would stand under wrong IDs. What else is wrong is told when it is read.
 */
static int look_for_ids(struct format_reader *reader, struct rows *rows)
{
	struct json_values values = rows->values;
	uint64_t start = reader->stream->offset, line = reader->line, row = reader->row;
	struct json_member members[MEMBERS];
	struct json_span value;
	int result = 0;

	while (result == 0 && !interrupted() && json_values_next(reader, &values, &value) > 0) {
		want_members(rows, members);
		if (!json_begins_with(value, '{') ||
		    json_scan_find(value.at, value.end, members, MEMBERS) == NULL)
			break;
		result = refuse_late_id(reader, members);
		if (result == 0)
			reader->row++;
	}
	if (result < 0)
		return result;
	if (interrupted())
		return -EINTR;
	reader->row = row;
	reader->line = line;
	reader->reason[0] = '\0';
	stream_back(reader->stream, start);
	return 0;
}

/* Say which member of a row is its ID. */
static void tell_ids_from(struct format_reader *reader, const struct json_path *path)
{
	char *to = reader->ids_from;
	size_t room = sizeof(reader->ids_from);
	size_t used = 0;

	for (unsigned i = 0; i < path->count && used < room; i++)
		used += (size_t)snprintf(to + used, room - used, "%s%.*s", i == 0 ? "\"" : ".",
		                         (int)path->parts[i].length, path->parts[i].name);
	if (used > 0)
		(void)snprintf(used < room - 1 ? to + used : to + room - 2, 2, "\"");
}

/* What should be a vector is an array of others. */
static int refuse_table(struct format_reader *reader, const struct rows *rows,
                        struct json_span value, char first)
{
	char wrapped[JSON_WRAPPED_BYTES];

	if (json_wrapped_tell(value, 0, rows->values.layout == JSON_ARRAY, wrapped))
		return format_refuse(reader, "it is not a row with one vector, but %s", wrapped);
	return format_refuse(reader,
	                     "its array%s%.*s%s holds %s; expected numbers, one vector for each "
	                     "row, as {\"id\": 1, \"vector\": [0.5, 2]}",
	                     rows->plain ? "" : " \"",
	                     rows->plain ? 0 : (int)rows->vector.parts[0].length,
	                     rows->plain ? "" : rows->vector.parts[0].name, rows->plain ? "" : "\"",
	                     first == '[' ? "arrays" : "objects");
}

/* Take over what the first row tells. */
static int look(struct format_reader *reader, struct rows *rows, struct json_span value)
{
	struct json_span vector = value;
	int result;

	rows->plain = json_begins_with(value, '[');
	vector.end = json_scan_pass(value.at, value.end, NULL);
	if (vector.end == NULL)
		return json_values_refuse(reader, value);
	if (!rows->plain && !json_begins_with(value, '{'))
		return format_refuse(reader, "it is not an object and not an array; expected rows "
		                             "as {\"id\": 1, \"vector\": [0.5, 2]} or [0.5, 2]");
	if (rows->plain &&
	    (reader->wanted.vector_column != NULL || reader->wanted.id_column != NULL))
		return format_refuse(
			reader, "it is an array, which has no names, but %s names a member",
			reader->wanted.vector_column != NULL ? "--vector-column" : "--id-column");
	result = rows->plain ? 0 : find_vector(reader, rows, value, &vector);
	if (result == 0 && !rows->plain)
		result = find_id(reader, rows, value);
	if (result < 0)
		return result;
	if (json_begins_with(vector, '[')) {
		struct json_span first = json_scan_element(vector.at, vector.end, 0);

		if (first.at != NULL && (*first.at == '[' || *first.at == '{'))
			return refuse_table(reader, rows, value, *first.at);
		reader->dim = (uint32_t)json_scan_count(vector);
	} else if (json_vector_packed_dim(reader, vector) > 0) {
		reader->dim = json_vector_packed_dim(reader, vector);
		(void)snprintf(reader->note, sizeof(reader->note),
		               "its vectors are read as little-endian float32 in base64, as with "
		               "OpenAI's encoding_format \"base64\"");
	} else {
		reader->dim = text_list_count(vector.at + 1, (size_t)(vector.end - vector.at) - 2);
	}
	reader->has_keys = rows->id.count > 0 && reader->wanted.on_key != NULL;
	reader->has_ids = rows->id.count > 0 && !reader->has_keys && !reader->wanted.ids_unused;
	tell_ids_from(reader, &rows->id);
	return minds_late_ids(reader, rows) && reader->stream->sized ? look_for_ids(reader, rows)
	                                                             : 0;
}

static int open_json(struct format_reader *reader)
{
	struct rows *rows = calloc(1, sizeof(*rows));
	struct json_span value;
	int result;

	if (rows == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	reader->state = rows;
	result = json_values_open(reader, &rows->values);
	if (result < 0)
		return result;
	text_begin(reader, result == 0);
	if (result > 0)
		result = json_values_peek(reader, &rows->values, &value);
	if (result == -EINVAL && reader->stream->length > STREAM_LINE_BYTES_MAX)
		return format_refuse(reader,
		                     "its first value is longer than 4 MiB; if it holds all rows, "
		                     "as in a member \"data\", import them with: jq -c '.data[]' "
		                     "FILE | quiverfs import STORE - --format jsonl");
	return result > 0 ? look(reader, rows, value) : result;
}

/* Take the text of an ID, a string's without its quotes. */
static int take_text(struct format_reader *reader, struct rows *rows, struct json_span value,
                     const char **text, size_t *length)
{
	size_t room = (size_t)(value.end - value.at);

	*text = value.at;
	*length = room;
	if (!json_begins_with(value, '"'))
		return 0;
	if (room > rows->key_room) {
		char *more = realloc(rows->key, room);

		if (more == NULL)
			return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
		rows->key = more;
		rows->key_room = room;
	}
	*length = json_scan_string(value, rows->key);
	*text = rows->key;
	return 0;
}

/* Take the ID of a row. */
static int take_id(struct format_reader *reader, struct rows *rows,
                   const struct json_member *members, uint64_t *id)
{
	struct json_span value = json_path_follow(&rows->id, members[1].value);
	const char *text = NULL;
	size_t length = 0;
	int result;

	if (rows->id.count == 0)
		return minds_late_ids(reader, rows) ? refuse_late_id(reader, members) : 0;
	if (!reader->has_ids && !reader->has_keys)
		return 0;
	if (members[1].twice)
		return format_refuse(reader, "it has two IDs");
	if (is_null(value))
		return format_refuse(reader, "its \"%s\" is null; expected an ID in each row",
		                     rows->id.parts[0].name);
	if (value.at == NULL)
		return format_refuse(reader, "it has no \"%s\", but the rows before have one",
		                     rows->id.parts[0].name);
	if (json_begins_with(value, '{') || json_begins_with(value, '['))
		return format_refuse(reader, "its \"%s\" is not a number and not a string",
		                     rows->id.parts[0].name);
	result = take_text(reader, rows, value, &text, &length);
	if (result < 0)
		return result;
	if (reader->has_keys)
		return format_key(reader, text, length);
	return text_id(text, length, id) ? 0 : format_refuse_key(reader, text, length);
}

/* Find the vector and the ID of a row, which is `value` from end to end. */
static int find_members(struct format_reader *reader, const struct rows *rows,
                        struct json_span value, struct json_member members[MEMBERS])
{
	const char *end;

	want_members(rows, members);
	if (!json_begins_with(value, rows->plain ? '[' : '{')) {
		if (json_scan_pass(value.at, value.end, NULL) == NULL)
			return json_values_refuse(reader, value);
		return format_refuse(reader, "it is not an %s, but the first row is",
		                     rows->plain ? "array" : "object");
	}
	if (rows->plain) {
		end = json_scan_pass(value.at, value.end, NULL);
		members[0].value.at = value.at;
		members[0].value.end = end;
	} else {
		end = json_scan_find(value.at, value.end, members, MEMBERS);
	}
	if (end == NULL || json_scan_space(end, value.end) != value.end)
		return json_values_refuse(reader, value);
	return 0;
}

static int parse_row(struct format_reader *reader, struct json_span value, unsigned char *to,
                     uint64_t *id)
{
	struct rows *rows = reader->state;
	struct json_member members[MEMBERS];
	struct json_span vector;
	int result = find_members(reader, rows, value, members);

	if (result < 0)
		return result;
	vector = rows->plain ? members[0].value : json_path_follow(&rows->vector, members[0].value);
	if (json_begins_with(vector, '"') && !json_vector_is(reader, vector))
		return refuse_text(reader, rows->vector.parts[0].name,
		                   rows->vector.parts[0].length);
	if (vector.at == NULL || !json_vector_is(reader, vector))
		return format_refuse(reader, "it has no array \"%s\", but the first row has one",
		                     rows->vector.parts[0].name);
	if (members[0].twice)
		return format_refuse(reader, "it has two vectors");
	result = json_vector_take(reader, vector, to);
	return result < 0 ? result : take_id(reader, rows, members, id);
}

static int read_json(struct format_reader *reader, struct format_batch *batch)
{
	struct rows *rows = reader->state;
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);

	batch->count = 0;
	while (batch->count < batch->room) {
		struct json_span value;
		int result = json_values_next(reader, &rows->values, &value);

		if (result <= 0)
			return result;
		result = parse_row(reader, value,
		                   (unsigned char *)batch->rows + batch->count * row_bytes,
		                   &batch->ids[batch->count]);
		if (result < 0)
			return result;
		batch->offsets[batch->count++] = reader->offset;
		reader->row++;
	}
	return 0;
}

static void close_json(struct format_reader *reader)
{
	struct rows *rows = reader->state;

	if (rows != NULL)
		free(rows->key);
	free(rows);
	reader->state = NULL;
}

static const struct format_calls jsonl_calls = {
	.open = open_json,
	.read = read_json,
	.close = close_json,
	.write_row = json_write_line,
	.end = text_writer_end,
};

const struct format format_jsonl = { "jsonl",
	                             ".jsonl",
	                             .writes_ids = true,
	                             .reads_keys = true,
	                             .has_columns = true,
	                             .is_text = true,
	                             .calls = &jsonl_calls };

static const struct format_calls json_calls = {
	.open = open_json,
	.read = read_json,
	.close = close_json,
	.write_header = json_write_start,
	.write_row = json_write_element,
	.finish = json_write_end,
	.end = text_writer_end,
};

const struct format format_json = { "json",
	                            ".json",
	                            .writes_ids = true,
	                            .reads_keys = true,
	                            .has_columns = true,
	                            .is_text = true,
	                            .calls = &json_calls };
