/*
 * metrics.c - control/stats and control/metrics: the same numbers twice.
 */
#include "fs/base/charge.h"
#include "fs/base/errors.h"
#include "fs/base/log_queue.h"
#include "fs/base/printable.h"
#include "fs/control/control_get.h"
#include "fs/control/control_show.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/base/passthrough.h"
#include "fs/base/transport.h"

#define NS_PER_S 1e9

enum number_type {
	NUMBER_U64,
	NUMBER_PERCENT, /* uint32_t in stats, a ratio in metrics */
	NUMBER_RATIO, /* double */
	NUMBER_BOOL,
};

/* What the mount counts, beside what the store does. */
struct mount_stats {
	uint64_t faults;
	uint64_t log_lines_dropped;
	uint64_t nearest_questions, nearest_running;
	uint64_t whole[CHARGE_KINDS], user_max[CHARGE_KINDS];
};

/* One member of struct quiver_stats or struct mount_stats. */
struct number {
	const char *key; /* in stats */
	const char *metric; /* in metrics, behind "quiverfs_" */
	const char *help;
	size_t offset;
	enum number_type type;
};

#define NUMBER_OF(type_of, member, number_type, name, text)                \
	{                                                                  \
		.key = #member, .metric = (name), .help = (text),          \
		.offset = offsetof(type_of, member), .type = (number_type) \
	}
#define NUMBER(member, number_type, name, text) \
	NUMBER_OF(struct quiver_stats, member, number_type, name, text)

static const struct number gauges[] = {
	NUMBER(count, NUMBER_U64, "vectors", "Vectors present."),
	NUMBER(slots, NUMBER_U64, "slots",
	       "Rows of the matrix, whether they hold a vector or not."),
	NUMBER(slots_used, NUMBER_U64, "slots_used", "Slots below the highest one used."),
	NUMBER(slots_free, NUMBER_U64, "slots_free", "Free slots below the highest one used."),
	NUMBER(slots_retired, NUMBER_U64, "slots_retired",
	       "Superseded slots that wait for a checkpoint or a reader."),
	NUMBER(slots_held, NUMBER_U64, "slots_held", "Slots that only snapshots still hold."),
	NUMBER(snapshots, NUMBER_U64, "snapshots", "Snapshots of the store."),
	NUMBER(versions_bytes, NUMBER_U64, "versions_size_bytes",
	       "Size of the file of rows that only snapshots still hold."),
	NUMBER(fragmentation, NUMBER_RATIO, "fragmentation_ratio",
	       "Free and retired slots over slots used."),
	NUMBER(vector_bytes, NUMBER_U64, "vector_size_bytes", "Size of one vector."),
	NUMBER(store_bytes, NUMBER_U64, "store_size_bytes", "Disk space allocated to the store."),
	NUMBER(wal_bytes, NUMBER_U64, "wal_size_bytes",
	       "Bytes of log to replay if a crash came now."),
	NUMBER(wal_segments, NUMBER_U64, "wal_segments", "Segments of the log."),
	NUMBER(index_bytes, NUMBER_U64, "index_size_bytes",
	       "Memory of the ID table and slot maps."),
	NUMBER(index_kept, NUMBER_BOOL, "index_kept",
	       "1 where an open after a crash would not look at all rows."),
	NUMBER(lsn, NUMBER_U64, "lsn", "Sequence number of the last commit."),
	NUMBER(lsn_durable, NUMBER_U64, "lsn_durable", "Last commit on stable storage."),
	NUMBER(lsn_checkpoint, NUMBER_U64, "lsn_checkpoint", "Last commit of the last checkpoint."),
	NUMBER(autocompact_percent, NUMBER_PERCENT, "autocompact_threshold_ratio",
	       "Share of free slots that starts a compaction, 0 for never."),
	NUMBER(read_only, NUMBER_BOOL, "read_only", "1 where the mount is read-only."),
	NUMBER(failed, NUMBER_BOOL, "failed", "1 where a failure made the store read-only."),
};

