/*
 * steps.c - the engine's calls, each held against the world.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/store/store.h"
#include "faults.h"
#include "script.h"

#define DIM WORLD_BYTES_MAX /* of u1 */
#define BATCH_MAX 80u
#define POLL_US 50
#define QUIET_POLLS 2000
#define JOB_POLLS 2000000

void run_wrong(struct run *run, const char *format, ...)
{
	va_list args;

	if (run->why[0])
		return;
	va_start(args, format);
	(void)vsnprintf(run->why, RUNNER_WHY_BYTES, format, args);
	va_end(args);
}

static bool has_failed(const struct run *run)
{
	return run->store && health_failed(&run->store->health);
}

void run_judge(struct run *run, const char *what, int r, int want)
{
	bool told = r == run->error || r == -EIO || r == -EROFS;

	if (run->allocations)
		told = r == -ENOMEM || r == -EAGAIN;
	/* Retried until it is not worth it any more. */
	if (r == want || (faults_fired() && told))
		return;
	run_wrong(run, "%s returned %d (%s), expected %d%s", what, r, strerror(-r), want,
	          faults_fired() ? " or the fault" : "");
}

/* As it was when a call began. */
struct before {
	bool fired, failed;
	long syncs_failed;
};

static struct before before(const struct run *run)
{
	return (struct before){ .fired = faults_fired(),
		                .failed = has_failed(run),
		                .syncs_failed = faults_syncs_failed() };
}

/* As run_judge, for a call that begins after a single fault: either the store has been turned
 * read-only by it, or the fault is over. */
static void judge_change(struct run *run, const char *what, int r, int want, bool fired_before,
                         bool failed_before)
{
	run_judge(run, what, r, want);
	if (r == 0 && atomic_load(&faults.data_syncs_failed) > 0)
		run_wrong(run, "%s succeeded although a sync has failed", what);
	if (!run->once || !fired_before)
		return;
	if (failed_before ? r != -EROFS && r != want : r != want)
		run_wrong(run, "%s returned %d (%s) long after the only fault, expected %d", what,
		          r, strerror(-r), failed_before ? -EROFS : want);
	if (failed_before && want == 0 && r == 0)
		run_wrong(run, "%s succeeded on a store that has failed", what);
}

void run_judge_change(struct run *run, const char *what, int r, int want, bool failed_before)
{
	judge_change(run, what, r, want, false, failed_before);
}

/* Let the housekeeper finish what the last call has woken it for, so that the order of calls is
 * the same in each run. */
static void quiet(const struct run *run)
{
	for (int i = 0; i < QUIET_POLLS && !faults_fired() && run->store->wishes.open; i++) {
		if (!wal_wants_prepare(&run->store->wal) && !space_is_low(&run->store->space))
			return;
		usleep(POLL_US);
	}
}

static void remember(struct run *run, const struct world *world)
{
	if (run->past_count == SCRIPT_PAST_MAX) {
		run_wrong(run, "the script is too long for SCRIPT_PAST_MAX");
		return;
	}
	run->past[run->past_count++] = *world;
}

/* What a change that took effect has changed has a later ctime than before. */
static void learn_ctimes(struct run *run, const struct world *before)
{
	for (uint32_t id = 0; id < WORLD_IDS; id++) {
		struct world_entry *entry = &run->now.ids[id];
		struct quiver_attr attr;
		int r;

		if (entry->version == 0 || entry->ctime_ns != 0)
			continue;
		r = quiver_stat(run->store, id, 0, &attr, NULL);
		if (r)
			run_wrong(run, "vector %u has no attributes: %s", id, strerror(-r));
		else if (before->ids[id].version && attr.ctime_ns <= before->ids[id].ctime_ns)
			run_wrong(run, "the ctime of vector %u has not moved", id);
		else
			entry->ctime_ns = attr.ctime_ns;
	}
}

/* A change has returned: the world goes on, or the change may yet turn up after a reopening. */
static void settle(struct run *run, int r, struct before was, const struct world *next)
{
	const struct world before_it = run->now;

	if (run->mode == QUIVER_NONE && r == 0)
		remember(run, &run->now);
	if (r == 0) {
		run->now = *next;
		learn_ctimes(run, &before_it);
	} else if (faults_syncs_failed() > was.syncs_failed) {
		remember(run, next);
	}
	if (r && run->dies)
		run->stopped = true;
	if (run->store)
		quiet(run);
}

void run_kept(struct run *run)
{
	run->past_count = 0;
}

static void seen(struct run *run, const char *what, uint32_t id)
{
	const char *why = world_compare_id(&run->now, run->store, id, false);

	if (why)
		run_wrong(run, "after %s: vector %u: %s", what, id, why);
}

