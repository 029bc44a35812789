/*
 * status_show.c - what is known of a store, as a screen for people.
 */
#include "tools/cli/figures.h"
#include "tools/cli/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The last lines of the errors that are shown. */
#define ERROR_LINES_SHOWN 3
/* A disk with a smaller share left is nearly full. */
#define DISK_LEFT_MIN 0.05
/* From this on compaction is worth a word. */
#define FRAGMENTATION_MANY 0.5
#define BAR_CELLS_MAX 100u
#define NS_PER_S 1e9
/* Of rows of the matrix. */
#define SLOT_KINDS 5u

static const char *or_unknown(const char *value)
{
	return value != NULL && value[0] != '\0' ? value : "unknown";
}

/* Whether it is a collection in a cluster. */
static bool is_elsewhere(const struct facts *facts)
{
	return facts_find(facts, "pool") != NULL;
}

/* ---- what is wrong ------------------------------------------------------ */

/* The last lines of what went wrong, newest last. */
static void show_error_lines(const struct screen *screen, const char *errors)
{
	const char *start = errors + strlen(errors);
	int lines = 0;

	if (start > errors && start[-1] == '\n')
		start--;
	while (start > errors && lines < ERROR_LINES_SHOWN) {
		const char *before = start - 1;

		while (before > errors && *before != '\n')
			before--;
		start = before;
		lines++;
	}
	if (*start == '\n')
		start++;
	while (*start != '\0') {
		int length = (int)strcspn(start, "\n");

		screen_line(screen, SCREEN_PLAIN, "", "- %.*s", length, start);
		start += length;
		start += *start == '\n';
	}
}

/* Faults are the store's own; a refusal is an answer that somebody got, and no damage. */
static void show_errors(const struct screen *screen, const struct session *session,
                        const struct facts *facts)
{
	uint64_t errors = facts_number(facts, "errors");
	/* A daemon that does not tell them apart is an older one. */
	uint64_t faults = facts_find(facts, "faults") != NULL ? facts_number(facts, "faults") : 0;
	uint64_t refused = errors > faults ? errors - faults : 0;
	const char *since = session->target.live ? " since it was mounted" : "";
	char number[FIGURE_BYTES];

	if (errors == 0 || facts->errors == NULL || facts->errors[0] == '\0')
		return;
	if (faults > 0)
		screen_line(screen, SCREEN_YELLOW, "faults", "%s%s", figure_count(faults, number),
		            since);
	if (refused > 0)
		screen_line(screen, SCREEN_BOLD, "refused", "%s request%s%s; nothing was changed",
		            figure_count(refused, number), refused == 1 ? "" : "s", since);
	if (session->target.live)
		screen_line(screen, SCREEN_BOLD, "last lines",
		            "of control/errors ('echo 1 > %s/control/errors' empties it):",
		            session->target.path);
	show_error_lines(screen, facts->errors);
}

static bool is_in_state(const struct facts *facts, const char *state)
{
	const char *value = facts_find(facts, "state");

	return value != NULL && strcmp(value, state) == 0;
}

/* Where the store lies elsewhere, and what went wrong there. */
static void show_faults_elsewhere(const struct screen *screen, const struct session *session,
                                  const struct facts *facts)
{
	const char *path = session->target.path;
	uint64_t failed = facts_number(facts, "io_errors");
	char number[FIGURE_BYTES];

	if (is_in_state(facts, "gone"))
		screen_line(screen, SCREEN_RED, "GONE",
		            "the collection or its pool was removed: nothing can be read or "
		            "written here any more. Unmount it: umount %s",
		            path);
	else if (is_in_state(facts, "fenced"))
		screen_line(screen, SCREEN_RED, "FENCED",
		            "the cluster refuses this client: nothing can be read or written here "
		            "any more. 'ceph osd blocklist ls' lists the client. Find out why, "
		            "then unmount and mount again.");
	if (failed > 0)
		screen_line(screen, SCREEN_YELLOW, "requests", "%s failed in the cluster%s",
		            figure_count(failed, number),
		            session->target.live ? " since it was mounted" : "");
}

