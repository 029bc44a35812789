#include "fs_model.h"

#include <errno.h>
#include <string.h>

/* ---- handles ---- */

static struct model_handle *new_handle(struct model *model, unsigned first)
{
	for (unsigned i = first; i < first + MODEL_HANDLES; i++)
		if (!model->handles[i].used) {
			memset(&model->handles[i], 0, sizeof(model->handles[i]));
			model->handles[i].age = ++model->age;
			model->handles[i].mtime_ns = MODEL_ANY_MTIME;
			return &model->handles[i];
		}
	return NULL;
}

struct model_handle *model_new_handle(struct model *model)
{
	return new_handle(model, 0);
}

static bool is_of(const struct model_handle *h, unsigned node)
{
	return h->used && h->kind != MODEL_OF_SCRATCH && h->node == node;
}

unsigned model_writers(const struct model *model, unsigned node)
{
	unsigned writers = 0;

	for (unsigned i = 0; i < MODEL_ALL_HANDLES; i++) {
		const struct model_handle *h = &model->handles[i];

		writers += h->used && h->kind == MODEL_WRITER && (h->node == node || h->id == node);
	}
	return writers;
}

unsigned model_cache_users(const struct model *model, unsigned node)
{
	unsigned users = 0;

	for (unsigned i = 0; i < MODEL_ALL_HANDLES; i++)
		users += is_of(&model->handles[i], node) && model->handles[i].fills_cache;
	return users;
}

static void pin(struct model *model, struct model_handle *h)
{
	h->pinned = true;
	memcpy(h->seen, model->ids[h->id].bytes, MODEL_BYTES);
	h->seen_version = model->ids[h->id].version;
}

static void join_cache(struct model *model, struct model_handle *h, const uint8_t *bytes,
                       uint32_t version)
{
	struct model_vector *cached = &model->cached[h->node];

	if (cached->version == 0) {
		cached->version = version;
		memcpy(cached->bytes, bytes, MODEL_BYTES);
	}
	h->fills_cache = true;
}

/* Whether somebody has a file of that node open that was not committed yet. */
static bool is_being_made(const struct model *model, unsigned node)
{
	for (size_t i = 0; i < MODEL_ALL_HANDLES; i++) {
		const struct model_handle *h = &model->handles[i];

		if (h->used && h->kind == MODEL_WRITER && h->node == node && h->created)
			return true;
	}
	return false;
}

int model_open_reader(struct model *model, struct model_handle *h, bool direct, bool keep)
{
	const struct model_vector *cached = &model->cached[h->node];
	uint32_t pages = model->pages[h->node];

	if (!model->ids[h->node].there)
		return -ESTALE;
	h->used = true;
	h->kind = MODEL_READER;
	h->readable = true;
	pin(model, h);
	if (is_being_made(model, h->node)) /* the kernel may have its size */
		return direct && !keep ? 0 : -EINVAL;
	if (direct)
		return cached->version != 0 && !keep ? 0 : -EINVAL;
	if (cached->version != 0 && cached->version != h->seen_version)
		return -EINVAL; /* two versions would mix */
	if (keep && pages != 0 && pages != h->seen_version)
		return -EINVAL; /* it would read them */
	h->drops_pages = !keep;
	join_cache(model, h, h->seen, h->seen_version);
	return 0;
}

int model_open_writer(struct model *model, struct model_handle *h)
{
	if (!model->ids[h->node].there)
		return -ESTALE;
	h->used = true;
	h->kind = MODEL_WRITER;
	h->mode = model->ids[h->node].mode;
	if (h->readable)
		pin(model, h);
	return 0;
}

int model_create(struct model *model, struct model_handle *h, bool truncate, uint32_t mode)
{
	if (model->ids[h->node].there && h->exclusive)
		return -EEXIST;
	if (model_open_writer(model, h) == 0) {
		h->touched = h->active = truncate;
		return 0;
	}
	h->used = h->created = h->active = true;
	h->kind = MODEL_WRITER;
	h->mode = mode;
	return 0;
}

void model_close(struct model *model, struct model_handle *h)
{
	h->used = false;
	if (h->kind == MODEL_OF_SCRATCH) {
		if (--h->file->opens == 0 && h->file->heir != NULL)
			model_release(model, h->file->heir);
		model_scratch_reap(h->file);
	} else if (h->fills_cache && model_cache_users(model, h->node) == 0) {
		model->cached[h->node].version = 0;
	}
}

/* ---- commits ---- */

