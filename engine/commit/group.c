#include "engine/commit/group.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/commit/apply.h"

/* Requests that one leader takes at once. More would make the first wait for the last. */
#define GROUP_MAX 64
/* Groups under way: one that is synced, and one that is ready for the next sync. More would be
 * smaller, and take part in the same syncs. */
#define FLIGHTS_MAX 2
/* Of the time that a group's sync takes, what the leader at most waits for writers to come. */
#define PATIENCE_SHARE 2
/* Each time they did not come it waits half as long, but goes on trying. */
#define DOUBTS_MAX 6
/* A median changes by a part of so much with each measurement. */
#define SMOOTHING 16

/* Take requests from the queue that can go as one group: each plans on what is published, so
 * no two may name the same ID, a batch goes alone, and who must not wait never goes with who
 * may. Queue lock held. */
static size_t take_group(struct commit_queue *queue, struct commit_request **group)
{
	size_t n = 0;

	while (queue->first && n < GROUP_MAX) {
		struct commit_request *request = queue->first;

		if (n > 0 && (request->count > 1 || group[0]->count > 1 ||
		              ((request->flags ^ group[0]->flags) & QUIVER_NOWAIT)))
			break;
		for (size_t i = 0; i < n; i++)
			if (commit_requests_clash(group[i], request))
				return n;
		queue->first = request->next;
		if (!queue->first)
			queue->last = &queue->first;
		queue->count--;
		group[n++] = request;
	}
	return n;
}

/* Whether the next group ends in a sync. Queue lock held. */
static bool group_syncs(struct committer *commits)
{
	return (commits->queue.first->flags & QUIVER_SYNC) ||
	       atomic_load(&commits->durability) == QUIVER_ALWAYS;
}

/* Requests that there are at least, and come back if they go on. Queue lock held. */
static size_t expected(const struct commit_queue *queue)
{
	size_t here = queue->aloft + queue->count;

	if (here < queue->expected)
		here = queue->expected;
	return here < GROUP_MAX ? here : GROUP_MAX;
}

/* Whether it is better to have two groups in turns, each of which is gathered, planned and logged
 * while the other is synced, than one of all: where that takes clearly longer than a sync. Where it
 * takes less two groups would wait for two syncs, and one of all for one and for that. Queue lock
 * held. */
static bool takes_turns(const struct commit_queue *queue)
{
	return queue->sync_ns / 2 * 3 < queue->gather_ns * expected(queue);
}

/* As many as the leader waits for. Queue lock held. */
static size_t company(const struct commit_queue *queue)
{
	return takes_turns(queue) ? (expected(queue) + 1) / 2 : expected(queue);
}

/* Wait until as many as were expected are there, at most until `until`; with NULL until nothing is
 * under way. Whether they are. Queue lock held. */
static bool await_arrivals(struct commit_queue *queue, const struct timespec *until)
{
	int r = 0;

	while (r == 0 && queue->count < (queue->awaited = company(queue)) &&
	       (until || queue->flights > 0))
		r = until ? pthread_cond_timedwait(&queue->arrived, &queue->lock, until)
		          : pthread_cond_wait(&queue->arrived, &queue->lock);
	queue->awaited = 0;
	return r == 0;
}

/* The writers of a group come back microseconds after its sync; a leader that syncs at once for
 * the first of them lets all others wait for the sync after that. So it waits until as many are
 * there as last time: while another group is synced, which it would wait for all the same; and then
 * for a part of what the sync takes, and less and less where they do not come. As PostgreSQL's
 * commit_delay, but measured. Queue lock held. */
static void await_company(struct commit_queue *queue)
{
	uint64_t wait_ns = queue->sync_ns / PATIENCE_SHARE >> queue->doubts;
	struct timespec until;

	if (queue->count >= company(queue))
		return;
	commit_turn_away(queue);
	if (queue->flights > 0)
		(void)await_arrivals(queue, NULL);
	if (queue->count < company(queue)) {
		until = clock_timespec(clock_monotonic_ns() + wait_ns);
		if (await_arrivals(queue, &until))
			queue->doubts = 0;
		else if (queue->doubts < DOUBTS_MAX)
			queue->doubts++;
	}
	commit_wait_end(queue);
}