static void changed(struct run *run, const char *what, int r, int want, struct before was,
                    const struct world *next, uint32_t id)
{
	judge_change(run, what, r, want, was.fired, was.failed);
	if (want == 0)
		settle(run, r, was, next);
	seen(run, what, id);
}

void step_create(struct run *run)
{
	struct quiver_geometry geometry = { .dim = DIM, .dtype = QUIVER_U1 };
	struct quiver_error error = { "" };
	int r = quiver_create(run->path, &geometry, NULL, faults_table(), &error);

	run_judge(run, "create", r, 0);
	if (r && error.text[0] == '\0' && !run->allocations)
		run_wrong(run, "create failed (%s) without a word", strerror(-r));
	run->stopped = r != 0;
}

void step_open(struct run *run, bool read_only)
{
	struct quiver_options options = {
		.size = sizeof(struct quiver_options),
		.read_only = read_only,
		.durability = run->mode,
		.commit_interval_ms = 3600000,
		.io = faults_table(),
	};
	struct quiver_error error = { "" };
	int r = quiver_open(run->path, &options, &run->store, &error);

	run_judge(run, "open", r, 0);
	if (r && error.text[0] == '\0')
		run_wrong(run, "open failed (%s) without a word", strerror(-r));
	if (r && run->store)
		run_wrong(run, "open failed and gave a store");
	run->stopped = r != 0;
}

/* As kill -9: what is on disk before the close is what there is. */
static void kill_store(struct run *run)
{
	struct image image;

	image_load(&image, run->path);
	faults_disarm();
	(void)quiver_close(run->store); /* of a store that is gone a moment later */
	run->store = NULL;
	folder_remove(run->path);
	image_write(&image, run->path);
	image_free(&image);
}

void step_close(struct run *run)
{
	bool read_only = run->store->health.read_only;
	int r;

	step_view_close(run);
	if (run->dies && faults_fired()) {
		kill_store(run);
		return;
	}
	r = quiver_close(run->store);
	run->store = NULL;
	run_judge(run, "close", r, 0);
	if (r == 0 && !read_only)
		run_kept(run);
}

void step_put(struct run *run, uint32_t id, uint32_t version, unsigned flags)
{
	static uint8_t bytes[WORLD_BYTES_MAX];
	struct quiver_attr attr = world_attr(version);
	struct world next = run->now;
	struct before was = before(run);
	int want = (flags & QUIVER_NOREPLACE) && run->now.ids[id].version ? -EEXIST : 0;
	int r;

	if (run->stopped)
		return;
	world_bytes(id, version, WORLD_BYTES_MAX, bytes);
	r = quiver_put(run->store, id, bytes, &attr, QUIVER_ATTR_ALL, flags, NULL);
	next.ids[id] = (struct world_entry){ .version = version, .origin = id, .attr = version };
	changed(run, "put", r, want, was, &next, id);
}

void step_batch(struct run *run, uint32_t first, uint32_t count, uint32_t version, unsigned flags)
{
	static uint8_t bytes[BATCH_MAX][WORLD_BYTES_MAX];
	struct quiver_record records[BATCH_MAX];
	struct quiver_attr attr = world_attr(version);
	struct world next = run->now;
	struct before was = before(run);
	int r;

	if (run->stopped)
		return;
	for (uint32_t i = 0; i < count; i++) {
		world_bytes(first + i, version, WORLD_BYTES_MAX, bytes[i]);
		records[i] = (struct quiver_record){ .id = first + i, .data = bytes[i] };
		next.ids[first + i] = (struct world_entry){ .version = version,
			                                    .origin = first + i,
			                                    .attr = version };
	}
	r = quiver_put_batch(run->store, records, count, &attr, QUIVER_ATTR_ALL, flags, NULL);
	changed(run, "batch", r, 0, was, &next, first);
	seen(run, "batch", first + count - 1);
}

void step_rename(struct run *run, uint32_t from, uint32_t to)
{
	struct world next = run->now;
	struct before was = before(run);
	int want = run->now.ids[from].version ? 0 : -ENOENT;
	int r;

	if (run->stopped)
		return;
	r = quiver_rename(run->store, from, to, 0, NULL);
	next.ids[to] = next.ids[from];
	next.ids[to].ctime_ns = 0;
	next.ids[from] = (struct world_entry){ 0 };
	changed(run, "rename", r, want, was, &next, from);
	seen(run, "rename", to);
}

void step_remove(struct run *run, uint32_t id)
{
	struct world next = run->now;
	struct before was = before(run);
	int want = run->now.ids[id].version ? 0 : -ENOENT;
	int r;

	if (run->stopped)
		return;
	r = quiver_remove(run->store, id, 0, NULL);
	next.ids[id] = (struct world_entry){ 0 };
	changed(run, "remove", r, want, was, &next, id);
}