/* The same of a folder of this machine. */
static void show_faults_here(const struct screen *screen, const struct facts *facts)
{
	uint64_t disk = facts_number(facts, "io_errors");
	char number[FIGURE_BYTES];

	if (facts_number(facts, "failed") != 0)
		screen_line(screen, SCREEN_RED, "FAILED",
		            "the disk refused a write, so no more writes are accepted. Reading "
		            "still works. Repair the disk, then unmount and mount again.");
	if (disk > 0)
		screen_line(screen, SCREEN_RED, "DISK", "%s error%s of the disk.",
		            figure_count(disk, number), disk == 1 ? "" : "s");
}

/* What somebody has to look after. */
static void show_faults(const struct screen *screen, const struct session *session,
                        const struct facts *facts)
{
	uint64_t checksums = facts_number(facts, "checksum_errors");
	char number[FIGURE_BYTES];

	if (is_elsewhere(facts))
		show_faults_elsewhere(screen, session, facts);
	else
		show_faults_here(screen, facts);
	if (checksums > 0)
		screen_line(
			screen, SCREEN_RED, "DAMAGED",
			"%s checksum%s did not match. 'quiverfs verify' counts such vectors. To "
			"take them out, unmount the store and run 'quiverfs check --repair'.",
			figure_count(checksums, number), checksums == 1 ? "" : "s");
}

/* Whether it is one, in a mount or mounted by itself. */
static bool is_of_snapshot(const struct session *session, const struct facts *facts)
{
	const char *store = facts_find(facts, "store");
	size_t length;

	return session->target.snapshot || (store != NULL && quiver_is_snapshot(store, &length));
}

/* What one should know. */
static void show_notes(const struct screen *screen, const struct session *session,
                       const struct facts *facts)
{
	double disk = facts_real(facts, "disk_bytes");
	double left = facts_real(facts, "disk_available_bytes");
	const char *transport = facts_find(facts, "transport");
	char number[FIGURE_BYTES];

	const char *health = facts_find(facts, "health");
	bool is_snapshot = is_of_snapshot(session, facts);

	if (health != NULL && strcmp(health, "HEALTH_OK") != 0)
		screen_line(screen, SCREEN_YELLOW, "cluster", "%s; 'ceph health detail' says more",
		            health);
	if (disk > 0 && left < disk * DISK_LEFT_MIN)
		screen_line(screen, SCREEN_YELLOW, "disk full", "nearly: %s left, %.1f%%",
		            figure_bytes((uint64_t)left, number), left * 100 / disk);
	if (session->target.live && !session->target.snapshot &&
	    facts_number(facts, "read_only") != 0)
		screen_line(screen, SCREEN_YELLOW, "read-only", "%s",
		            is_snapshot ? "it is a snapshot" : "it was mounted so (-o ro)");
	if (transport != NULL && strcmp(transport, "io_uring") != 0)
		screen_line(screen, SCREEN_YELLOW, "io_uring", "off: %s",
		            or_unknown(facts_find(facts, "transport_reason")));
	if (!is_snapshot && facts_real(facts, "fragmentation") >= FRAGMENTATION_MANY)
		screen_line(screen, SCREEN_YELLOW, "fragmented",
		            "%.1f%% of the slots hold no vector; 'quiverfs compact' gives their "
		            "space back%s",
		            facts_real(facts, "fragmentation") * 100,
		            facts_number(facts, "snapshots") > 0
		                    ? ", except space that snapshots still need"
		                    : "");
	if (facts_number(facts, "replayed") > 0)
		screen_line(screen, SCREEN_YELLOW, "recovered",
		            "it was not closed cleanly before: %s log records were replayed when "
		            "it was opened",
		            figure_count(facts_number(facts, "replayed"), number));
}

/* ---- what is in it ------------------------------------------------------ */