/* The median goes up or down by a part of itself, however far off the measurement is: on a busy
 * machine one in a hundred takes a hundred times as long. */
static void learn(uint64_t *median, uint64_t now)
{
	if (*median < SMOOTHING)
		*median = now;
	else
		*median += now > *median ? *median / SMOOTHING : 0 - *median / SMOOTHING;
}

/* A group is logged, and under way. Queue lock held. */
static void took_off(struct commit_queue *queue, size_t group)
{
	if (queue->landed_ns > 0)
		learn(&queue->gather_ns, (clock_monotonic_ns() - queue->landed_ns) / group);
	queue->landed_ns = 0;
	queue->flights++;
	queue->aloft += group;
}

/* It has landed: what it tells about the next. Queue lock held. */
static void has_landed(struct committer *commits, size_t group, bool synced)
{
	struct commit_queue *queue = &commits->queue;

	queue->expected = queue->aloft + queue->count;
	queue->aloft -= group;
	if (synced) {
		queue->landed_ns = clock_monotonic_ns();
		learn(&queue->sync_ns, atomic_load(&commits->wal->sync_ns));
	}
}

/* For who waits until fewer are under way. Queue lock held. */
static void make_way(struct commit_queue *queue)
{
	queue->flights--;
	pthread_cond_broadcast(&queue->landed);
	if (queue->awaited > 0)
		pthread_cond_signal(&queue->arrived);
}

/* Who leads no more calls the next: one that pauses the commits, else who waits longest. Each
 * is woken by itself, since all at once would meet at the lock. Queue lock held. */
static void resign(struct commit_queue *queue)
{
	if (queue->pausing > 0 || !queue->first) {
		queue->led = false;
		pthread_cond_broadcast(&queue->changed);
	} else {
		(void)sem_post(&queue->first->woken);
	}
}

static bool is_among(const struct commit_request *own, struct commit_request *const *group,
                     size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (group[i] == own)
			return true;
	return false;
}

static void end_all(struct commit_request *const *group, size_t count)
{
	for (size_t i = 0; i < count; i++)
		commit_request_end(group[i]);
}

/* The group is logged and waits for a sync. With its own request on the way the leader leads no
 * more: another logs the next group meanwhile. No lock held; on return the queue lock is, unless
 * the leader has resigned, which is returned. */
static bool fly(struct committer *commits, struct commit_flight *flight,
                const struct commit_request *own)
{
	struct commit_queue *queue = &commits->queue;
	struct commit_request *const *group = flight->group;
	size_t count = flight->count;
	bool resigns = is_among(own, group, count);

	pthread_mutex_lock(&queue->lock);
	took_off(queue, count);
	if (resigns)
		resign(queue);
	pthread_mutex_unlock(&queue->lock);
	apply_land(commits, flight);
	pthread_mutex_lock(&queue->lock);
	has_landed(commits, count, flight->sync);
	pthread_mutex_unlock(&queue->lock);
	/* Without the lock, at which they would all meet again; and before the next leader begins to
	 * wait for them. */
	end_all(group, count);
	pthread_mutex_lock(&queue->lock);
	make_way(queue);
	if (resigns)
		pthread_mutex_unlock(&queue->lock);
	return resigns;
}

