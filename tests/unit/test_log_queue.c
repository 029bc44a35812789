/* Lines on their way to a log that is not read. */
#include "unit.h"

#include "fs/base/log_queue.h"

#include <pthread.h>
#include <syslog.h>

static int setup(void **state)
{
	struct log_queue *queue = calloc(1, sizeof(*queue));

	assert_non_null(queue);
	assert_int_equal(log_queue_init(queue), 0);
	*state = queue;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void add(struct log_queue *queue, bool refusal, const char *what, unsigned number)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s %u", what, number);
	log_queue_add(queue, LOG_WARNING, refusal, text);
}

/* Take the oldest line, which must be this. */
static void take(struct log_queue *queue, const char *what, unsigned number)
{
	struct log_queue_line line;
	char text[64];

	(void)snprintf(text, sizeof(text), "%s %u", what, number);
	assert_true(log_queue_peek(queue, &line));
	assert_string_equal(line.text, text);
	log_queue_pop(queue);
}

static void take_told(struct log_queue *queue, const char *number)
{
	struct log_queue_line line;

	assert_true(log_queue_peek(queue, &line));
	assert_non_null(strstr(line.text, "lines were dropped"));
	assert_int_equal(strncmp(line.text, number, strlen(number)), 0);
	log_queue_pop(queue);
}

static void lines_come_out_in_order(void **state)
{
	struct log_queue *queue = *state;
	struct log_queue_line line;

	for (unsigned i = 0; i < 3 * LOG_QUEUE_LINES; i++) {
		add(queue, i % 2, "line", i);
		add(queue, i % 3, "line", i + 1);
		take(queue, "line", i);
		take(queue, "line", i + 1);
	}
	log_queue_add(queue, LOG_ERR, false, "bad");
	assert_true(log_queue_peek(queue, &line));
	assert_int_equal(line.priority, LOG_ERR);
	log_queue_pop(queue);
	assert_true(log_queue_wait(queue, 0));
	assert_int_equal(log_queue_dropped(queue), 0);
	assert_int_equal(log_queue_dropped(NULL), 0);
}

static void what_does_not_fit_is_counted_and_told_where_it_is_missing(void **state)
{
	struct log_queue *queue = *state;

	for (unsigned i = 0; i < LOG_QUEUE_LINES + 7; i++)
		add(queue, false, "line", i);
	assert_int_equal(log_queue_dropped(queue), 7);
	assert_false(log_queue_wait(queue, 1));
	take(queue, "line", 0);
	add(queue, false, "late",
	    0); /* a line and the word of those that are missing: no room yet */
	assert_int_equal(log_queue_dropped(queue), 8);
	take(queue, "line", 1);
	add(queue, false, "late", 1);
	for (unsigned i = 2; i < LOG_QUEUE_LINES; i++)
		take(queue, "line", i);
	take_told(queue, "8 ");
	take(queue, "late", 1);
	assert_true(log_queue_wait(queue, 0));
	assert_int_equal(log_queue_dropped(queue), 8);
}

static void the_last_dropped_ones_are_told_though_no_line_follows(void **state)
{
	struct log_queue *queue = *state;

	for (unsigned i = 0; i < LOG_QUEUE_LINES + 1; i++)
		add(queue, false, "line", i);
	for (unsigned i = 0; i < LOG_QUEUE_LINES; i++)
		take(queue, "line", i);
	assert_false(log_queue_wait(queue, 0)); /* that is still to be said */
	take_told(queue, "1 ");
	assert_true(log_queue_wait(queue, 0));
}

static void refusals_leave_room_for_everything_else(void **state)
{
	struct log_queue *queue = *state;

	for (unsigned i = 0; i < 10 * LOG_QUEUE_LINES; i++)
		add(queue, true, "refusal", i);
	assert_int_equal(log_queue_dropped(queue), 10 * LOG_QUEUE_LINES - LOG_QUEUE_REFUSALS_MAX);
	add(queue, false, "fault", 1);
	for (unsigned i = 0; i < LOG_QUEUE_REFUSALS_MAX; i++)
		take(queue, "refusal", i);
	take_told(queue, "2432 ");
	take(queue, "fault", 1);
	add(queue, true, "refusal", 1);
	take(queue, "refusal", 1);
}

static void *end_soon(void *arg)
{
	log_queue_end(arg);
	return NULL;
}

static void a_reader_that_waits_is_told_of_the_end(void **state)
{
	struct log_queue *queue = *state;
	struct log_queue_line line;
	pthread_t thread;

	add(queue, false, "last", 1);
	assert_int_equal(pthread_create(&thread, NULL, end_soon, queue), 0);
	take(queue, "last", 1);
	assert_false(log_queue_peek(queue, &line));
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(lines_come_out_in_order),
		CASE(what_does_not_fit_is_counted_and_told_where_it_is_missing),
		CASE(the_last_dropped_ones_are_told_though_no_line_follows),
		CASE(refusals_leave_room_for_everything_else),
		CASE(a_reader_that_waits_is_told_of_the_end),
	};

	return cmocka_run_group_tests_name("log_queue", tests, NULL, NULL);
}