/* A bar, and what its marks mean. */
static void show_bar(const struct screen *screen, const char *label, const struct bar_part *parts,
                     const char *const *words, size_t count)
{
	char bar[BAR_CELLS_MAX + 1], legend[256];
	size_t cells = screen->columns - SCREEN_INDENT - 2, used = 0;

	bar_draw(parts, count, cells, bar);
	screen_label(screen, SCREEN_BOLD, label);
	(void)fprintf(screen->out, "[%s]\n", bar);
	legend[0] = '\0';
	for (size_t i = 0; i < count && used < sizeof(legend); i++)
		used += (size_t)snprintf(legend + used, sizeof(legend) - used, "%s%c %s",
		                         i > 0 ? ",  " : "", parts[i].mark, words[i]);
	screen_line(screen, SCREEN_PLAIN, "", "%s", legend);
}

static uint64_t less(uint64_t all, uint64_t part)
{
	return all > part ? all - part : 0;
}

/* Where a collection lies in a cluster, and how. */
static void show_objects(const struct screen *screen, const struct facts *facts)
{
	uint64_t slots = facts_number(facts, "slots_per_object");
	char a[FIGURE_BYTES], b[FIGURE_BYTES];

	screen_line(screen, SCREEN_BOLD, "objects", "%s vector%s in each, of %s bytes there",
	            figure_count(slots, a), slots == 1 ? "" : "s",
	            figure_count(facts_number(facts, "stride_bytes"), b));
}

/* Rows of the matrix: with a vector, of snapshots alone, superseded, free, and beyond the last one used. */
static void show_slots(const struct screen *screen, const struct facts *facts)
{
	uint64_t used = facts_number(facts, "slots_used");
	uint64_t free_ones = facts_number(facts, "slots_free");
	uint64_t retired = facts_number(facts, "slots_retired");
	uint64_t held = facts_number(facts, "slots_held");
	const struct {
		struct bar_part part;
		const char *kind;
	} kinds[] = {
		{ { '#', less(used, free_ones + retired + held) }, "used" },
		{ { '@', held }, "of snapshots" },
		{ { '-', retired }, "superseded" },
		{ { '.', free_ones }, "free" },
		{ { '_', less(facts_number(facts, "slots"), used) }, "reserved" },
	};
	struct bar_part parts[SLOT_KINDS];
	char texts[SLOT_KINDS][FIGURE_BYTES + 16], number[FIGURE_BYTES];
	const char *words[SLOT_KINDS];
	size_t count = 0;

	_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == SLOT_KINDS, "a kind has no room");
	for (size_t i = 0; i < SLOT_KINDS; i++) {
		if (kinds[i].part.mark == '@' && held == 0)
			continue; /* most stores have none */
		parts[count] = kinds[i].part;
		(void)snprintf(texts[count], sizeof(texts[count]), "%s %s",
		               figure_count(parts[count].amount, number), kinds[i].kind);
		words[count] = texts[count];
		count++;
	}
	show_bar(screen, "slots", parts, words, count);
}

/* How many there are, what they keep from being used again, and whose removal would free most. */
static void show_snapshots(const struct screen *screen, const struct facts *facts)
{
	uint64_t snapshots = facts_number(facts, "snapshots");
	uint64_t held = facts_number(facts, "slots_held");
	uint64_t most = facts_number(facts, "snapshot_max_bytes");
	const char *name = facts_find(facts, "snapshot_max");
	char a[FIGURE_BYTES], b[FIGURE_BYTES], c[FIGURE_BYTES], d[FIGURE_BYTES];

	if (snapshots == 0)
		return;
	if (held == 0)
		screen_line(screen, SCREEN_BOLD, "snapshots",
		            "%s; all their vectors are still in the store, too",
		            figure_count(snapshots, a));
	else if (most == 0 || name == NULL)
		screen_line(screen, SCREEN_BOLD, "snapshots",
		            "%s; they hold %s slot%s, %s; more than one snapshot holds each slot",
		            figure_count(snapshots, a), figure_count(held, b), held == 1 ? "" : "s",
		            figure_bytes(held * facts_number(facts, "vector_bytes"), c));
	else
		screen_line(screen, SCREEN_BOLD, "snapshots",
		            "%s; they hold %s slot%s, %s; %s alone holds the most: %s become free "
		            "when it is removed",
		            figure_count(snapshots, a), figure_count(held, b), held == 1 ? "" : "s",
		            figure_bytes(held * facts_number(facts, "vector_bytes"), c), name,
		            figure_bytes(most, d));
}