static const struct number counters[] = {
	NUMBER(puts, NUMBER_U64, "puts_total", "Vectors written."),
	NUMBER(removes, NUMBER_U64, "removes_total", "Vectors removed."),
	NUMBER(renames, NUMBER_U64, "renames_total", "Vectors renamed."),
	NUMBER(set_attrs, NUMBER_U64, "set_attrs_total", "Changes of attributes."),
	NUMBER(batches, NUMBER_U64, "batches_total", "Batches committed."),
	NUMBER(gets, NUMBER_U64, "gets_total", "Vectors looked up and found."),
	NUMBER(get_misses, NUMBER_U64, "get_misses_total", "Vectors looked up and not found."),
	NUMBER(syncs, NUMBER_U64, "syncs_total", "Syncs of the log."),
	NUMBER(checkpoints, NUMBER_U64, "checkpoints_total", "Checkpoints written."),
	NUMBER(compactions, NUMBER_U64, "compactions_total", "Compactions ended."),
	NUMBER(growths, NUMBER_U64, "growths_total", "Times the data files grew."),
	NUMBER(punches, NUMBER_U64, "punches_total", "Runs of free slots given back."),
	NUMBER(moved, NUMBER_U64, "moved_total", "Vectors moved by compaction."),
	NUMBER(replayed, NUMBER_U64, "replayed_total", "Log records applied when opened."),
	NUMBER(rows_scanned, NUMBER_U64, "rows_scanned_total",
	       "Rows looked at when it was opened."),
	NUMBER(checksum_errors, NUMBER_U64, "checksum_errors_total",
	       "Checksums that did not match."),
	NUMBER(io_errors, NUMBER_U64, "io_errors_total", "Errors of the disk."),
	NUMBER(errors, NUMBER_U64, "reports_total", "Refusals and faults reported."),
};

/* What all users have of something, and the one who has most. */
#define CHARGED(kind, name, text)                                                           \
	{                                                                                   \
		.key = (name),                                                              \
		.metric = (name),                                                           \
		.help = text ".",                                                           \
		.offset = offsetof(struct mount_stats, whole[kind]),                        \
		.type = NUMBER_U64,                                                         \
	},                                                                                  \
	{                                                                                   \
		.key = "user_max_" name, .metric = "user_max_" name,                        \
		.help = text ", of the user with the most.",                                \
		.offset = offsetof(struct mount_stats, user_max[kind]), .type = NUMBER_U64, \
	}

static const struct number mount_gauges[] = {
	NUMBER_OF(struct mount_stats, nearest_running, NUMBER_U64, "nearest_running",
	          "Questions for nearest neighbours that are being answered."),
	CHARGED(CHARGE_STAGES, "staged_vectors", "Vectors written in part"),
	CHARGED(CHARGE_STAGE_BYTES, "staged_bytes", "Memory for vectors written in part"),
	CHARGED(CHARGE_SCRATCH_FILES, "scratch_files", "Scratch files"),
	CHARGED(CHARGE_SCRATCH_BYTES, "scratch_bytes", "Memory for scratch files"),
	CHARGED(CHARGE_VIEW_BYTES, "view_bytes", "Memory for open .npy and .txt files"),
	CHARGED(CHARGE_CONTROL_BYTES, "control_bytes", "Memory for open files of control/"),
	CHARGED(CHARGE_OPEN_BYTES, "open_bytes",
	        "Memory for open vectors of a store on other machines"),
	CHARGED(CHARGE_QUESTION_BYTES, "question_bytes", "Memory for questions and answers"),
	CHARGED(CHARGE_LISTING_BYTES, "listing_bytes",
	        "Memory for open folders; a listing shared by several users counts for each"),
};

static const struct number mount_counters[] = {
	NUMBER_OF(struct mount_stats, faults, NUMBER_U64, "faults_total",
	          "Faults of the store and its disk that were reported."),
	NUMBER_OF(struct mount_stats, log_lines_dropped, NUMBER_U64, "log_lines_dropped_total",
	          "Lines for the log that were dropped because nobody read it."),
	NUMBER_OF(struct mount_stats, nearest_questions, NUMBER_U64, "nearest_questions_total",
	          "Vectors that were asked about, for nearest neighbours."),
};