static void commit(struct model *model, unsigned id, const uint8_t *bytes, uint32_t mode,
                   int64_t mtime_ns)
{
	struct model_vector *vector = &model->ids[id];

	vector->there = true;
	vector->version = ++model->version;
	memcpy(vector->bytes, bytes, MODEL_BYTES);
	vector->mode = mode;
	vector->mtime_ns = mtime_ns;
}

void model_put(struct model *model, unsigned id, const uint8_t *bytes, uint32_t mode)
{
	commit(model, id, bytes, model->ids[id].there ? model->ids[id].mode : mode,
	       MODEL_ANY_MTIME);
}

static int commit_handle(struct model *model, struct model_handle *h, const uint8_t *bytes)
{
	bool replaces = model->ids[h->id].there;

	if (h->exclusive && replaces) {
		h->failed = -EEXIST;
		return -EEXIST;
	}
	commit(model, h->id, bytes, replaces && !h->mode_set ? model->ids[h->id].mode : h->mode,
	       h->mtime_ns);
	h->created = h->exclusive = h->active = h->pinned = h->mode_set = false;
	h->failed = 0;
	h->size = h->filled = 0;
	h->mtime_ns = MODEL_ANY_MTIME;
	memset(h->stage, 0, sizeof(h->stage));
	return 0;
}

/* What comes by the descriptor of a scratch file that has become a vector. */
static struct model_handle *heir_of(struct model_handle *h)
{
	struct model_handle *heir = h->file->heir;

	heir->append = h->append;
	heir->durable = h->durable;
	return heir;
}

/* ---- what is staged ---- */

/* There is a stage: of what is committed, where nothing was staged before. */
static int stage(struct model *model, struct model_handle *h)
{
	if (h->active)
		return 0;
	if (!h->pinned && !h->orphan) {
		if (!model->ids[h->id].there)
			return -ESTALE;
		pin(model, h);
	}
	h->active = true;
	if (h->pinned) {
		memcpy(h->stage, h->seen, MODEL_BYTES);
		h->size = h->filled = MODEL_BYTES;
	}
	return 0;
}

static void changed(struct model_handle *h)
{
	h->failed = 0;
	h->mtime_ns = MODEL_ANY_MTIME;
}

int model_write(struct model *model, struct model_handle *h, const uint8_t *bytes, uint32_t size,
                uint64_t offset)
{
	int rc;

	if (h->kind == MODEL_OF_SCRATCH && h->file->heir != NULL)
		return model_write(model, heir_of(h), bytes, size, offset);
	if (h->kind == MODEL_OF_SCRATCH)
		return model_scratch_write(h->file, bytes, size,
		                           h->append ? h->file->size : offset);
	h->touched = true;
	if (size == 0)
		return 0;
	if (h->append)
		offset = h->active ? h->size : MODEL_BYTES;
	if (offset > MODEL_BYTES || size > MODEL_BYTES - offset)
		return -EFBIG;
	if (size == MODEL_BYTES && !h->orphan) {
		changed(h);
		return commit_handle(model, h, bytes);
	}
	rc = stage(model, h);
	if (rc != 0)
		return rc;
	memcpy(h->stage + offset, bytes, size);
	if (offset + size > h->size)
		h->size = (uint32_t)(offset + size);
	if (offset <= h->filled && offset + size > h->filled)
		h->filled = (uint32_t)(offset + size);
	changed(h);
	if (h->durable && h->filled == MODEL_BYTES && !h->orphan)
		return commit_handle(model, h, h->stage);
	return 0;
}

int model_truncate(struct model *model, struct model_handle *h, uint64_t size)
{
	int rc = 0;

	if (h->kind == MODEL_OF_SCRATCH && h->file->heir != NULL)
		return model_truncate(model, heir_of(h), size);
	if (h->kind == MODEL_OF_SCRATCH)
		return model_scratch_resize(h->file, size);
	h->touched = true;
	if (size > MODEL_BYTES)
		return -EFBIG;
	if (!h->active && size == MODEL_BYTES) {
		if (!h->orphan)
			model->ids[h->id].mtime_ns = MODEL_ANY_MTIME;
		return 0;
	}
	if (size == 0)
		h->active = true;
	else
		rc = stage(model, h);
	if (rc != 0)
		return rc;
	if (size < h->size)
		memset(h->stage + size, 0, h->size - size);
	/* Zero-filled counts as written where there was no gap before. */
	if (size < h->filled || h->filled == h->size)
		h->filled = (uint32_t)size;
	h->size = (uint32_t)size;
	changed(h);
	return 0;
}