static void show_disk(const struct screen *screen, const struct facts *facts)
{
	uint64_t all = facts_number(facts, "disk_bytes");
	uint64_t left = facts_number(facts, "disk_available_bytes");
	uint64_t store = facts_number(facts, "store_bytes");
	const char *known = facts_find(facts, "store_bytes");
	size_t from = known != NULL && facts_is_unknown(known) ? 1 : 0;
	struct bar_part parts[] = {
		{ '#', store },
		{ '=', less(all, left + store) },
		{ '.', left },
	};
	static const char *const kinds[] = { "store", "other", "available" };
	char texts[3][FIGURE_BYTES + 16], number[FIGURE_BYTES];
	const char *words[3];

	if (all == 0)
		return;
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "%s %s",
		               figure_bytes(parts[i].amount, number), kinds[i]);
		words[i] = texts[i];
	}
	show_bar(screen, "disk", parts + from, words + from, 3 - from);
}

/* The index of nearest neighbours, where there is one. */
static void show_index(const struct screen *screen, const struct facts *facts)
{
	const char *state = or_unknown(facts_find(facts, "nearest_state"));
	bool building = facts_number(facts, "nearest_building") != 0;
	uint64_t pending = facts_number(facts, "nearest_pending");
	const char *again = building ? "; one is being built" : "";
	char a[FIGURE_BYTES], b[FIGURE_BYTES], c[FIGURE_BYTES];

	if (strcmp(state, "ready") == 0)
		screen_line(screen, SCREEN_BOLD, "nearest",
		            "%s lists; a question looks at %s of them, and finds %.1f%% of the 10 "
		            "nearest, in %.3g ms instead of %.3g; %s vector%s in no list yet%s",
		            figure_count(facts_number(facts, "nearest_lists"), a),
		            figure_count(facts_number(facts, "nearest_probes"), b),
		            facts_real(facts, "nearest_recall") * 100,
		            facts_real(facts, "nearest_index_ms"),
		            facts_real(facts, "nearest_exact_ms"), figure_count(pending, c),
		            pending == 1 ? " is" : "s are", again);
	else if (strcmp(state, "no_help") == 0)
		screen_line(screen, SCREEN_BOLD, "nearest",
		            "all vectors are compared, %.3g ms per question; an index would not be "
		            "faster here%s",
		            facts_real(facts, "nearest_exact_ms"), again);
	else if (building)
		screen_line(screen, SCREEN_BOLD, "nearest",
		            "an index is being built; until then all vectors are compared");
}

static void show_contents(const struct screen *screen, const struct session *session,
                          const struct facts *facts)
{
	const struct quiver_geometry *geometry = &session->geometry;
	const char *label = facts_find(facts, "label");
	const char *count = or_unknown(facts_find(facts, "count"));
	bool is_known = !facts_is_unknown(count);
	char a[FIGURE_BYTES], b[FIGURE_BYTES];

	if (label != NULL)
		screen_line(screen, SCREEN_BOLD, "label", "%s", label);
	screen_line(screen, SCREEN_BOLD, "vectors",
	            "%s%s dim %" PRIu32 ", dtype %s, metric %s, %s bytes each",
	            is_known ? figure_count(facts_number(facts, "count"), a) : count,
	            is_known ? "," : ";", geometry->dim, quiver_dtype_name(geometry->dtype),
	            or_unknown(facts_find(facts, "metric")),
	            figure_count(geometry->vector_bytes, b));
	if (is_elsewhere(facts)) {
		show_objects(screen, facts);
		show_disk(screen, facts);
		return;
	}
	show_slots(screen, facts);
	show_snapshots(screen, facts);
	show_disk(screen, facts);
	screen_line(screen, SCREEN_BOLD, "log, index", "%s of log on disk, %s of index in memory",
	            figure_bytes(facts_number(facts, "wal_bytes"), a),
	            figure_bytes(facts_number(facts, "index_bytes"), b));
	show_index(screen, facts);
	screen_line(screen, SCREEN_BOLD, "commits",
	            "LSN %" PRIu64 ", durable up to %" PRIu64 ", checkpoint at %" PRIu64,
	            facts_number(facts, "lsn"), facts_number(facts, "lsn_durable"),
	            facts_number(facts, "lsn_checkpoint"));
}