/* Of the index of nearest neighbours; its members have shorter names. */
#define NEAREST(member, number_type, name, text)                                                \
	{                                                                                       \
		.key = "nearest_" #member, .metric = "nearest_" name, .help = (text),           \
		.offset = offsetof(struct quiver_nearest_status, member), .type = (number_type) \
	}

static const struct number nearest_gauges[] = {
	NEAREST(building, NUMBER_BOOL, "building",
	        "1 while an index of nearest neighbours is being built."),
	NEAREST(lists, NUMBER_U64, "lists",
	        "Lists of the index of nearest neighbours; 0 means no index."),
	NEAREST(probes, NUMBER_U64, "probes", "Lists that a question looks at."),
	NEAREST(assigned, NUMBER_U64, "assigned", "Vectors that are in a list."),
	NEAREST(pending, NUMBER_U64, "pending", "Vectors that are not in a list yet."),
	NEAREST(recall, NUMBER_RATIO, "recall_ratio",
	        "Share of the 10 nearest that the index found in the last measurement."),
	NEAREST(exact_ms, NUMBER_RATIO, "exact_milliseconds",
	        "Time of a question that compares all vectors, in the last measurement."),
	NEAREST(index_ms, NUMBER_RATIO, "index_milliseconds",
	        "Time of a question to the index, in the last measurement."),
	NEAREST(memory_bytes, NUMBER_U64, "memory_bytes",
	        "Memory of the index of nearest neighbours."),
	NEAREST(file_bytes, NUMBER_U64, "file_bytes", "Size of its files."),
};

struct latency {
	const char *key; /* in stats, before _p50_ns and the like */
	const char *metric;
	const char *help;
	size_t offset;
};

#define LATENCY(member, name, text)                               \
	{                                                         \
		.key = #member, .metric = (name), .help = (text), \
		.offset = offsetof(struct quiver_stats, member)   \
	}

static const struct latency latencies[] = {
	LATENCY(commit, "commit_duration", "Time of a commit."),
	LATENCY(sync, "sync_duration", "Time of a sync of the log."),
	LATENCY(growth, "growth_duration", "Time of a growth of the data files."),
	LATENCY(checkpoint, "checkpoint_duration", "Time of a checkpoint."),
	LATENCY(compact_step, "compact_step_duration", "Time of a step of compaction."),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of the store, with the lines that the mount has reported. */
static void get_stats(struct fs *fs, struct quiver_stats *stats)
{
	quiver_stats(fs->store, stats);
	stats->errors = errors_total(fs->errors);
}

static void get_mount_stats(struct fs *fs, struct mount_stats *stats)
{
	stats->faults = errors_faults(fs->errors);
	stats->log_lines_dropped = log_queue_dropped(fs->log);
	stats->nearest_questions = atomic_load(&fs_whole(fs)->nearest_questions);
	stats->nearest_running = atomic_load(&fs_whole(fs)->nearest_running);
	for (unsigned kind = 0; kind < CHARGE_KINDS; kind++)
		charge_sums(fs, kind, &stats->whole[kind], &stats->user_max[kind]);
}

/* The member of `stats` as stats shows it (`as_metric` false) or metrics does. */
static void put_number(FILE *out, const void *stats, const struct number *number, bool as_metric)
{
	const void *at = (const char *)stats + number->offset;

	switch (number->type) {
	case NUMBER_U64:
		fprintf(out, "%" PRIu64 "\n", *(const uint64_t *)at);
		break;
	case NUMBER_PERCENT:
		if (as_metric)
			fprintf(out, "%.2f\n", *(const uint32_t *)at / 100.0);
		else
			fprintf(out, "%" PRIu32 "\n", *(const uint32_t *)at);
		break;
	case NUMBER_RATIO:
		fprintf(out, "%.6f\n", *(const double *)at);
		break;
	case NUMBER_BOOL:
		fprintf(out, "%d\n", *(const bool *)at);
		break;
	}
}

/* A path, or the store's label, as ASCII on one line: what is not printable, and the backslash, as
 * \ooo. Within a label of a metric the backslash is doubled, since that has escapes of its own. */
static void put_path(FILE *out, const char *path, bool in_label)
{
	for (; *path; path++) {
		if (!is_printable(*path) || *path == '\\' || (in_label && *path == '"'))
			fprintf(out, "%s%03o", in_label ? "\\\\" : "\\", (unsigned char)*path);
		else
			fputc(*path, out);
	}
}

/* UTF-8 within a label of a metric. */
static void put_utf8(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		fputc(*text, out);
	}
}

