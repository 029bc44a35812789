/*
 * mount.c - the entry point of the mount: from the options to the exit status.
 */
#include "fs/daemon/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/codec/printable.h"
#include "fs/base/errors.h"
#include "fs/base/fs.h"
#include "fs/base/transport.h"
#include "fs/daemon/guard.h"
#include "fs/daemon/limits.h"
#include "fs/daemon/log.h"
#include "fs/daemon/notify.h"
#include "fs/daemon/options.h"
#include "fs/daemon/preflight.h"
#include "fs/daemon/privileges.h"
#include "fs/daemon/probe.h"
#include "fs/daemon/pulse.h"
#include "fs/daemon/ring.h"
#include "fs/daemon/serve.h"
#include "fs/daemon/signals.h"
#include "fs/daemon/steward.h"
#include "fs/daemon/unmount.h"
#include "fs/ops/ops.h"

#define EXIT_USAGE 2
/* `umount` returns before the daemon has closed the store; a checkpoint of much
 * unsynced data takes a while. */
#define LOCK_WAIT_MS 10000
#define SILENT_MS 1000 /* so long nobody asks what is going on; LOCK_WAIT_MS is a multiple */

/* Tell why it did not work: here in the foreground, else through the prober. */
static int give_up(struct server *server, const char *reason)
{
	if (server->foreground)
		log_line(LOG_ERR, "%s", reason);
	(void)probe_say(&server->pipe, 'E', reason);
	return EXIT_FAILURE;
}

/* The same for why the store cannot be opened; of its files the engine tells the
 * names only. */
static int give_up_store(struct server *server, const char *reason)
{
	char text[PATH_MAX], shown[PATH_MAX]; /* the engine's text has it like that, too */
	size_t length;

	snprintf(shown, sizeof(shown), "%s", server->store_path);
	printable_clean(shown);
	length = strlen(shown);
	if (strncmp(reason, shown, length) == 0 && (reason[length] == ':' || reason[length] == '/'))
		return give_up(server, reason);
	snprintf(text, sizeof(text), "%s: %s", server->store_path, reason);
	return give_up(server, text);
}

/* Signals are taken from a descriptor, by the steward. */
static int take_signals(struct server *server)
{
	int err = signals_take(server->foreground, &server->signal_fd);

	if (err != 0)
		return err;
	server->ended_fd = eventfd(0, EFD_CLOEXEC);
	return server->ended_fd < 0 ? -errno : 0;
}

/*
 * Leave the terminal, in a process group of its own, as daemons did before setsid(2). But stay
 * in the session: one of its own would be another group to the scheduler (sched(7), autogroup),
 * and then each answer to a client ended in moving that to an idle processor. Where those have
 * to be woken, as in virtual machines, it takes as long as several requests: 5,000 creates by a
 * Python program 134-203 us each, in the session 55-62.
 */
static int leave_terminal(void)
{
	int tty, err = 0;

	if (setpgid(0, 0) < 0)
		return -errno;
	tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (tty < 0)
		return errno == ENXIO || errno == ENOENT ? 0 : -errno; /* it has none */
	if (ioctl(tty, TIOCNOTTY) < 0)
		err = -errno;
	if (close(tty) < 0 && err == 0)
		err = -errno;
	return err;
}

/* Files that a variable names from where the program was started are meant from there. */
static void keep_named(const char *variable)
{
	const char *value = getenv(variable);
	char *folder;
	char *whole;

	if (value == NULL || value[0] == '\0' || value[0] == '/')
		return;
	folder = get_current_dir_name();
	if (folder == NULL || asprintf(&whole, "%s/%s", folder, value) < 0)
		whole = NULL;
	if (whole == NULL || setenv(variable, whole, 1) < 0)
		log_line(LOG_WARNING, "%s=%s: %s; give it with its folder", variable, value,
		         strerror(errno));
	free(whole);
	free(folder);
}