/* The page that was asked for goes into the cache beside those that are there. What an open
 * was to drop is dropped by now, at the latest. */
static void fill_pages(struct model *model, struct model_handle *h, uint32_t version)
{
	uint32_t *pages = &model->pages[h->node];

	if (h->drops_pages)
		*pages = 0;
	h->drops_pages = false;
	*pages = *pages == 0 || *pages == version ? version : MODEL_MIXED;
}

static int read_cached(struct model *model, struct model_handle *h, const uint8_t **bytes)
{
	struct model_vector *cached = &model->cached[h->node];
	const struct model_vector *now = &model->ids[h->id];

	/* A writer reads what is committed by now, under the name that it has by now. */
	if (cached->version != 0)
		h->fills_cache = true;
	else if (h->kind == MODEL_WRITER && !h->orphan && now->there)
		join_cache(model, h, now->bytes, now->version);
	else if (h->pinned)
		join_cache(model, h, h->seen, h->seen_version);
	else
		return -ESTALE;
	*bytes = cached->bytes;
	fill_pages(model, h, cached->version);
	return 0;
}

int model_read(struct model *model, struct model_handle *h, bool for_cache, const uint8_t **bytes,
               uint32_t *size)
{
	*size = MODEL_BYTES;
	if (h->kind == MODEL_OF_SCRATCH && h->file->heir != NULL)
		return model_read(model, heir_of(h), for_cache, bytes, size);
	if (h->kind == MODEL_OF_SCRATCH) {
		*bytes = h->file->bytes;
		*size = h->file->size;
		return 0;
	}
	if (for_cache)
		return read_cached(model, h, bytes);
	if (h->kind == MODEL_WRITER)
		h->touched = true;
	if (h->active) {
		*bytes = h->stage;
		*size = h->size;
		return 0;
	}
	if (!h->pinned) {
		/* A file that was removed is not the one made anew under its name. */
		if (h->orphan || !model->ids[h->id].there)
			return -ESTALE;
		pin(model, h);
	}
	*bytes = h->seen;
	return 0;
}

int model_flush(struct model *model, struct model_handle *h)
{
	if (h->kind == MODEL_OF_SCRATCH && h->file->heir != NULL)
		return model_flush(model, heir_of(h));
	if (h->kind != MODEL_WRITER)
		return 0;
	h->touched = true;
	if (!h->active || h->orphan)
		return 0;
	if (h->size == MODEL_BYTES)
		return commit_handle(model, h, h->stage);
	return h->failed != 0 ? h->failed : -EINVAL;
}

void model_release(struct model *model, struct model_handle *h)
{
	/* What failed once and was told is not tried again. */
	if (h->kind == MODEL_WRITER && h->failed == 0)
		(void)model_flush(model, h);
	model_close(model, h);
}

/* ---- by path ---- */

/* The handle that a request without one is taken to mean; no heir, which has another node. */
static struct model_handle *pick(struct model *model, unsigned node, pid_t tid)
{
	struct model_handle *best = NULL;
	int best_rank = -1;

	for (unsigned i = 0; i < MODEL_HANDLES; i++) {
		struct model_handle *h = &model->handles[i];
		int rank = h->kind == MODEL_WRITER ? (h->tid == tid ? 2 : 1) : 0;

		if (!is_of(h, node) || rank < best_rank ||
		    (rank == best_rank && h->age < best->age))
			continue;
		best = h;
		best_rank = rank;
	}
	return best;
}

/* O_TRUNC empties what that thread has opened and has had no request, the newest. */
static struct model_handle *pick_untouched(struct model *model, unsigned node, pid_t tid)
{
	struct model_handle *best = NULL;

	for (unsigned i = 0; i < MODEL_ALL_HANDLES; i++) {
		struct model_handle *h = &model->handles[i];

		if (!is_of(h, node) || h->kind != MODEL_WRITER || h->touched || h->tid != tid)
			continue;
		if (best == NULL || h->age > best->age)
			best = h;
	}
	return best;
}

/* The stage that a change by path of what was opened as `node` and is `id` now is taken to mean:
 * that of thread `tid`, else of the newest writer. NULL where that has none. */
static struct model_handle *pick_stage(struct model *model, unsigned node, unsigned id, pid_t tid)
{
	struct model_handle *best = NULL;

