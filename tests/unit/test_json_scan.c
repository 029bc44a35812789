/*
 * test_json_scan.c - values are found in JSON, whatever else is there, and nothing else is.
 */
#include "unit.h"

#include "tools/formats/json_path.h"
#include "tools/formats/json_scan.h"

static struct json_span span_of(const char *text)
{
	return (struct json_span){ text, text + strlen(text) };
}

static void whole_values_are_passed(void **state)
{
	static const char *const whole[] = {
		"1",
		"-1.5e+300",
		"NaN",
		"null",
		"\"\"",
		"\"a\\\"]}\"",
		"[]",
		"{}",
		"[1,[2],{}]",
		" { \"a\" : [ 1 , 2 ] , \"b\" : {\"c\":null} } ",
		"[99999999999999999999999999, \"\\ud83d\", \"\\u0000\"]",
	};
	static const char *const cut[] = { "",   " ",      "[",       "[1",       "[1,",
		                           "{",  "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
		                           "\"", "\"a\\",  "[[]" };
	static const char *const wrong[] = { "]",     ",",         "[,1]",     "[1,]",
		                             "[1 2]", "{1:2}",     "{\"a\"}",  "{\"a\" 1}",
		                             "[1}",   "{\"a\":1]", "{\"a\":}", "[1,,2]",
		                             ":",     "[:1]",      "{[]:1}" };

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		struct json_span text = span_of(whole[i]);
		const char *fault, *behind = json_scan_pass(text.at, text.end, &fault);

		assert_non_null(behind);
		assert_ptr_equal(json_scan_space(behind, text.end), text.end);
	}
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		struct json_span text = span_of(cut[i]);
		const char *fault;

		assert_null(json_scan_pass(text.at, text.end, &fault));
		assert_null(fault);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct json_span text = span_of(wrong[i]);
		const char *fault;

		assert_null(json_scan_pass(text.at, text.end, &fault));
		assert_true(fault >= text.at && fault < text.end);
	}
}

static void brackets_have_a_bound(void **state)
{
	char text[2048];
	const char *fault;

	(void)state;
	memset(text, '[', 1024);
	memset(text + 1024, ']', 1024);
	assert_null(json_scan_pass(text, text + 2048, &fault));
	assert_non_null(fault);
	assert_ptr_equal(json_scan_pass(text + 824, text + 2048, NULL), text + 1224);
}

static void members_are_found_once(void **state)
{
	struct json_span text =
		span_of("{\"x\": {\"id\": 3}, \"\\u0069d\": 7, \"v\": [1], \"v\": [2]} rest");
	struct json_member members[] = { { .name = "id", .length = 2 },
		                         { .name = "v", .length = 1 },
		                         { .name = "none", .length = 4 } };
	const char *behind = json_scan_find(text.at, text.end, members, 3);

	(void)state;
	assert_string_equal(behind, " rest");
	assert_memory_equal(members[0].value.at, "7", 1);
	assert_false(members[0].twice);
	assert_memory_equal(members[1].value.at, "[1]", 3);
	assert_true(members[1].twice);
	assert_null(members[2].value.at);
}

static void paths_lead_through_objects_and_arrays(void **state)
{
	struct json_span text =
		span_of("{\"a.b\": 1, \"a\": {\"b\": 2, \"c\": [{\"d\": 3}, [4, 5]]}}");
	static const struct {
		const char *path, *value;
	} cases[] = {
		{ "a.b", "1" },    { "a.c.0.d", "3" }, { "a.c.1.1", "5" },
		{ "a.c.2", NULL }, { "a.c.x", NULL },  { "a..b", NULL },
		{ "b", NULL },     { "a.b.c", NULL },  { "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_path path;
		struct json_span value;

		assert_int_equal(json_path_find(text, cases[i].path, &path, &value),
		                 cases[i].value != NULL);
		if (cases[i].value != NULL)
			assert_memory_equal(value.at, cases[i].value, 1);
	}
}

static void strings_are_what_they_say(void **state)
{
	static const struct {
		const char *text, *says;
		size_t length;
	} cases[] = {
		{ "\"\"", "", 0 },
		{ "\"a\\\"\\\\\\/\\n\\u00fc\"", "a\"\\/\n\xc3\xbc", 7 },
		{ "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4 },
		{ "\"\\ud83d\"", "\xef\xbf\xbd", 3 },
		{ "\"\\u0000x\"", "\0x", 2 },
		{ "\"\\u12\"", "?12", 3 },
		{ "\"\\u\\u\\u\"", "???", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_span text = span_of(cases[i].text);
		char *to = malloc(strlen(cases[i].text));

		assert_non_null(to);
		assert_int_equal(json_scan_string(text, to), cases[i].length);
		assert_memory_equal(to, cases[i].says, cases[i].length);
		free(to);
	}
	assert_int_equal(json_scan_count(span_of("[1, [2, 3], {\"a\": 4} ]")), 3);
	assert_int_equal(json_scan_count(span_of("[ ]")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_values_are_passed),
		cmocka_unit_test(brackets_have_a_bound),
		cmocka_unit_test(members_are_found_once),
		cmocka_unit_test(paths_lead_through_objects_and_arrays),
		cmocka_unit_test(strings_are_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
