/* quiver_check: a store that nobody has open is opened without beginning a life, checked, and
 * where that is wanted repaired. */
#include "engine/recovery/check.h"

#include <errno.h>
#include <string.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/fault.h"
#include "engine/store/elsewhere.h"
#include "engine/store/local.h"
#include "engine/store/receiving.h"
#include "engine/store/store.h"

/* Open without beginning a life, and do that with what is there. Nothing is written unless a
 * repair does. */
static int with_files(const char *path, bool repair, struct check *check,
                      int (*work)(struct check *check), struct quiver_error *error)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = !repair };
	struct quiver *store;
	int r = store_open_files(path, &options, repair ? STORE_WRITE : STORE_LOOK, &store, error);
	int c;

	if (r)
		return r;
	check->catalog = &store->catalog;
	check->superblock = &store->superblock;
	check->dir_fd = store->dir_fd;
	r = index_init(&store->catalog.index, &store->catalog.columns, store->superblock.now.count);
	if (r == 0)
		r = work(check);
	c = store_discard(store);
	return r ? r : c;
}

static void say_note(void *arg, const char *line)
{
	check_say(arg, "%s", line);
}

/* Opening and closing recovers what a crash has left and writes a fresh snapshot. */
static int open_and_close(const char *path, struct check *check, struct quiver_error *error)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .on_report_arg = check,
		                          .on_note = say_note };
	struct quiver *store;
	int r = receiving_open(path, &options, &store, error);

	return r ? r : local_close(store);
}

static int repair(const char *path, struct check *check, struct quiver_error *error)
{
	struct quiver_error found = { "" };
	int r = check->result->damage > 0 ? with_files(path, true, check, repair_contents, error)
	                                  : 0;

	if (r)
		return r;
	r = open_and_close(path, check, &found);
	if (r == -EUCLEAN) {
		/* What only replaying the log has brought to light. */
		check->result->damage++;
		check_say(check, "%s", found.text);
		r = with_files(path, true, check, repair_contents, error);
		if (r == 0)
			r = open_and_close(path, check, error);
	} else if (r) {
		error_set(error, "%s", found.text);
	}
	return r;
}

/* Of a local folder. */
static int check_folder(const char *path, bool do_repair, struct check *check,
                        struct quiver_error *error)
{
	struct quiver_check_result *result = check->result;
	int r = fault_init();

	culprit_forget();
	if (r == 0)
		r = with_files(path, false, check, check_contents, error);
	if (r == 0 && do_repair && (result->damage > 0 || !result->clean))
		r = repair(path, check, error);
	if (r && error && error->text[0] == '\0' && culprit_name(r))
		error_set(error, "%s/%s: %s", path, culprit_name(r), culprit_why(r));
	else if (r && error && error->text[0] == '\0')
		error_set(error, "%s: the check could not run: %s", path, quiver_strerror(r));
	return r;
}

int quiver_check_with(const char *path, const char *access, bool do_repair,
                      void (*say)(void *arg, const char *line), void *arg,
                      struct quiver_check_result *result, struct quiver_error *error)
{
	struct check check = { .result = result, .say = say, .arg = arg };
	const struct quiver_module *module;
	int r;

	memset(result, 0, sizeof(*result));
	if (error)
		error->text[0] = '\0';
	module = elsewhere_module(path, &r, error);
	if (module)
		return module->check(path, access, do_repair, say, arg, result, error);
	if (r == 0)
		r = elsewhere_refuse(path, access, error);
	return r ? r : check_folder(path, do_repair, &check, error);
}

int quiver_check(const char *path, bool do_repair, void (*say)(void *arg, const char *line),
                 void *arg, struct quiver_check_result *result, struct quiver_error *error)
{
	return quiver_check_with(path, NULL, do_repair, say, arg, result, error);
}