/* ---- stats -------------------------------------------------------------- */

/* What the store is and who serves it. */
static void stats_identity(struct fs *fs, const struct quiver_stats *stats, FILE *out)
{
	struct quiver_description description;
	char uuid[UUID_TEXT_BYTES];

	uuid_text(fs->geometry.uuid, uuid);
	quiver_describe(fs->store, &description);
	fprintf(out, "version %s\n", QUIVERFS_VERSION);
	fprintf(out, "format_version %" PRIu32 "\n", stats->format_version);
	fprintf(out, "uuid %s\n", uuid);
	fprintf(out, "dim %" PRIu32 "\n", fs->geometry.dim);
	fprintf(out, "dtype %s\n", quiver_dtype_name(fs->geometry.dtype));
	fprintf(out, "metric %s\n", quiver_metric_name(description.metric));
	if (description.label[0] != '\0') {
		fprintf(out, "label ");
		put_path(out, description.label, false);
		fputc('\n', out);
	}
	fprintf(out, "pid %ld\n", (long)getpid());
	fprintf(out, "store ");
	put_path(out, fs->store_path, false);
	fprintf(out, "\nmount ");
	put_path(out, fs->mount_point, false);
	fprintf(out, "\ntransport %s\n", transport_name(fs));
	fprintf(out, "transport_reason %s\n", transport_reason(fs));
	fprintf(out, "passthrough %s\n", passthrough_is_used(fs) ? "yes" : "no");
	fprintf(out, "passthrough_reason %s\n", passthrough_reason(fs));
	fprintf(out, "lookups %" PRIu64 "\n",
	        atomic_load_explicit(&fs->lookups, memory_order_relaxed));
	fprintf(out, "put_bytes_max %" PRIu32 "\n", transport_put_bytes(fs->geometry.vector_bytes));
	fprintf(out, "get_ids_max %" PRIu32 "\n", get_ids_max(fs->geometry.vector_bytes));
	fprintf(out, "durability %s\n", quiver_durability_name(stats->durability));
}

static void stats_latency(FILE *out, const char *key, const struct quiver_latency *latency)
{
	fprintf(out, "%s_count %" PRIu64 "\n", key, latency->count);
	fprintf(out, "%s_sum_ns %" PRIu64 "\n", key, latency->sum_ns);
	fprintf(out, "%s_p50_ns %" PRIu64 "\n", key, latency->p50_ns);
	fprintf(out, "%s_p90_ns %" PRIu64 "\n", key, latency->p90_ns);
	fprintf(out, "%s_p99_ns %" PRIu64 "\n", key, latency->p99_ns);
	fprintf(out, "%s_max_ns %" PRIu64 "\n", key, latency->max_ns);
}

static void stats_numbers(FILE *out, const void *stats, const struct number *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%s ", numbers[i].key);
		put_number(out, stats, &numbers[i], false);
	}
}

/* The snapshot that alone holds most: what comes free when it is removed. */
static void stats_snapshots(const struct fs *fs, FILE *out)
{
	struct quiver_snapshot *list;
	size_t count, most = 0;

	if (quiver_snapshots(fs->store, &list, &count) != 0)
		return;
	for (size_t i = 1; i < count; i++) {
		if (list[i].own_bytes > list[most].own_bytes)
			most = i;
	}
	if (count > 0)
		fprintf(out, "snapshot_max %s\nsnapshot_max_bytes %" PRIu64 "\n", list[most].name,
		        list[most].own_bytes);
	free(list);
}

static void get_nearest(const struct fs *fs, struct quiver_nearest_status *status)
{
	*status = (struct quiver_nearest_status){ .size = sizeof(*status) };
	quiver_nearest_status(fs->store, status);
}

