/*
 * control_store.c - what writing to the files of control/ does.
 */
#include "fs/control/control_store.h"

#include <errno.h>

#include "fs/base/errors.h"
#include "fs/base/refuse.h"
#include "fs/base/value.h"

/* As much of a bad value as a message shows. */
#define SHOWN_BYTES 64

#define EXPECTED_LABEL "at most 1024 bytes of UTF-8 without control characters"
#define EXPECTED_METRIC "l2, cosine or ip, or hamming if the dtype is b1 or u1"

/* Report a value that makes no sense. -EINVAL. */
static int refuse_value(struct control_write *write, const char *name, const char *expected)
{
	char shown[SHOWN_BYTES];
	size_t length;
	const char *value = value_trim(write->attempt.data, write->attempt.data_bytes, &length);

	value_show(value, length, shown, sizeof(shown));
	return refuse(write->attempt.fs, -EINVAL, "control/%s: got \"%s\", expected %s", name,
	              shown, expected);
}

int store_flush(struct control_write *write)
{
	return quiver_flush(write->attempt.fs->store);
}

int store_checkpoint(struct control_write *write)
{
	return quiver_checkpoint(write->attempt.fs->store);
}

/*
 * `start` and `stop`. And what the file reads, so that it can be written back:
 * `idle` is to be the state where nothing runs, `running` where something does.
 */
static int store_job(struct control_write *write, enum quiver_job job, const char *name)
{
	struct quiver *store = write->attempt.fs->store;
	size_t length;
	const char *value = value_trim(write->attempt.data, write->attempt.data_bytes, &length);
	int err;

	if (value_is(value, length, "start"))
		return quiver_job_start(store, job);
	if (value_is(value, length, "stop") || value_starts_with(value, length, "idle") ||
	    value_starts_with(value, length, "idle;"))
		return quiver_job_stop(store, job);
	if (value_starts_with(value, length, "running")) {
		struct quiver_job_status status;

		quiver_job_status(store, job, &status);
		err = status.running ? 0 : quiver_job_start(store, job);
		return err;
	}
	return refuse_value(write, name, "start or stop");
}

int store_compact(struct control_write *write)
{
	return store_job(write, QUIVER_COMPACT, "compact");
}

int store_verify(struct control_write *write)
{
	return store_job(write, QUIVER_VERIFY, "verify");
}

int store_durability(struct control_write *write)
{
	static const enum quiver_durability modes[] = { QUIVER_ALWAYS, QUIVER_FSYNC, QUIVER_FLUSH,
		                                        QUIVER_NONE };
	size_t length;
	const char *value = value_trim(write->attempt.data, write->attempt.data_bytes, &length);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (value_is(value, length, quiver_durability_name(modes[i])))
			return quiver_set_durability(write->attempt.fs->store, modes[i]);
	}
	return refuse_value(write, "durability", "always, fsync, flush or none");
}

int store_reserve(struct control_write *write)
{
	uint64_t count;
	size_t length;
	const char *value = value_trim(write->attempt.data, write->attempt.data_bytes, &length);

	if (value_parse_u64(value, length, &count) < 0)
		return refuse_value(write, "reserve", "a number of vectors");
	return quiver_reserve(write->attempt.fs->store, count);
}

int store_autocompact_percent(struct control_write *write)
{
	uint64_t percent;
	size_t length;
	const char *value = value_trim(write->attempt.data, write->attempt.data_bytes, &length);

	if (value_parse_u64(value, length, &percent) < 0 || percent > 100)
		return refuse_value(write, "autocompact_percent", "a number from 0 (never) to 100");
	return quiver_set_autocompact(write->attempt.fs->store, (uint32_t)percent);
}

int store_label(struct control_write *write)
{
	size_t length;
	const char *text = value_line(write->attempt.data, write->attempt.data_bytes, &length);
	int err = quiver_set_label(write->attempt.fs->store, text, length);

	return err == -EINVAL ? refuse_value(write, "label", EXPECTED_LABEL) : err;
}

int store_metric(struct control_write *write)
{
	struct quiver *store = write->attempt.fs->store;
	size_t length;
	const char *value = value_line(write->attempt.data, write->attempt.data_bytes, &length);

	for (enum quiver_metric metric = QUIVER_L2; metric <= QUIVER_HAMMING; metric++) {
		if (value_is(value, length, quiver_metric_name(metric))) {
			int err = quiver_set_metric(store, metric);

			return err == -EINVAL ? refuse_value(write, "metric", EXPECTED_METRIC)
			                      : err;
		}
	}
	return refuse_value(write, "metric", EXPECTED_METRIC);
}

int store_errors(struct control_write *write)
{
	errors_clear(write->attempt.fs->errors);
	return 0;
}