/* Leave the terminal and what else the starting process had open. */
static void detach(const struct server *server)
{
	int err = leave_terminal();
	int low = server->pipe.in < server->pipe.out ? server->pipe.in : server->pipe.out;
	int high = server->pipe.in < server->pipe.out ? server->pipe.out : server->pipe.in;

	keep_named("CEPH_CONF");
	keep_named("CEPH_KEYRING");
	/* All of these are good manners, not conditions. */
	if (err != 0)
		log_line(LOG_WARNING, "the daemon keeps its terminal: %s", strerror(-err));
	if (chdir("/") < 0)
		log_line(LOG_WARNING, "the daemon stays in its folder: %s", strerror(errno));
	if (low > 3)
		(void)close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		(void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	(void)close_range((unsigned)high + 1, ~0u, 0);
}

/* Run the loop with the steward beside it. 0, or the errno that ended the session. */
static int serve_with_steward(struct server *server)
{
	uint64_t one = 1;
	pthread_t thread;
	int err;

	err = -pthread_create(&thread, NULL, steward_run, server);
	if (err != 0)
		return err;
	err = serve_loop(&server->fs);
	atomic_store(&server->loop_err, err);
	if (write(server->ended_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		log_line(LOG_ERR, "eventfd: %s", strerror(errno));
	pthread_join(thread, NULL);
	/* what a thread that reads the device at that moment is told of it */
	return err == -ECONNABORTED && server->aborted ? 0 : err;
}

/* Whether others may have the same store mounted on this machine. */
static bool has_others(const struct server *server)
{
	return server->options.read_only || server->fs.shared;
}

/* Whether what is mounted elsewhere by our number and source may be another's: where ours is unmounted
 * and another mount of the same store has got its number. */
static bool is_anothers(const struct server *server)
{
	return has_others(server) && serve_is_over(&server->fs);
}

/* Learn what the kernel calls the filesystem, at once: somebody may move the mount point. Where that
 * was quicker, it is the newest mount of its store, if nobody else can have that open. */
static void learn_connection(struct server *server)
{
	char point[PATH_MAX];

	server->connection_err = unmount_connection(server->mount_path, &server->connection);
	if (server->connection_err < 0 && !has_others(server) &&
	    unmount_find_any(server->store_path, point, sizeof(point)) == 0)
		server->connection_err = unmount_connection(point, &server->connection);
	if (server->connection_err == 0)
		guard_connection(&server->guard, server->connection);
}

/* With the mount set up: mount, serve, unmount. The exit status. */
static int serve_session(struct server *server)
{
	struct quiver_error error = { "" };
	char point[PATH_MAX];
	bool mounted;
	int err;

	if (serve_mount(&server->fs, &error) < 0)
		return give_up(server, error.text);
	learn_connection(server);
	err = serve_with_steward(server);
	mounted = steward_is_mounted(server, point);
	if (server->connection_err < 0 || (mounted && strcmp(point, server->mount_path) == 0))
		serve_unmount(&server->fs);
	else if (mounted && !is_anothers(server) && unmount_detach(point) < 0)
		log_line(LOG_ERR, "%s: cannot be unmounted", point);
	if (err != 0)
		log_line(LOG_ERR, "%s: the session ended: %s", server->mount_path,
		         quiver_strerror(err));
	return err != 0 || server->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* From this size on, memory that is freed goes back to the system. Left to itself malloc raises it as far
 * as it sees such pieces freed, and keeps what hundreds of open files needed once. */
#define GIVEN_BACK_BYTES (64 << 10)

/* An open file of a store on other machines has the vector here, up to 512 KiB. */
static void give_back_memory(const struct fs *fs)
{
	if (fs->shared)
		(void)mallopt(M_MMAP_THRESHOLD, GIVEN_BACK_BYTES); /* else as without it */
}

/* Whether options ask of a store on other machines what it does not have, as control/ would refuse it;
 * says so. */
static bool asks_too_much(struct server *server)
{
	const struct mount_options *options = &server->options;
	struct quiver *store = server->fs.store;

	if (!server->fs.shared)
		return false;
	if (options->set_durability &&
	    quiver_set_durability(store, options->durability) == -EOPNOTSUPP) {
		(void)give_up_store(server,
		                    "option durability: each change of this store is safe before "
		                    "its call returns; give 'always', or leave the option out");
		return true;
	}
	if (quiver_set_autocompact(store, options->autocompact_percent) == -EOPNOTSUPP) {
		(void)give_up_store(server, "option autocompact: this store has nothing to "
		                            "compact; give 0, or leave the option out");
		return true;
	}
	return false;
}

/* With the store open: make what serves it, serve, take it down. The exit status. */
static int serve_store(struct server *server)
{
	struct fs *fs = &server->fs;
	struct quiver_error error = { "" };
	int status, err;

	fs->geometry = *quiver_geometry(fs->store);
	fs->shared = !(quiver_capabilities(fs->store) & (QUIVER_EXCLUSIVE | QUIVER_IMMUTABLE));
	if (asks_too_much(server))
		return EXIT_FAILURE;
	give_back_memory(fs);
	fs->max_write_bytes = transport_request_bytes(fs->geometry.vector_bytes);
	err = ring_choose(fs, server->options.io_uring);
	if (err != 0) {
		snprintf(error.text, sizeof(error.text), "io_uring=on: %s", fs->transport_reason);
		return give_up(server, error.text);
	}
	err = fs_init(fs);
	if (err != 0) {
		snprintf(error.text, sizeof(error.text), "the mount cannot be set up: %s",
		         quiver_strerror(err));
		return give_up(server, error.text);
	}
	if (serve_new(fs, &server->options, &error) < 0)
		status = give_up(server, error.text);
	else
		status = serve_session(server);
	fs_destroy(fs);
	serve_free(fs);
	return status;
}

/* Where somebody has mounted the store read-only, which is in the way of who may write; "". */
static void find_reader(const struct server *server, char point[static PATH_MAX])
{
	int64_t pid;

	if (server->options.read_only || quiver_readers(server->store_path, &pid, 1) <= 0 ||
	    unmount_find_any(server->store_path, point, PATH_MAX) < 0)
		point[0] = '\0';
}

/* How long to wait for whoever has the store open. A mount that answers is not about
 * to go away. */
static uint32_t lock_wait_ms(const struct server *server)
{
	struct quiver_holder holder;
	char point[PATH_MAX];
	uint32_t connection;

	if (quiver_holder(server->store_path, &holder) == 0 && holder.pid != 0 &&
	    holder.mount_point[0] && unmount_connection(holder.mount_point, &connection) == 0)
		return 0;
	find_reader(server, point);
	return point[0] ? 0 : LOCK_WAIT_MS;
}

/* Why the store cannot be opened, and what in the way of that is mounted. The exit status. */
static int give_up_opening(struct server *server, int err, const char *reason)
{
	char text[sizeof(((struct quiver_error *)0)->text) + PATH_MAX], point[PATH_MAX] = "";

	if (err == -EBUSY)
		find_reader(server, point);
	if (!point[0])
		return give_up_store(server, reason);
	snprintf(text, sizeof(text), "%s (at %s)", reason, point);
	return give_up_store(server, text);
}

static bool tells(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, 0) > 0;
}

/* Whether a store on other machines is waited for in vain: a signal has come, or whoever mounts has
 * gone. */
static bool gives_up_opening(void *arg)
{
	const struct server *server = arg;

	return tells(server->signal_fd, POLLIN) || tells(server->pipe.in, 0);
}

/* The same when it is closed. */
static bool gives_up_closing(void *arg)
{
	const struct server *server = arg;

	return atomic_load(&server->fs.cut_off) || tells(server->signal_fd, POLLIN);
}

/* Open the store. Its last user may still be ending: whoever waits for that is told. Somebody
 * may come and mount it meanwhile, which ends the wait. */
static int open_store(struct server *server, struct quiver_options *options,
                      struct quiver_error *error)
{
	uint32_t waited_ms = 0;

	for (;;) {
		uint32_t wait_ms = lock_wait_ms(server);
		int err;

		options->lock_wait_ms = wait_ms > 0 ? SILENT_MS : 0;
		err = quiver_open(server->store_path, options, &server->fs.store, error);
		waited_ms += SILENT_MS;
		if (err != -EBUSY || waited_ms >= wait_ms)
			return err;
		if (waited_ms == SILENT_MS)
			log_line(LOG_NOTICE, "%s; waiting until it ends, %u seconds at most",
			         error->text, (wait_ms - waited_ms) / 1000);
	}
}

static void note_from_store(void *arg, const char *line)
{
	(void)arg;
	log_line(LOG_NOTICE, "%s", line);
}

/* The process that serves, from here to its end. The exit status. */
static int serve(struct server *server)
{
	struct quiver_error error = { "" };
	struct quiver_options options = {
		.size = sizeof(struct quiver_options),
		.read_only = server->options.read_only,
		.durability = server->options.durability,
		.commit_interval_ms = server->options.commit_interval_ms,
		.autocompact_percent = server->options.autocompact_percent,
		.mount_point = server->mount_path,
		.on_report = errors_from_store,
		.on_report_arg = server->fs.errors,
		.on_note = note_from_store,
		.access = server->options.access,
	};
	int status, err;

	if (server->foreground)
		notify_init();
	else
		detach(server);
	err = take_signals(server);
	if (err != 0)
		return give_up(server, "signals cannot be set up");
	if (privileges_drop() < 0)
		return give_up(server, "the daemon's privileges cannot be given up");
	err = guard_start(&server->guard);
	if (err != 0) {
		snprintf(error.text, sizeof(error.text), "a process cannot be started: %s",
		         quiver_strerror(err));
		return give_up(server, error.text);
	}
	err = log_start(&server->fs.log);
	if (err != 0) {
		snprintf(error.text, sizeof(error.text), "the log cannot be set up: %s",
		         quiver_strerror(err));
		return give_up(server, error.text);
	}
	pulse_start(PULSE_OPENING);
	quiver_set_interrupt(gives_up_opening, server);
	err = open_store(server, &options, &error);
	quiver_set_interrupt(NULL, NULL);
	pulse_stop();
	if (err != 0)
		return give_up_opening(server, err,
		                       error.text[0] ? error.text : quiver_strerror(err));
	status = serve_store(server);
	quiver_set_interrupt(gives_up_closing, server);
	err = quiver_close(server->fs.store);
	pulse_stop();
	if (err != 0) {
		log_line(LOG_ERR, "%s: closing the store: %s", server->store_path,
		         quiver_strerror(err));
		status = EXIT_FAILURE;
	}
	return status;
}

/* ---- the process that was started ----------------------------------------- */

/* The prober of a daemon: its exit status is the answer to whoever mounts. */
static int wait_for_daemon(struct server *server, const struct probe_pipe *prober)
{
	char reason[1024];

	if (probe_run(prober, server->mount_path, reason, sizeof(reason)) == 0) {
		if (server->note)
			log_line(LOG_NOTICE, "%s: %s", server->store_path, server->note);
		return EXIT_SUCCESS;
	}
	log_line(LOG_ERR, "%s", reason);
	return EXIT_FAILURE;
}

/* Fork; one side serves, the other one probes. Returns in the process that was
 * started. */
static int fork_and_serve(struct server *server)
{
	struct probe_pipe prober;
	int err = probe_pipes(&server->pipe, &prober), status;
	char reason[1024];
	pid_t pid;

	if (err != 0) {
		log_line(LOG_ERR, "pipe: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		log_line(LOG_ERR, "fork: %s", strerror(errno));
		probe_close(&server->pipe);
		probe_close(&prober);
		return EXIT_FAILURE;
	}
	if (server->foreground ? pid == 0 : pid > 0) {
		probe_close(&server->pipe);
		if (!server->foreground) {
			status = wait_for_daemon(server, &prober);
			probe_close(&prober);
			return status;
		}
		/* What it hears, the server tells. It may go on for as long as the mount. */
		if (privileges_drop() < 0)
			_exit(EXIT_FAILURE);
		_exit(probe_run(&prober, server->mount_path, reason, sizeof(reason)) < 0);
	}
	probe_close(&prober);
	status = serve(server);
	guard_end(&server->guard);
	log_stop();
	probe_close(&server->pipe);
	if (!server->foreground)
		exit(status);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

/* What the parts of the mount need to know of the options and of us. */
static void fill_fs(struct server *server)
{
	struct fs *fs = &server->fs;
	const struct mount_options *options = &server->options;

	fs->store_path = server->store_path;
	fs->mount_point = server->mount_path;
	fs->read_only = options->read_only;
	fs->passthrough = preflight_is_admin();
	fs->set_uid = options->set_uid;
	fs->set_gid = options->set_gid;
	fs->set_umask = options->set_umask;
	fs->uid = options->uid;
	fs->gid = options->gid;
	fs->umask = options->umask;
	fs->set_matrix_mode = options->set_matrix_mode;
	fs->matrix_mode = options->matrix_mode;
	fs->owner_uid = getuid();
	fs->owner_gid = getgid();
}

/* Descriptors 0 to 2 are open, so that nothing else becomes one of them. */
static int open_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* A snapshot is read-only whatever is said, since mount(8) says rw to all. */
static int fit_snapshot(const char *snapshot, struct server *server, struct quiver_error *error)
{
	struct mount_options *options = &server->options;

	if (options->of_changes) {
		snprintf(error->text, sizeof(error->text),
		         "option %s: %s is a snapshot and cannot be changed; leave the option out",
		         options->of_changes, snapshot);
		return -EINVAL;
	}
	if (!options->read_only)
		server->note = "a snapshot, so it is mounted read-only";
	options->read_only = true;
	return 0;
}

/* Read the options, which have to fit what is mounted. */
static int take_options(struct server *server, const char *store, const char *options,
                        struct quiver_error *error)
{
	size_t length;
	int err = mount_options_parse(options, &server->options, error);

	if (err == 0 && quiver_is_snapshot(store, &length))
		err = fit_snapshot(store, server, error);
	return err;
}

int fs_mount(const char *store, const char *mount_point, const char *options, bool foreground)
{
	struct server *server = calloc(1, sizeof(*server));
	struct quiver_error error = { "" };
	int status = EXIT_FAILURE;

	log_init();
	if (server == NULL || errors_new(log_report, &server->fs.errors) != 0) {
		log_line(LOG_ERR, "no memory");
		free(server);
		return EXIT_FAILURE;
	}
	server->foreground = foreground;
	server->signal_fd = server->ended_fd = -1;
	server->connection_err = -ENOTCONN;
	if (take_options(server, store, options, &error) < 0) {
		log_line(LOG_ERR, "%s", error.text);
		status = EXIT_USAGE;
	} else if (signals_ignore() < 0 || limits_prepare(&error) < 0) {
		log_line(LOG_ERR, "%s", error.text[0] ? error.text : "signals cannot be set up");
	} else if (open_standard_files() < 0 ||
	           preflight_paths(store, mount_point, &server->store_path, &server->mount_path,
	                           &error) < 0 ||
	           preflight_fuse(server->options.allow_other, &error) < 0) {
		log_line(LOG_ERR, "%s", error.text[0] ? error.text : "/dev/null cannot be opened");
	} else {
		fill_fs(server);
		status = fork_and_serve(server);
	}
	if (server->signal_fd >= 0)
		close(server->signal_fd);
	if (server->ended_fd >= 0)
		close(server->ended_fd);
	mount_options_free(&server->options);
	free(server->store_path);
	free(server->mount_path);
	errors_free(server->fs.errors);
	free(server);
	return status;
}
