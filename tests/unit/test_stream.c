/*
 * test_stream.c - bytes to import, from files and pipes.
 */
#include "unit.h"

#include "tools/formats/stream.h"

#define PATH_BYTES (UNIT_PATH_BYTES + 32)

/* A file of these bytes, opened. `path` must live as long. */
static void open_file(const struct unit_dir *dir, const void *bytes, size_t length,
                      char path[PATH_BYTES], struct stream *stream)
{
	(void)unlinkat(dir->fd, "in", 0);
	unit_write(dir, "in", bytes, length, 0);
	snprintf(path, PATH_BYTES, "%s/in", dir->path);
	assert_int_equal(stream_open(path, stream), 0);
	assert_true(stream->sized);
	assert_int_equal(stream->size, length);
}

/* A pipe that a child fills. */
static pid_t open_pipe(const void *bytes, size_t length, char path[PATH_BYTES],
                       struct stream *stream)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(ends[0]); /* or it would wait for itself to read */
		for (size_t done = 0; done < length;) {
			ssize_t put = write(ends[1], (const char *)bytes + done, length - done);

			if (put < 0)
				_exit(1);
			done += (size_t)put;
		}
		_exit(0);
	}
	assert_int_equal(close(ends[1]), 0);
	snprintf(path, PATH_BYTES, "/dev/fd/%d", ends[0]);
	assert_int_equal(stream_open(path, stream), 0);
	assert_false(stream->sized);
	assert_int_equal(close(ends[0]), 0);
	return pid;
}

static unsigned char *make_bytes(size_t length)
{
	unsigned char *bytes = malloc(length);

	assert_non_null(bytes);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 24);
	return bytes;
}

/* Peeks, reads and skips of many sizes give every byte once, in order. */
static void walk(struct stream *stream, const unsigned char *bytes, size_t length)
{
	static const size_t sizes[] = { 1, 7, 4096, 100000, 262144, 262145, 3, 600000 };
	unsigned char *to = malloc(600000);
	const unsigned char *at;
	size_t done = 0;

	assert_non_null(to);
	for (unsigned i = 0; done < length; i++) {
		size_t size = sizes[i % 8], left = length - done;
		int64_t expected = (int64_t)(size < left ? size : left);

		assert_int_equal(stream->offset, done);
		if (i % 3 == 0) {
			assert_int_equal(stream_peek(stream, size, &at), expected);
			assert_memory_equal(at, bytes + done, (size_t)expected);
		}
		if (i % 5 == 4) {
			assert_int_equal(stream_skip(stream, size), expected);
		} else {
			assert_int_equal(stream_read(stream, to, size), expected);
			assert_memory_equal(to, bytes + done, (size_t)expected);
		}
		done += (size_t)expected;
		stream_rest(stream);
	}
	assert_int_equal(stream_peek(stream, 1, &at), 0);
	assert_int_equal(stream_read(stream, to, 1), 0);
	assert_int_equal(stream_skip(stream, 1), 0);
	free(to);
}

static void bytes_come_in_order_from_a_file_and_a_pipe(void **state)
{
	size_t length = 5 * 1000 * 1000 + 1;
	unsigned char *bytes = make_bytes(length);
	char path[PATH_BYTES];
	struct stream stream;
	unsigned char some[10];
	pid_t pid;

	open_file(*state, bytes, length, path, &stream);
	walk(&stream, bytes, length);
	assert_int_equal(stream_read_at(&stream, some, 10, length - 4), 4);
	assert_memory_equal(some, bytes + length - 4, 4);
	stream_close(&stream);
	pid = open_pipe(bytes, length, path, &stream);
	walk(&stream, bytes, length);
	stream_close(&stream);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	free(bytes);
}

static void expect_line(struct stream *stream, const char *text)
{
	char *line;
	size_t length;

	assert_int_equal(stream_peek_line(stream, &line, &length), 1);
	assert_int_equal(length, strlen(text));
	assert_memory_equal(line, text, length);
	assert_int_equal(stream_line(stream, &line, &length), 1);
	assert_string_equal(line, text);
	assert_int_equal(length, strlen(text));
}

static void lines_end_in_any_way(void **state)
{
	static const char text[] = "one\ntwo\r\n\n\r\nthree\r\rx\nlast";
	char path[PATH_BYTES], *line;
	struct stream stream;
	size_t length;

	open_file(*state, text, sizeof(text) - 1, path, &stream);
	expect_line(&stream, "one");
	assert_int_equal(stream.offset, 4);
	expect_line(&stream, "two");
	assert_int_equal(stream.offset, 9);
	expect_line(&stream, "");
	expect_line(&stream, "");
	expect_line(&stream, "three\r\rx");
	expect_line(&stream, "last");
	assert_int_equal(stream.offset, sizeof(text) - 1);
	assert_int_equal(stream_line(&stream, &line, &length), 0);
	stream_close(&stream);
}

/* A line of STREAM_LINE_BYTES_MAX passes, one much longer does not. */
static void lines_may_be_long_but_not_endless(void **state)
{
	size_t longest = STREAM_LINE_BYTES_MAX, length = 2 * longest + 100000;
	char path[PATH_BYTES], *line, *bytes = malloc(length);
	struct stream stream;
	size_t got;

	assert_non_null(bytes);
	memset(bytes, 'x', length);
	bytes[10] = '\n';
	bytes[11 + longest - 1] = '\n';
	for (int piped = 0; piped < 2; piped++) {
		pid_t pid = 0;

		if (piped)
			pid = open_pipe(bytes, length, path, &stream);
		else
			open_file(*state, bytes, length, path, &stream);
		assert_int_equal(stream_line(&stream, &line, &got), 1);
		assert_int_equal(got, 10);
		assert_int_equal(stream_line(&stream, &line, &got), 1);
		assert_int_equal(got, longest - 1);
		assert_int_equal(stream_line(&stream, &line, &got), -E2BIG);
		assert_true(stream.room <= 4 * longest);
		stream_close(&stream);
		if (piped)
			assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	free(bytes);
}

static void what_cannot_be_read_says_so(void **state)
{
	const struct unit_dir *dir = *state;
	char path[PATH_BYTES];
	struct stream stream;

	assert_int_equal(stream_open(dir->path, &stream), -EISDIR);
	snprintf(path, sizeof(path), "%s/none", dir->path);
	assert_int_equal(stream_open(path, &stream), -ENOENT);
}

/* A FIFO is waited for as a pipe is, also for whoever is to write. */
static void a_fifo_is_read_to_the_end_of_its_writer(void **state)
{
	const struct unit_dir *dir = *state;
	char path[PATH_BYTES], to[4];
	struct stream stream;
	int status = -1;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/fifo", dir->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(stream_open(path, &stream), 0);
	assert_false(stream.sized);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(path, O_WRONLY);

		_exit(fd >= 0 && write(fd, "abc", 3) == 3 ? 0 : 1);
	}
	assert_int_equal(stream_read(&stream, to, 4), 3);
	assert_memory_equal(to, "abc", 3);
	assert_int_equal(stream_read(&stream, to, 1), 0);
	stream_close(&stream);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_come_in_order_from_a_file_and_a_pipe,
		                                unit_setup_dir, unit_teardown_dir),
		cmocka_unit_test_setup_teardown(lines_end_in_any_way, unit_setup_dir,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(lines_may_be_long_but_not_endless, unit_setup_dir,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_says_so, unit_setup_dir,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(a_fifo_is_read_to_the_end_of_its_writer,
		                                unit_setup_dir, unit_teardown_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
