/*
 * control_show.c - what the files of control/ read.
 */
#include "fs/control/control_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/base/clock.h"
#include "fs/base/errors.h"

#define NS_PER_S 1e9

void show_flush(struct fs *fs, FILE *out)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	quiver_stats(fs->store, &stats);
	fprintf(out, "%" PRIu64 "\n", stats.lsn_durable);
}

void show_checkpoint(struct fs *fs, FILE *out)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	quiver_stats(fs->store, &stats);
	fprintf(out, "%" PRIu64 "\n", stats.lsn_checkpoint);
}

/* The part that both jobs have; returns whether more is to be said. */
static bool show_job(struct fs *fs, FILE *out, enum quiver_job job,
                     struct quiver_job_status *status)
{
	quiver_job_status(fs->store, job, status);
	if (status->running) {
		uint64_t done = status->done < status->total ? status->done : status->total;

		fprintf(out, "running %u%%\n",
		        status->total ? (unsigned)((double)done * 100 / (double)status->total) : 0);
		return false;
	}
	if (!status->ever_ran) {
		fprintf(out, "idle\n");
		return false;
	}
	fprintf(out, "idle; last run");
	if (status->result < 0)
		fprintf(out, " failed (%s)", strerror(-status->result));
	else if (status->stopped)
		fprintf(out, " stopped");
	fprintf(out, ": %" PRIu64 " of %" PRIu64 " slots", status->done, status->total);
	return true;
}

void show_compact(struct fs *fs, FILE *out)
{
	struct quiver_job_status status;

	if (show_job(fs, out, QUIVER_COMPACT, &status))
		fprintf(out, " moved, %" PRIu64 " bytes given back, %.3f s\n", status.freed_bytes,
		        (double)status.duration_ns / NS_PER_S);
}

void show_verify(struct fs *fs, FILE *out)
{
	struct quiver_job_status status;

	if (show_job(fs, out, QUIVER_VERIFY, &status))
		fprintf(out, " checked, %" PRIu64 " mismatches, %.3f s\n", status.mismatches,
		        (double)status.duration_ns / NS_PER_S);
}

void show_durability(struct fs *fs, FILE *out)
{
	fprintf(out, "%s\n", quiver_durability_name(quiver_durability(fs->store)));
}

void show_reserve(struct fs *fs, FILE *out, const struct quiver_space *space)
{
	(void)fs;
	/* Where the disk cannot be asked, nothing is known to fit. */
	fprintf(out, "%" PRIu64 "\n", space != NULL ? space->slots_free : 0);
}

void show_autocompact_percent(struct fs *fs, FILE *out)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	quiver_stats(fs->store, &stats);
	fprintf(out, "%" PRIu32 "\n", stats.autocompact_percent);
}

void show_errors(struct fs *fs, FILE *out)
{
	errors_show(fs->errors, out);
}

void show_dim(struct fs *fs, FILE *out)
{
	fprintf(out, "%" PRIu32 "\n", fs->geometry.dim);
}

void show_dtype(struct fs *fs, FILE *out)
{
	fprintf(out, "%s\n", quiver_dtype_name(fs->geometry.dtype));
}

void show_count(struct fs *fs, FILE *out)
{
	fprintf(out, "%" PRIu64 "\n", quiver_count(fs->store));
}

void show_slots(struct fs *fs, FILE *out)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	quiver_stats(fs->store, &stats);
	fprintf(out, "%" PRIu64 "\n", stats.slots);
}

void uuid_text(const uint8_t uuid[static 16], char text[static UUID_TEXT_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char *to = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[uuid[i] >> 4];
		*to++ = digits[uuid[i] & 15];
	}
	*to = '\0';
}

void show_uuid(struct fs *fs, FILE *out)
{
	char text[UUID_TEXT_BYTES];

	uuid_text(fs->geometry.uuid, text);
	fprintf(out, "%s\n", text);
}

/* "" is an empty file. */
void show_label(struct fs *fs, FILE *out)
{
	struct quiver_description description;

	quiver_describe(fs->store, &description);
	if (description.label[0] != '\0')
		fprintf(out, "%s\n", description.label);
}

void show_metric(struct fs *fs, FILE *out)
{
	struct quiver_description description;

	quiver_describe(fs->store, &description);
	fprintf(out, "%s\n", quiver_metric_name(description.metric));
}

void show_version(struct fs *fs, FILE *out)
{
	(void)fs;
	fprintf(out, "%s\n", QUIVERFS_VERSION);
}

void show_format_version(struct fs *fs, FILE *out)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	quiver_stats(fs->store, &stats);
	fprintf(out, "%" PRIu32 "\n", stats.format_version);
}

void show_lsn(struct fs *fs, FILE *out)
{
	fprintf(out, "%" PRIu64 "\n", fs->snapshot.lsn);
}

void show_created(struct fs *fs, FILE *out)
{
	const int64_t ns = fs->snapshot.created_ns;
	/* Before 1970, as a clock that was wrong had it, they round down, too. */
	time_t seconds = (time_t)(ns / CLOCK_NS_PER_S - (ns % CLOCK_NS_PER_S < 0));
	struct tm tm;

	(void)gmtime_r(&seconds, &tm); /* of the years that there are it fails for none */
	fprintf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%09" PRId64 "Z\n", tm.tm_year + 1900,
	        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	        ns - (int64_t)seconds * CLOCK_NS_PER_S);
}

/* It changes with what becomes of the other snapshots and the store. One that was removed has none. */
void show_own_bytes(struct fs *fs, FILE *out)
{
	struct quiver_snapshot now = { .own_bytes = 0 };

	(void)quiver_snapshot_stat(fs_whole(fs)->store, fs->snapshot.name, &now);
	fprintf(out, "%" PRIu64 "\n", now.own_bytes);
}

void show_snapshot_uuid(struct fs *fs, FILE *out)
{
	char text[UUID_TEXT_BYTES];

	uuid_text(fs->snapshot.uuid, text);
	fprintf(out, "%s\n", text);
}

void show_snapshots(struct fs *fs, FILE *out)
{
	struct quiver_snapshot *list;
	char uuid[UUID_TEXT_BYTES];
	size_t count;

	if (quiver_snapshots(fs->store, &list, &count) != 0)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct quiver_snapshot *one = &list[i];

		uuid_text(one->uuid, uuid);
		fprintf(out,
		        "%s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64
		        " %d\n",
		        one->name, uuid, one->lsn, one->count, one->slots, one->created_ns,
		        one->own_vectors, one->own_bytes, one->damaged);
	}
	free(list);
}