	for (unsigned i = 0; i < MODEL_ALL_HANDLES; i++) {
		struct model_handle *h = &model->handles[i];

		if (!is_of(h, node) || h->kind != MODEL_WRITER || h->orphan || h->id != id)
			continue;
		if (best == NULL || (h->tid == tid) > (best->tid == tid) ||
		    ((h->tid == tid) == (best->tid == tid) && h->age > best->age))
			best = h;
	}
	return best != NULL && best->active ? best : NULL;
}

int model_resize_path(struct model *model, unsigned id, pid_t tid, uint64_t size)
{
	struct model_handle *h = size == 0 ? pick_untouched(model, id, tid) : NULL;

	if (h != NULL) {
		h->touched = h->active = true;
		return 0;
	}
	if (!model->ids[id].there)
		return -ESTALE;
	if (size != MODEL_BYTES)
		return size > MODEL_BYTES ? -EFBIG : -EINVAL;
	h = pick_stage(model, id, id, tid);
	if (h != NULL && h->tid == tid)
		h->mtime_ns = MODEL_ANY_MTIME;
	else
		model->ids[id].mtime_ns = MODEL_ANY_MTIME;
	return 0;
}

/* What fchmod or the like by `tid` is for that comes without a handle. *now: the vector whose
 * attributes it changes, MODEL_IDS: none. *stage: what is staged for it. -ESTALE. */
static int find_open(struct model *model, unsigned id, pid_t tid, unsigned *now,
                     struct model_handle **stage)
{
	struct model_handle *h = pick(model, id, tid);

	*now = id;
	*stage = pick_stage(model, id, id, tid);
	if (model->ids[id].there)
		return 0;
	*now = MODEL_IDS;
	if (h == NULL)
		return -ESTALE;
	if (h->orphan) {
		*stage = NULL;
		return 0;
	}
	if (h->id == id)
		return *stage != NULL ? 0 : -ESTALE;
	*now = h->id;
	*stage = pick_stage(model, id, h->id, tid);
	return model->ids[h->id].there ? 0 : -ESTALE;
}

int model_chmod(struct model *model, unsigned id, pid_t tid, uint32_t mode)
{
	struct model_handle *stage;
	unsigned now;
	int rc = find_open(model, id, tid, &now, &stage);

	if (rc != 0)
		return rc;
	if (now < MODEL_IDS) {
		model->ids[now].mode = mode;
	} else if (stage != NULL) {
		stage->mode = mode;
		stage->mode_set = true;
	}
	return 0;
}

int model_touch(struct model *model, unsigned id, pid_t tid, int64_t mtime_ns)
{
	struct model_handle *stage;
	unsigned now;
	int rc = find_open(model, id, tid, &now, &stage);

	if (rc != 0)
		return rc;
	if (stage != NULL)
		stage->mtime_ns = mtime_ns;
	/* The writer's own is for its commit alone. */
	if (now < MODEL_IDS && (stage == NULL || stage->tid != tid))
		model->ids[now].mtime_ns = mtime_ns;
	return 0;
}

int64_t model_mtime(const struct model *model, unsigned id, pid_t tid)
{
	/* Only looked at. */
	struct model_handle *h = pick((struct model *)(uintptr_t)model, id, tid);

	if (h != NULL && h->kind == MODEL_WRITER && h->tid == tid && h->active && !h->orphan &&
	    h->id == id && h->mtime_ns != MODEL_ANY_MTIME)
		return h->mtime_ns;
	return model->ids[id].mtime_ns;
}

/* Vector `id` is to go: who has it open goes on with what it is now. */
static void lose(struct model *model, unsigned id, bool replaced)
{
	for (unsigned i = 0; i < MODEL_ALL_HANDLES; i++) {
		struct model_handle *h = &model->handles[i];

		if (!h->used || h->kind == MODEL_OF_SCRATCH || h->id != id || h->orphan ||
		    (replaced && h->created && h->exclusive))
			continue;
		h->orphan = true;
		if (!h->created && !h->pinned)
			pin(model, h);
	}
}

int model_unlink(struct model *model, unsigned id)
{
	if (!model->ids[id].there)
		return -ENOENT;
	lose(model, id, false);
	model->ids[id].there = false;
	return 0;
}

int model_rename(struct model *model, unsigned from, unsigned to, bool noreplace)
{
	struct model_vector was = model->ids[from];

	if (!was.there)
		return -ENOENT;
	if (from == to)
		return 0;
	if (model->ids[to].there && noreplace)
		return -EEXIST;
	lose(model, to, true);
	commit(model, to, was.bytes, was.mode, was.mtime_ns);
	model->ids[from].there = false;
	for (unsigned i = 0; i < MODEL_ALL_HANDLES; i++) {
		struct model_handle *h = &model->handles[i];

		if (!h->used || h->kind == MODEL_OF_SCRATCH || h->id != from || h->orphan)
			continue;
		h->id = to;
		h->created = h->exclusive = false;
	}
	return 0;
}