/* Also of a store that can have none; but not of a snapshot. */
static void stats_nearest(const struct fs *fs, FILE *out)
{
	struct quiver_nearest_status status;

	if (quiver_capabilities(fs->store) & QUIVER_IMMUTABLE)
		return;
	get_nearest(fs, &status);
	fprintf(out, "nearest_state %s\n", nearest_state_name(status.state));
	stats_numbers(out, &status, nearest_gauges, COUNT(nearest_gauges));
}

/* Where a store elsewhere lies, and how. */
static void stats_elsewhere(const struct fs *fs, FILE *out)
{
	char *text;

	if (quiver_facts(fs->store, QUIVER_NOWAIT, &text) != 0)
		return;
	fputs(text, out);
	free(text);
}

void show_stats(struct fs *fs, FILE *out, const struct quiver_space *space)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct mount_stats mount_stats;

	get_stats(fs, &stats);
	get_mount_stats(fs, &mount_stats);
	stats_identity(fs, &stats, out);
	stats_elsewhere(fs, out);
	stats_numbers(out, &stats, gauges, COUNT(gauges));
	stats_snapshots(fs, out);
	stats_nearest(fs, out);
	if (space != NULL) {
		fprintf(out, "slots_before_growth %" PRIu64 "\n", space->slots_free);
		fprintf(out, "disk_bytes %" PRIu64 "\n", space->total_bytes);
		fprintf(out, "disk_available_bytes %" PRIu64 "\n", space->available_bytes);
	}
	stats_numbers(out, &stats, counters, COUNT(counters));
	stats_numbers(out, &mount_stats, mount_counters, COUNT(mount_counters));
	stats_numbers(out, &mount_stats, mount_gauges, COUNT(mount_gauges));
	for (size_t i = 0; i < COUNT(latencies); i++)
		stats_latency(out, latencies[i].key,
		              (const void *)((const char *)&stats + latencies[i].offset));
}

/* ---- metrics ------------------------------------------------------------ */

static void metric_head(FILE *out, const char *name, const char *suffix, const char *type,
                        const char *help)
{
	fprintf(out, "# HELP quiverfs_%s%s %s\n# TYPE quiverfs_%s%s %s\n", name, suffix, help, name,
	        suffix, type);
}

/* The start of a sample: its name and labels. The mount is a label of each, so that those of
 * several mounts can be told apart wherever they are put together. */
static void metric_sample(struct fs *fs, FILE *out, const char *name, const char *suffix,
                          const char *quantile)
{
	fprintf(out, "quiverfs_%s%s{mount=\"", name, suffix);
	put_path(out, fs->mount_point, true);
	if (quantile)
		fprintf(out, "\",quantile=\"%s", quantile);
	fprintf(out, "\"} ");
}

static void metric_u64(struct fs *fs, FILE *out, const char *name, const char *help, uint64_t value)
{
	metric_head(out, name, "", "gauge", help);
	metric_sample(fs, out, name, "", NULL);
	fprintf(out, "%" PRIu64 "\n", value);
}

static void metric_numbers(struct fs *fs, FILE *out, const void *stats,
                           const struct number *numbers, size_t count, const char *type)
{
	for (size_t i = 0; i < count; i++) {
		metric_head(out, numbers[i].metric, "", type, numbers[i].help);
		metric_sample(fs, out, numbers[i].metric, "", NULL);
		put_number(out, stats, &numbers[i], true);
	}
}

static void metric_info(struct fs *fs, const struct quiver_stats *stats, FILE *out)
{
	struct quiver_description description;
	char uuid[UUID_TEXT_BYTES];

	uuid_text(fs->geometry.uuid, uuid);
	quiver_describe(fs->store, &description);
	metric_head(out, "info", "", "gauge", "Always 1; what is mounted, in the labels.");
	fprintf(out, "quiverfs_info{version=\"%s\",format_version=\"%" PRIu32 "\",uuid=\"%s\",",
	        QUIVERFS_VERSION, stats->format_version, uuid);
	fprintf(out, "dim=\"%" PRIu32 "\",dtype=\"%s\",durability=\"%s\",transport=\"%s\",",
	        fs->geometry.dim, quiver_dtype_name(fs->geometry.dtype),
	        quiver_durability_name(stats->durability), transport_name(fs));
	fprintf(out, "passthrough=\"%s\",metric=\"%s\",label=\"",
	        passthrough_is_used(fs) ? "yes" : "no", quiver_metric_name(description.metric));
	put_utf8(out, description.label);
	fprintf(out, "\",store=\"");
	put_path(out, fs->store_path, true);
	fprintf(out, "\",mount=\"");
	put_path(out, fs->mount_point, true);
	fprintf(out, "\"} 1\n");
}