/* ---- how it does -------------------------------------------------------- */

/* What a job does, where it has anything to tell. */
static void show_job(const struct screen *screen, const struct facts *facts, const char *key,
                     const char *label)
{
	const char *text = facts_find(facts, key);

	if (text != NULL && strcmp(text, "idle") != 0)
		screen_line(screen, SCREEN_BOLD, label, "%s", text);
}

static void show_service(const struct screen *screen, const struct facts *facts)
{
	const char *transport = or_unknown(facts_find(facts, "transport"));
	bool slow = strcmp(transport, "dev_fuse") == 0; /* then it is told above why */

	screen_line(screen, SCREEN_BOLD, "durability", "%s%s",
	            or_unknown(facts_find(facts, "durability")),
	            facts_number(facts, "read_only") != 0 ? " (mounted read-only)" : "");
	screen_line(screen, SCREEN_BOLD, "transport", "%s%s%s", slow ? "/dev/fuse" : transport,
	            slow ? "" : ": ",
	            slow ? "" : or_unknown(facts_find(facts, "transport_reason")));
	if (facts_find(facts, "passthrough") != NULL)
		screen_line(screen, SCREEN_BOLD, "passthrough", "%s: %s",
		            facts_find(facts, "passthrough"),
		            or_unknown(facts_find(facts, "passthrough_reason")));
	show_job(screen, facts, "compact", "compaction");
	show_job(screen, facts, "verify", "verification");
}

/* A row for each thing that has been done at all. */
static void show_latencies(const struct screen *screen, const struct facts *facts)
{
	static const char *const names[] = { "commit", "sync", "growth", "checkpoint",
		                             "compact_step" };
	static const char *const values[] = { "p50", "p90", "p99", "max" };
	char key[64], text[FIGURE_BYTES];
	bool headed = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(key, sizeof(key), "%s_count", names[i]);
		if (facts_number(facts, key) == 0)
			continue;
		if (!headed) {
			(void)fputc('\n', screen->out);
			screen_label(screen, SCREEN_BOLD, "latency");
			(void)fprintf(screen->out, "%13s %11s %11s %11s %11s\n", "count", "median",
			              "90%", "99%", "longest");
			headed = true;
		}
		screen_label(screen, SCREEN_PLAIN,
		             strcmp(names[i], "compact_step") == 0 ? "compact step" : names[i]);
		(void)fprintf(screen->out, "%13s", figure_count(facts_number(facts, key), text));
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			(void)snprintf(key, sizeof(key), "%s_%s_ns", names[i], values[j]);
			(void)fprintf(screen->out, " %11s",
			              figure_time(facts_number(facts, key), text));
		}
		(void)fputc('\n', screen->out);
	}
}

/* How often a count went up in a second since `before`; below 0 where that is not known:
 * the first time, and where another daemon counts now. */
static double rate_of(const struct facts *facts, const struct status_before *before, int64_t now_ns,
                      const char *key)
{
	const char *daemon = facts_find(facts, "pid");
	const char *daemon_before = before != NULL ? facts_find(&before->facts, "pid") : NULL;
	double seconds;

	if (daemon == NULL || daemon_before == NULL || strcmp(daemon, daemon_before) != 0)
		return -1;
	seconds = (double)(now_ns - before->at_ns) / NS_PER_S;
	if (!(seconds > 0))
		return -1;
	return (double)less(facts_number(facts, key), facts_number(&before->facts, key)) / seconds;
}