void step_set_attr(struct run *run, uint32_t id, uint32_t version)
{
	struct quiver_attr attr = world_attr(version);
	struct world next = run->now;
	struct before was = before(run);
	int want = run->now.ids[id].version ? 0 : -ENOENT;
	int r;

	if (run->stopped)
		return;
	r = quiver_set_attr(run->store, id, &attr, QUIVER_ATTR_ALL, 0);
	next.ids[id].attr = version;
	next.ids[id].ctime_ns = 0;
	changed(run, "set_attr", r, want, was, &next, id);
}

void step_set_dir(struct run *run, uint32_t version)
{
	struct quiver_attr attr = world_attr(version);
	struct world next = run->now;
	struct before was = before(run);
	int r;

	if (run->stopped)
		return;
	r = quiver_set_dir_attr(run->store, &attr, QUIVER_ATTR_ALL, 0);
	next.dir = version;
	changed(run, "set_dir_attr", r, 0, was, &next, 0);
}

/* Where memory tells the new one though it failed, the first copy is on the disk. Else that may be all
 * the same: a write can fail after it was done. */
void step_label(struct run *run, uint32_t version)
{
	char text[QUIVER_LABEL_BYTES_MAX + 1];
	size_t length = world_label(version, text);
	struct world next = run->now;
	struct before was = before(run);
	int r;

	if (run->stopped)
		return;
	r = quiver_set_label(run->store, text, length);
	next.label = version;
	judge_change(run, "set_label", r, 0, was.fired, was.failed);
	if (r == 0 ? !world_has_label(run->store, version)
	           : !world_has_label(run->store, run->now.label) &&
	                     !world_has_label(run->store, version))
		run_wrong(run, "after set_label: another label than those set");
	if (r != 0 && world_has_label(run->store, version))
		run->now = next;
	else if (r != 0 && !was.failed)
		remember(run, &next);
	settle(run, r, was, &next);
}

/* A call after which all that was done before is kept, where it succeeds. */
static void settled(struct run *run, const char *what, int r, struct before was)
{
	judge_change(run, what, r, 0, was.fired, was.failed);
	if (r == 0)
		run_kept(run);
}

void step_flush(struct run *run)
{
	struct before was = before(run);

	if (run->stopped)
		return;
	settled(run, "flush", quiver_flush(run->store), was);
}

void step_checkpoint(struct run *run)
{
	struct before was = before(run);

	if (run->stopped)
		return;
	settled(run, "checkpoint", quiver_checkpoint(run->store), was);
	quiet(run);
}

void step_mode(struct run *run, enum quiver_durability mode)
{
	struct before was = before(run);
	int r;

	if (run->stopped)
		return;
	r = quiver_set_durability(run->store, mode);
	settled(run, "set_durability", r, was);
	if (r == 0)
		run->mode = mode;
	if (quiver_durability(run->store) != run->mode)
		run_wrong(run, "another mode is in force than set_durability has answered");
	quiet(run);
}

void step_reserve(struct run *run, uint64_t count)
{
	struct before was = before(run);
	int r;

	if (run->stopped)
		return;
	r = quiver_reserve(run->store, count);
	judge_change(run, "reserve", r, 0, was.fired, was.failed);
	quiet(run);
}

void step_job(struct run *run, enum quiver_job kind)
{
	struct quiver_job_status status;
	struct before was = before(run);
	int r;

	if (run->stopped)
		return;
	r = quiver_job_start(run->store, kind);
	run_judge(run, "job_start", r, 0); /* the job is at work, and its faults are its own */
	if (r)
		return;
	for (int i = 0; i < JOB_POLLS; i++) {
		quiver_job_status(run->store, kind, &status);
		if (!status.running)
			break;
		usleep(POLL_US);
	}
	if (status.running)
		run_wrong(run, "the job does not end");
	if (kind == QUIVER_COMPACT)
		judge_change(run, "the job", status.result, 0, was.fired, was.failed);
	else
		run_judge(run, "the job", status.result, 0);
	quiet(run);
}

void step_look(struct run *run)
{
	struct quiver_space space;
	uint64_t id;
	const char *why;

	if (run->stopped)
		return;
	if (run->allocations)
		return; /* the list needs memory */
	run_judge(run, "space", quiver_space(run->store, 0, &space), 0);
	why = world_compare(&run->now, run->store, &id);
	if (why)
		run_wrong(run, "while open: vector %llu: %s", (unsigned long long)id, why);
}

void step_check(struct run *run, bool repair)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	int r = quiver_check(run->path, repair, NULL, NULL, &result, &error);

	run_judge(run, repair ? "repair" : "check", r, 0);
	if (r && error.text[0] == '\0')
		run_wrong(run, "%s failed (%s) without a word", repair ? "repair" : "check",
		          strerror(-r));
	if (r == 0 && !faults_fired() && (result.damage > 0) != run->loses)
		run_wrong(run, "check found %llu faults", (unsigned long long)result.damage);
}