static void metric_latency(struct fs *fs, FILE *out, const struct latency *which,
                           const struct quiver_latency *latency)
{
	const struct {
		const char *quantile;
		uint64_t ns;
	} quantiles[] = {
		{ "0.5", latency->p50_ns },
		{ "0.9", latency->p90_ns },
		{ "0.99", latency->p99_ns },
	};

	metric_head(out, which->metric, "_seconds", "summary", which->help);
	for (size_t i = 0; i < COUNT(quantiles); i++) {
		metric_sample(fs, out, which->metric, "_seconds", quantiles[i].quantile);
		fprintf(out, "%.9f\n", (double)quantiles[i].ns / NS_PER_S);
	}
	metric_sample(fs, out, which->metric, "_seconds_sum", NULL);
	fprintf(out, "%.9f\n", (double)latency->sum_ns / NS_PER_S);
	metric_sample(fs, out, which->metric, "_seconds_count", NULL);
	fprintf(out, "%" PRIu64 "\n", latency->count);
	metric_head(out, which->metric, "_max_seconds", "gauge", "The longest of them.");
	metric_sample(fs, out, which->metric, "_max_seconds", NULL);
	fprintf(out, "%.9f\n", (double)latency->max_ns / NS_PER_S);
}

static void metric_jobs(struct fs *fs, FILE *out)
{
	struct quiver_job_status compact, verify;

	quiver_job_status(fs->store, QUIVER_COMPACT, &compact);
	quiver_job_status(fs->store, QUIVER_VERIFY, &verify);
	metric_u64(fs, out, "compact_running", "1 while a compaction runs.", compact.running);
	metric_u64(fs, out, "verify_running", "1 while a verification runs.", verify.running);
	metric_u64(fs, out, "verify_mismatches",
	           "Vectors whose checksum did not match in the last verification.",
	           verify.mismatches);
}

static bool has_nearest_index(const struct fs *fs)
{
	return quiver_capabilities(fs->store) & QUIVER_HAS_NEAREST_INDEX;
}

static void metric_nearest(struct fs *fs, FILE *out)
{
	struct quiver_nearest_status status;

	if (!has_nearest_index(fs))
		return;
	get_nearest(fs, &status);
	metric_numbers(fs, out, &status, nearest_gauges, COUNT(nearest_gauges), "gauge");
}

void show_metrics(struct fs *fs, FILE *out, const struct quiver_space *space)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct mount_stats mount_stats;

	get_stats(fs, &stats);
	get_mount_stats(fs, &mount_stats);
	metric_info(fs, &stats, out);
	metric_numbers(fs, out, &stats, gauges, COUNT(gauges), "gauge");
	if (space != NULL) {
		metric_u64(fs, out, "slots_before_growth", "Slots that fit before the next growth.",
		           space->slots_free);
		metric_u64(fs, out, "disk_size_bytes", "Size of the filesystem under the store.",
		           space->total_bytes);
		metric_u64(fs, out, "disk_available_bytes", "Space there for an ordinary user.",
		           space->available_bytes);
	}
	metric_numbers(fs, out, &mount_stats, mount_gauges, COUNT(mount_gauges), "gauge");
	metric_jobs(fs, out);
	metric_nearest(fs, out);
	metric_numbers(fs, out, &stats, counters, COUNT(counters), "counter");
	metric_numbers(fs, out, &mount_stats, mount_counters, COUNT(mount_counters), "counter");
	for (size_t i = 0; i < COUNT(latencies); i++)
		metric_latency(fs, out, &latencies[i],
		               (const void *)((const char *)&stats + latencies[i].offset));
}
