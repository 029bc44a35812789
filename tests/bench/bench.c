/*
 * bench.c - arguments, clock and data of the benchmark's workers.
 */
#include "bench.h"
#include "tests/common/random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Noreturn void bench_die(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)fprintf(stderr, "%s: ", program_invocation_short_name);
	(void)vfprintf(stderr, format, list);
	(void)fputc('\n', stderr);
	va_end(list);
	_exit(1);
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		bench_die("clock_gettime: %s", strerror(errno));
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void *bench_alloc(size_t bytes)
{
	void *memory = malloc(bytes > 0 ? bytes : 1);

	if (!memory)
		bench_die("no memory for %zu bytes", bytes);
	return memory;
}

void bench_fill(void *to, size_t bytes, uint64_t seed)
{
	unsigned char *at = to;

	while (bytes > 0) {
		uint64_t word = test_random(&seed);
		size_t part = bytes < sizeof(word) ? bytes : sizeof(word);

		memcpy(at, &word, part);
		at += part;
		bytes -= part;
	}
}

uint64_t *bench_shuffled(uint64_t count, uint64_t seed)
{
	uint64_t *ids = bench_alloc(count * sizeof(*ids));

	for (uint64_t i = 0; i < count; i++)
		ids[i] = i;
	for (uint64_t i = count; i > 1; i--) {
		uint64_t other = test_random(&seed) % i;
		uint64_t id = ids[i - 1];

		ids[i - 1] = ids[other];
		ids[other] = id;
	}
	return ids;
}

static uint64_t parse_number(const char *name, const char *text)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0')
		bench_die("%s %s: expected a number", name, text);
	return number;
}

static void parse_option(struct bench_args *args, const char *name, const char *value)
{
	if (strcmp(name, "--mode") == 0)
		args->mode = value;
	else if (strcmp(name, "--order") == 0)
		args->order = value;
	else if (strcmp(name, "--count") == 0)
		args->count = parse_number(name, value);
	else if (strcmp(name, "--start") == 0)
		args->start = parse_number(name, value);
	else if (strcmp(name, "--ops") == 0)
		args->ops = parse_number(name, value);
	else if (strcmp(name, "--seed") == 0)
		args->seed = parse_number(name, value);
	else if (strcmp(name, "--bytes") == 0)
		args->bytes = (uint32_t)parse_number(name, value);
	else if (strcmp(name, "--workers") == 0)
		args->workers = (unsigned)parse_number(name, value);
	else if (strcmp(name, "--snapshots") == 0)
		args->snapshots = (unsigned)parse_number(name, value);
	else
		bench_die("%s: no such option", name);
}

void bench_args_parse(int argc, char **argv, struct bench_args *args)
{
	*args = (struct bench_args){
		.mode = "", .order = "random", .seed = 1, .workers = 1, .bytes = 3072
	};
	if (argc < 3 || argc % 2 == 0)
		bench_die("usage: %s ROW PATH [--name value]...", argv[0]);
	args->row = argv[1];
	args->path = argv[2];
	for (int i = 3; i < argc; i += 2)
		parse_option(args, argv[i], argv[i + 1]);
	if (args->bytes < sizeof(uint64_t) || args->workers < 1)
		bench_die("vectors of at least 8 bytes and at least one worker, please");
}

void bench_print(const struct bench_result *result)
{
	if (printf("{\"ops\": %" PRIu64 ", \"ns\": %" PRIu64 ", \"bytes\": %" PRIu64
	           ", \"p50\": %" PRIu64 ", \"p99\": %" PRIu64 ", \"p999\": %" PRIu64
	           ", \"max\": %" PRIu64 "}\n",
	           result->ops, result->ns, result->bytes, result->p50_ns, result->p99_ns,
	           result->p999_ns, result->max_ns) < 0 ||
	    fflush(stdout) != 0)
		bench_die("standard output: %s", strerror(errno));
}