/* Lead until one's own request is done, or under way. Queue lock held, and not held on return. */
static void lead(struct committer *commits, const struct commit_request *own)
{
	struct commit_queue *queue = &commits->queue;
	struct commit_request *group[GROUP_MAX];
	struct commit_flight flight;

	while (!own->done) {
		size_t n;

		if (group_syncs(commits))
			await_company(queue);
		while (queue->flights >= FLIGHTS_MAX)
			pthread_cond_wait(&queue->landed, &queue->lock);
		if (own->done) /* turned away */
			break;
		n = take_group(queue, group);
		pthread_mutex_unlock(&queue->lock);
		if (apply_log(commits, &flight, group, n)) {
			if (fly(commits, &flight, own))
				return;
			continue;
		}
		end_all(group, n);
		pthread_mutex_lock(&queue->lock);
	}
	resign(queue);
	pthread_mutex_unlock(&queue->lock);
}

/* Who pauses takes the lead and does not use it. */
void commit_pause(struct committer *commits)
{
	struct commit_queue *queue = &commits->queue;

	pthread_mutex_lock(&queue->lock);
	queue->pausing++;
	while (queue->led)
		pthread_cond_wait(&queue->changed, &queue->lock);
	queue->pausing--;
	queue->led = true;
	commit_turn_away(queue);
	while (queue->flights > 0)
		pthread_cond_wait(&queue->landed, &queue->lock);
	pthread_mutex_unlock(&queue->lock);
}

void commit_resume(struct committer *commits)
{
	struct commit_queue *queue = &commits->queue;

	pthread_mutex_lock(&queue->lock);
	commit_wait_end(queue);
	resign(queue);
	pthread_mutex_unlock(&queue->lock);
}

/* Whether the part of the index that the commit changes is in memory. */
static bool index_is_there(struct committer *commits, const struct commit_request *request)
{
	struct catalog *catalog = commits->catalog;
	bool there = true;

	if (index_is_whole(&catalog->index))
		return true;
	epoch_enter();
	for (size_t i = 0; there && i < request->count; i++) {
		const struct commit_op *op = &request->ops[i];

		there = op->type == WAL_DIRATTR || catalog_is_ready(catalog, op->id);
		if (there && op->type == WAL_RENAME)
			there = catalog_is_ready(catalog, op->from);
	}
	epoch_leave();
	return there;
}

/* Whether the commit would have to wait for the disk, or for who watches the rows. Queue lock
 * held. */
static bool would_wait(struct committer *commits, const struct commit_request *request)
{
	return (request->flags & QUIVER_SYNC) ||
	       (row_watch_is_on(commits->row_watch) && commit_op_has_slot(&request->ops[0])) ||
	       atomic_load(&commits->durability) == QUIVER_ALWAYS ||
	       atomic_load(&commits->queue.waits) > 0 || !index_is_there(commits, request);
}

/* Into the queue, and until the request is done or called to lead. Queue lock held; on return it
 * is held by who is to lead, and not by whose request is done. */
static void wait_in_queue(struct commit_queue *queue, struct commit_request *request)
{
	*queue->last = request;
	queue->last = &request->next;
	queue->count++;
	if (queue->awaited > 0 && queue->count >= queue->awaited)
		pthread_cond_signal(&queue->arrived);
	if (!queue->led) {
		queue->led = true;
		return;
	}
	pthread_mutex_unlock(&queue->lock);
	while (sem_wait(&request->woken) != 0)
		assert(errno == EINTR);
	if (!request->done)
		pthread_mutex_lock(&queue->lock);
}

void group_submit(struct committer *commits, struct commit_request *request)
{
	struct commit_queue *queue = &commits->queue;

	request->done = request->published = false;
	request->next = NULL;
	request->result = health_writable(commits->catalog->health);
	if (request->result)
		return;
	(void)sem_init(&request->woken, 0, 0); /* cannot fail: the value is 0 */
	pthread_mutex_lock(&queue->lock);
	/* Asked with the lock held: who begins to wait turns away who is in the queue then. */
	if ((request->flags & QUIVER_NOWAIT) && would_wait(commits, request)) {
		pthread_mutex_unlock(&queue->lock);
		request->result = -EAGAIN;
		return;
	}
	wait_in_queue(queue, request);
	if (request->done)
		return;
	lead(commits, request);
}