void model_remount(struct model *model)
{
	memset(model->handles, 0, sizeof(model->handles));
	memset(model->scratch, 0, sizeof(model->scratch));
	model->folder = false;
	memset(model->cached, 0, sizeof(model->cached));
	memset(model->pages, 0, sizeof(model->pages));
}

/* ---- scratch files ---- */

int model_mkdir(struct model *model)
{
	if (model->folder)
		return -EEXIST;
	model->folder = true;
	return 0;
}

unsigned model_folder_names(struct model *model)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MODEL_FOLDER_NAMES; i++)
		count += model_scratch_find(model, (int)(MODEL_NAMES + i)) != NULL;
	return count;
}

int model_rmdir(struct model *model)
{
	if (!model->folder)
		return -ENOENT;
	if (model_folder_names(model) > 0)
		return -ENOTEMPTY;
	model->folder = false;
	return 0;
}

int model_scratch_may(const struct model *model, int name)
{
	return name < (int)MODEL_NAMES || model->folder ? 0 : -ENOENT;
}

struct model_scratch *model_scratch_find(struct model *model, int name)
{
	for (unsigned i = 0; i < MODEL_SCRATCH; i++)
		if (model->scratch[i].used && model->scratch[i].name == name)
			return &model->scratch[i];
	return NULL;
}

struct model_scratch *model_scratch_new(struct model *model, int name, uint64_t ino, uint32_t mode)
{
	struct model_scratch *file = model->scratch;

	while (file->used)
		file++;
	*file = (struct model_scratch){
		.used = true, .name = name, .ino = ino, .mode = mode, .mtime_ns = MODEL_ANY_MTIME
	};
	return file;
}

void model_scratch_reap(struct model_scratch *file)
{
	file->used = file->name >= 0 || file->opens > 0;
}

int model_scratch_write(struct model_scratch *file, const uint8_t *bytes, uint32_t size,
                        uint64_t offset)
{
	if (offset > MODEL_SCRATCH_BYTES || size > MODEL_SCRATCH_BYTES - offset)
		return -EFBIG;
	if (size == 0)
		return 0;
	memcpy(file->bytes + offset, bytes, size);
	if (offset + size > file->size)
		file->size = (uint32_t)(offset + size);
	file->mtime_ns = MODEL_ANY_MTIME;
	return 0;
}

int model_scratch_resize(struct model_scratch *file, uint64_t size)
{
	if (size > MODEL_SCRATCH_BYTES)
		return -EFBIG;
	if (size < file->size)
		memset(file->bytes + size, 0, file->size - size);
	file->size = (uint32_t)size;
	file->mtime_ns = MODEL_ANY_MTIME;
	return 0;
}

int model_scratch_unlink(struct model *model, int name)
{
	struct model_scratch *file = model_scratch_find(model, name);

	if (file == NULL)
		return -ENOENT;
	file->name = -1;
	model_scratch_reap(file);
	return 0;
}

int model_scratch_rename(struct model *model, int from, int to, bool noreplace)
{
	struct model_scratch *file = model_scratch_find(model, from);

	if (file == NULL || model_scratch_may(model, to) != 0)
		return -ENOENT;
	if (model_scratch_find(model, to) != NULL && noreplace)
		return -EEXIST;
	(void)model_scratch_unlink(model, to);
	file->name = to;
	return 0;
}

int model_scratch_commit(struct model *model, int from, unsigned to, bool noreplace)
{
	struct model_scratch *file = model_scratch_find(model, from);

	if (file == NULL)
		return -ENOENT;
	if (file->size != MODEL_BYTES)
		return -ENODATA;
	if (model->ids[to].there && noreplace)
		return -EEXIST;
	lose(model, to, true);
	commit(model, to, file->bytes, file->mode, file->mtime_ns);
	if (file->opens > 0) {
		file->heir = new_handle(model, MODEL_HANDLES);
		file->heir->used = true;
		file->heir->kind = MODEL_WRITER;
		file->heir->node = file->heir->id = to;
		file->heir->readable = true;
		file->heir->touched = true;
		file->heir->mode = file->mode;
	}
	return model_scratch_unlink(model, from);
}