/* What was done since it was mounted, and how often in a second. */
static void show_counts(const struct screen *screen, const struct facts *facts,
                        const struct status_before *before, int64_t now_ns)
{
	static const struct {
		const char *key;
		const char *label;
	} counts[] = {
		{ "gets", "gets" },       { "get_misses", "misses" }, { "puts", "puts" },
		{ "removes", "removes" }, { "renames", "renames" },   { "syncs", "syncs" },
	};
	const size_t count = sizeof(counts) / sizeof(counts[0]);
	char text[FIGURE_BYTES];

	(void)fputc('\n', screen->out);
	screen_label(screen, SCREEN_BOLD, "since mounted");
	for (size_t i = 0; i < count; i++)
		(void)fprintf(screen->out, "%s%*s", i > 0 ? " " : "", i > 0 ? 9 : 13,
		              counts[i].label);
	(void)fputc('\n', screen->out);
	screen_label(screen, SCREEN_PLAIN, "in all");
	for (size_t i = 0; i < count; i++)
		(void)fprintf(screen->out, "%s%*s", i > 0 ? " " : "", i > 0 ? 9 : 13,
		              figure_short(facts_number(facts, counts[i].key), text));
	(void)fputc('\n', screen->out);
	if (before == NULL)
		return;
	screen_label(screen, SCREEN_PLAIN, "a second");
	for (size_t i = 0; i < count; i++) {
		double rate = rate_of(facts, before, now_ns, counts[i].key);

		(void)fprintf(screen->out, "%s%*s", i > 0 ? " " : "", i > 0 ? 9 : 13,
		              rate < 0 ? "-" : figure_rate(rate, text));
	}
	(void)fputc('\n', screen->out);
}

/* In place of the folder of a store. */
static void show_cluster(const struct screen *screen, const struct facts *facts, bool live)
{
	const char *space = facts_find(facts, "namespace");

	screen_line(screen, SCREEN_BOLD, "store", "collection %s of the pool %s%s%s, as %s%s%s",
	            or_unknown(facts_find(facts, "collection")), facts_find(facts, "pool"),
	            space != NULL ? ", namespace " : "", space != NULL ? space : "",
	            or_unknown(facts_find(facts, "user")), live ? ", process " : "",
	            live ? or_unknown(facts_find(facts, "pid")) : "");
}

/* Behind its name. */
static const char *state_words(const struct session *session, const struct facts *facts)
{
	bool live = session->target.live;

	if (session->target.snapshot)
		return "a snapshot";
	if (!live)
		return is_elsewhere(facts) ? "in Ceph" : "not mounted";
	if (is_in_state(facts, "gone"))
		return "mounted, but the collection is gone";
	if (is_in_state(facts, "fenced"))
		return "mounted, but the cluster refuses this client";
	if (facts_number(facts, "failed") != 0)
		return "mounted, no longer writable";
	return facts_number(facts, "read_only") != 0 ? "mounted read-only" : "mounted";
}

void status_show(const struct screen *screen, const struct session *session,
                 const struct facts *facts, const struct status_before *before, int64_t now_ns)
{
	bool live = session->target.live;

	screen_title(screen, session->target.path);
	(void)fprintf(screen->out, ": %s\n", state_words(session, facts));
	show_faults(screen, session, facts);
	show_notes(screen, session, facts);
	show_errors(screen, session, facts);
	if (is_elsewhere(facts))
		show_cluster(screen, facts, live);
	else if (live)
		screen_line(screen, SCREEN_BOLD, "store", "%s, process %s, format %s",
		            or_unknown(facts_find(facts, "store")),
		            or_unknown(facts_find(facts, "pid")),
		            or_unknown(facts_find(facts, "format_version")));
	else
		screen_line(screen, SCREEN_BOLD, "store", "format %s",
		            or_unknown(facts_find(facts, "format_version")));
	show_contents(screen, session, facts);
	if (!live || session->target.snapshot)
		return;
	show_service(screen, facts);
	show_latencies(screen, facts);
	show_counts(screen, facts, before, now_ns);
}
